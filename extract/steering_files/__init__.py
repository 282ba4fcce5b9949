"""Steering files: written, read, and found again for the backbones that they make."""
