"""Fits of matrices that are too large to be copied: rows are standardised as they are read, at every product."""
