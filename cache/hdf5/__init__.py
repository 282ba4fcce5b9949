"""The one layout of HDF5 that Stackbone writes: sealed, and read back by a few bounded steps without HDF5's library."""
