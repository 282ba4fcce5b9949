"""What the heads of `stack.learners.bases` have in common: closed forms, tried and calibrated on the inner folds."""
