"""What each kind of cache file holds: specs, shards, indexes of datasets, records of steerings, kept scores."""
