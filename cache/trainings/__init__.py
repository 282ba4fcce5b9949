"""What a long training keeps on disk while it runs."""
