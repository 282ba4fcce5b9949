"""Datasets whose images lie in tar and zip archives."""
