"""What commands that embed have in common."""
