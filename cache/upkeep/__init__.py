"""Care of a whole cache: summarise, verify, compact, forget."""
