"""Logistic and ridge regressions of single cells: convex, done in seconds, the baseline."""
