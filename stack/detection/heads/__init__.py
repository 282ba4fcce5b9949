"""Detection heads, each in a folder of its own."""
