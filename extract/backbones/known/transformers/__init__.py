"""Vision transformers, and networks that attend within windows: one file a family."""
