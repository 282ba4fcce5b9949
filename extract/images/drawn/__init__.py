"""Pictures that are drawn to be looked at."""
