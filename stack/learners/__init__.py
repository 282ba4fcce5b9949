"""Base learners and meta-learners."""
