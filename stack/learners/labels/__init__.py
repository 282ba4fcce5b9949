"""What learners of images with any number of labels have in common."""
