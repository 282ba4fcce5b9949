"""Objects found in images by heads that are trained on cached feature maps."""
