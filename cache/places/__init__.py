"""Where a cache lies: in a folder, or on an object store; what is done to its files, the same for both."""
