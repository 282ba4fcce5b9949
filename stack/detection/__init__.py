"""Boxes around objects from cached feature maps: heads that learn them, scores, fusion of several backbones."""
