"""Nearest images, clusters of images, and how alike backbones see them: all from cached features."""
