"""Small networks that a classifier of domains trains against; the only place of `stack.transfer` that knows torch."""
