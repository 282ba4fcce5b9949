"""Labels corrected beside a dataset's index: the user's own files stay as they are (see FORMAT.md)."""
