"""Boxes around objects: what an annotation says of one image, and where its boxes lie in a square frame."""
