"""Detectors that are saved, read back, and used on new images."""
