"""Encoded bytes to pixels: decoding within a memory budget, resizing, thumbnails."""
