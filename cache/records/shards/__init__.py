"""What lies in a shard, before a row of it is read."""
