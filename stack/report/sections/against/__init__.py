"""What changed since an earlier result."""
