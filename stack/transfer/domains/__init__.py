"""Two domains made ready: read, matched, kept apart where images straddle them, and divided."""
