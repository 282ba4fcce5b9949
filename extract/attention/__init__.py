"""Show what a network looks at, without and with its steering."""
