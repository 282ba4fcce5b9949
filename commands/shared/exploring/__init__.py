"""What commands that look around in a dataset have in common."""
