"""The backbones that have a name of their own: one file a family."""
