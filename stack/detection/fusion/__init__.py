"""Detections of several models made one, and what each model counts for."""
