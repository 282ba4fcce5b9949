"""Videos, of which frames are taken as images."""
