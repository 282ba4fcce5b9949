"""Every model on the same folds, with scores that are kept, and what they teach."""
