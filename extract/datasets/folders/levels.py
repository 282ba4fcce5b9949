"""What the folders above an image say of it: its split and its class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from stackbone.cache.errors import DoubtError
from stackbone.cache.splits import is_container_name, role_of
from stackbone.extract.datasets.folders.reading import LEAF, Marks, Reading, Top, in_nfc
from stackbone.extract.datasets.folders.splits import SplitLevel, find_splits
from stackbone.extract.datasets.folders.tree import Node, unwrap


def read_levels(
    root: Path, tree: Node, *, splits: bool, class_level: int | str | None, labelled: bool = True
) -> Reading:
    """Read splits and classes from the folders' names.

    Parameters
    ----------
    root
        The dataset's folder, for messages.
    tree
        Its folders that hold images.
    splits
        Whether folders may be splits at all.
    class_level
        Which folder is the class, counted from 1 below wrappers and splits, or `LEAF`; None for the first.
    labelled
        Whether labels are asked for. If not, folders of which it cannot be told whether they are splits are none.

    Raises
    ------
    DoubtError
        If labels are asked for, and it cannot be told whether folders are splits.
    """
    base = unwrap(tree)
    level, doubt = None, ""
    try:
        level = find_splits(root, base) if splits else None
    except DoubtError as exc:
        if labelled:
            raise
        doubt = exc.found
    tops = list(_tops(base, level))
    marks = dict.fromkeys((node.path for node in tree.walk()), Marks("", ""))
    for top in tops:
        for node in top.node.walk():
            label = label_of(top.names_of(node), class_level) if top.labelled else ""
            marks[node.path] = Marks(label, top.split)
    return Reading(tree, base, level, tops, class_level, marks, doubt=doubt)


def label_of(names: Sequence[str], class_level: int | str | None) -> str:
    """Return which of the folders' names above an image is its class; '' if there are too few."""
    if class_level == LEAF:
        return names[-1] if names else ""
    at = int(class_level or 1)
    return names[at - 1] if len(names) >= at else ""


def _tops(base: Node, level: SplitLevel | None) -> Iterator[Top]:
    if level is None:
        yield Top(base)
    elif level.below_classes:
        for parent in base.children.values():
            for node in parent.children.values():
                split = level.splits[node.path]
                yield Top(node, split, bool(split), (in_nfc(parent.name),))
    else:
        nodes = [node for node in base.children.values() if node.path in level.splits]
        splits = [level.splits[node.path] for node in nodes]
        for node, split in zip(_unwrap_splits(nodes, splits), splits, strict=True):
            yield Top(node, split, bool(split))


def _unwrap_splits(nodes: list[Node], splits: list[str]) -> list[Node]:
    """Return the folder that holds the classes of each split: itself, or ``train/train``, ``train/images`` and such."""
    inner = list(nodes)
    while _wrap_alike(children := [node.only_child for node in inner]):
        inner = [child for child in children if child]
    for at, split in enumerate(splits):
        others = [node.children for i, node in enumerate(inner) if i != at and not node.only_child]
        classes = {name for names in others for name in names}
        while (child := inner[at].only_child) and _is_wrapped(child, inner[at], split, classes):
            inner[at] = child
    return inner


def _wrap_alike(children: list[Node | None]) -> bool:
    """Return whether every split holds one folder, of the same name, and that is no class."""
    named = [child for child in children if child and (len(child.children) > 1 or is_container_name(child.name))]
    return len(named) == len(children) and len({child.name for child in named}) == 1


def _is_wrapped(child: Node, parent: Node, split: str, classes: set[str]) -> bool:
    """Return whether a split's only folder is no class, by its name or by the classes of the other splits."""
    role = role_of(child.name)
    if child.name.casefold() == parent.name.casefold() or (role and role.plain and role.split == split):
        return True
    return child.name not in classes and (is_container_name(child.name) or bool(child.children.keys() & classes))
