"""How methods did: the scores, as a table, in plain words, and as a file."""
