"""Folders of images: what is found in them, and what their names say."""
