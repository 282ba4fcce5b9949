"""The page of an audit: its findings, image by image."""
