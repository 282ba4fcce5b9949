"""Metrics that are measured where they are asked for alone, one a file."""
