"""Training what steers a backbone, from labelled images to a steering file."""
