"""One run over the machines of a Ray cluster: workers hold the networks and write shards themselves."""
