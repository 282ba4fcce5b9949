"""How base learners choose the strength of their regularisation on inner folds."""
