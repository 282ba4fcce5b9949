"""Base learners, one a file: each sees the features of one backbone, or of all of them."""
