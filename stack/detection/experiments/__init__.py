"""A detection experiment: annotated images, folds of them, heads on backbones, their fusion, and the scores."""
