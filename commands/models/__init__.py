"""Use a saved model."""
