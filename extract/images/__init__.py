"""Turn encoded bytes into pixels: decode within a memory budget, resize, make thumbnails."""
