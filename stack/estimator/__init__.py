"""The stack as scikit-learn estimators."""
