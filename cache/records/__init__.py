"""What each kind of cache file says: specs, shards, indexes of datasets, seen records, kept scores."""
