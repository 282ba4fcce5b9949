"""Look after a whole cache: summarise, verify, compact, forget."""
