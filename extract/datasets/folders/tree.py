"""The folders that hold images, as a tree: how many lie in each, and which of them says nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from stackbone.cache.splits import is_container_name, role_of

_MOST_SHOWN = 5


@dataclass
class Node:
    """A folder with images in it or below.

    Attributes
    ----------
    path
        From the dataset's folder; '' for that itself.
    images
        How many lie directly in it.
    children
        Folders in it that hold images or have such below, by name, sorted.
    """

    path: str
    images: int = 0
    children: dict[str, Node] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its own name."""
        return self.path.rpartition("/")[2]

    @property
    def only_child(self) -> Node | None:
        """Its folder, if there is just one, and no images beside it."""
        return next(iter(self.children.values())) if len(self.children) == 1 and not self.images else None

    @property
    def holds_folders(self) -> bool:
        """Whether folders are what it is there for: it is no class with a few of its images set apart."""
        return bool(self.children) and (not self.images or len(self.children) > 1)

    @property
    def total(self) -> int:
        """How many images lie in it and below."""
        return sum(node.images for node in self.walk())

    def walk(self) -> Iterator[Node]:
        """Yield it and all folders below it."""
        pending = [self]
        while pending:
            node = pending.pop()
            yield node
            pending += node.children.values()


def grow(paths: Iterable[str]) -> Node:
    """Return the tree of the folders that these paths name."""
    root = Node("")
    for folder, count in sorted(Counter(path.rpartition("/")[0] for path in paths).items()):
        node, above = root, ""
        for name in folder.split("/") if folder else ():
            above = f"{above}/{name}" if above else name
            node = node.children.setdefault(name, Node(above))
        node.images = count
    return root


def unwrap(node: Node) -> Node:
    """Return the innermost folder that a folder merely wraps, as unpacked archives do; itself if it wraps none.

    It wraps its only child if there are no images beside that and the child holds folders, or says by its name that it
    holds images and no more. A split's folder is not gone into.
    """
    while child := node.only_child:
        role = role_of(child.name)
        if (role and role.plain) or not (child.holds_folders or is_container_name(child.name)):
            break
        node = child
    return node


def quoted(names: Iterable[str]) -> str:
    """Return names as a sentence holds them: ``'cat', 'dog' and 3 more``."""
    names = sorted(names)
    shown = [repr(name) for name in names[:_MOST_SHOWN]]
    if len(names) > _MOST_SHOWN:
        shown.append(f"{len(names) - _MOST_SHOWN} more")
    return ", ".join(shown[:-1]) + f" and {shown[-1]}" if len(shown) > 1 else "".join(shown)
