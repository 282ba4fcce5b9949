"""What commands that work on a cluster have in common."""
