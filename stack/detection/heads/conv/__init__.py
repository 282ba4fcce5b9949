"""An anchor-free head of convolutions on the whole pyramid."""
