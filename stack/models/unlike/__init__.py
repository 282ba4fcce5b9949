"""Which new images are unlike all that a model was fitted on: what it keeps for it, and what people are told."""
