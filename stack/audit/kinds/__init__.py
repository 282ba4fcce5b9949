"""Kinds of findings, each in a file that declares ``KIND``."""
