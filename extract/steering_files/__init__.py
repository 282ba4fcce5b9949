"""Files of steerings: write them, read them, and rebuild the backbones that they make."""
