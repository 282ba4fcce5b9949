"""Metrics of images with any number of labels, one a file."""
