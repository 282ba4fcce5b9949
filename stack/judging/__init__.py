"""A saved model tested on labelled images that it never saw."""
