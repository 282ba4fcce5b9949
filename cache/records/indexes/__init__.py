"""The index of a dataset: its columns, its file, and what was met when the dataset was listed."""
