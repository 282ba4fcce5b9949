"""The kinds of datasets that are recognised: one file a kind."""
