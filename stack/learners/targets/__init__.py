"""What learners of several numbers of each image have in common."""
