"""From a cache to aligned matrices, with nothing in a test part that was trained on."""
