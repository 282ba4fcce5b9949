"""Train a steering: from labelled images to a steering file."""
