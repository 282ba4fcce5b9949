"""Both domains are learnt together, each by a classifier of its own that shares a part with the other."""
