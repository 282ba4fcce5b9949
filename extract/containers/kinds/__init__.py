"""The kinds of containers, one a file; other packages add theirs through the entry points ``stackbone.containers``."""
