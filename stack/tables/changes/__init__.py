"""What changed since an earlier result, in words and as tables."""
