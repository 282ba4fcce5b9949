"""Plain backbones as torch modules, with their weights read from files."""
