"""Where work is spread: joining a Ray cluster, or starting one for a single run, and leaving nothing behind."""
