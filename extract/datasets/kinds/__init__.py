"""The kinds of listings: one file a kind."""
