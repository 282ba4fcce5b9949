"""Boxes around objects as annotations tell them: what is wrong with them, and where they lie in the images' files."""
