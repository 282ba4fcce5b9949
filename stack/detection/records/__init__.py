"""What a detection experiment is of: annotated images and their folds, backbones with maps, what came out."""
