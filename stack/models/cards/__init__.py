"""The card of a model: a page of Markdown beside its file."""
