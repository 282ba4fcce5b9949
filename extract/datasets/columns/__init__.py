"""Parquet and Arrow files with a column of images: which there are, and what their other columns say."""
