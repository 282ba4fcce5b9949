"""Feature maps read image by image from the shards that hold them."""
