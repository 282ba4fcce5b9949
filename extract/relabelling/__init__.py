"""Labels of a dataset in the cache, corrected by a table that a user or a report wrote."""
