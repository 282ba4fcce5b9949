"""Which images to label next, from cached features and the labels that there are."""
