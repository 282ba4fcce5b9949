"""Objectives and their minimisers, for many problems on one matrix; they know no folds."""
