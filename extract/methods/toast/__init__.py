"""TOAST: attention steered from the top down, for ViTs and ConvNeXts."""
