"""Tables whose columns have types: Parquet, and what Parquet and Arrow have in common."""
