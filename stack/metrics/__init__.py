"""Scores in numbers: metrics, comparisons, confusion, calibration."""
