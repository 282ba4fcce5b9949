"""Tables of images: read as text or Parquet, their columns chosen, their files found."""
