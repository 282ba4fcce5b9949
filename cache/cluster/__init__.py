"""Machines that work together: joining a Ray cluster, or starting one for a single run, and leaving nothing behind."""
