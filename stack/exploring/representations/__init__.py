"""How alike two backbones, or a backbone and a given matrix, see the same images."""
