"""Views of a picture: mirrored, cropped at its corners, changed at random; each gives features of its own."""
