"""All transfer methods by name: those of our own folders, and those that other packages add by entry points."""

from __future__ import annotations

from stackbone.cache.plugins import Plugins
from stackbone.stack.transfer.method import FAMILIES, Method

METHODS: Plugins[Method] = Plugins(
    Method,  # type: ignore[type-abstract] # nothing is made of it
    "stackbone.transfer",
    "stackbone.stack.transfer.methods",
    "METHOD",
    order=lambda each: (FAMILIES.index(each.family), each.place, each.name),
)
