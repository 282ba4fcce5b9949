"""Which rows train and which rows test."""
