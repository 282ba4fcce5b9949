"""The source's features are brought to where the target's are."""
