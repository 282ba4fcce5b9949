"""Ways to learn from a source domain for a target domain, one a file, in a folder for each family."""
