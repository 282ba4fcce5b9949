"""Rows of features divided into groups that lie together, labels or none."""
