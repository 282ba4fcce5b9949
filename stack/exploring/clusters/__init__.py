"""Images divided into groups by their features."""
