"""The page of a detection experiment."""
