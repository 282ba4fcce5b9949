"""Files behind URLs, of whatever server fsspec knows: asked again where it was busy, its errors in one line."""
