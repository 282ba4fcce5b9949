"""Metrics of images that have several labels, or several numbers."""
