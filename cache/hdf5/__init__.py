"""The one HDF5 layout that Stackbone writes: sealed, and read back in a few bounded steps without HDF5's library."""
