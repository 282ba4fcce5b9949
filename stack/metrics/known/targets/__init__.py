"""Metrics of several numbers of each image, one a file."""
