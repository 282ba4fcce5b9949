"""Which network by which name, and where its weights come from."""
