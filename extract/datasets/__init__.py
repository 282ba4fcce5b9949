"""List the images of a dataset, with their labels, splits and groups."""
