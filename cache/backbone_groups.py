"""Names of several backbones, as they are typed: a list, and groups that stand for lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

GROUPS: dict[str, tuple[str, ...]] = {
    "published": ("resnet50", "vgg19", "inception_v3", "xception"),
    "offline": ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"),
}
"""Group to its backbones."""
ALL = "all"
"""The group of every backbone that can be had: whose weights are here, or whose features the cache has."""


def expand_groups(asked: str | Sequence[str], every: Callable[[str], Iterable[str]]) -> list[str]:
    """Return the names that a comma-separated text, or a list, stands for: each once, in order, none for none.

    Members get what stands behind a group's name from ``@`` or ``~`` on: ``offline@stages`` is that output of each.

    Parameters
    ----------
    asked
        Names, groups and `ALL`.
    every
        Given that rest, returns what `ALL` stands for; asked for only where it is named.
    """
    names = [name.strip() for name in (asked.split(",") if isinstance(asked, str) else asked)]
    found: list[str] = []
    for name in filter(None, names):
        group, suffix = split_suffix(name)
        members = [f"{each}{suffix}" for each in GROUPS.get(group, [group])]
        found += every(suffix) if group == ALL else members
    return list(dict.fromkeys(found))


def split_suffix(name: str) -> tuple[str, str]:
    """Return the backbone, or the group of them, that a name begins with, and the rest from ``@`` or ``~`` on."""
    place = min((name.index(mark) for mark in "@~" if mark in name), default=len(name))
    return name[:place], name[place:]
