"""Every method, and every source, scored on the same folds of the target."""
