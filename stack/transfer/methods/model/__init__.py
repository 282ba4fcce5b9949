"""What was learnt of the source is where learning of the target starts."""
