"""What was believed of a tree of folders, in sentences: whatever can be read in another way is said."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sized

from stackbone.cache.splits import SPLITS, role_of
from stackbone.cache.text import counted, typed
from stackbone.extract.datasets.folders.levels import label_of
from stackbone.extract.datasets.folders.reading import LEAF, Reading
from stackbone.extract.datasets.folders.tree import Node, quoted

_USUAL_SPLITS = frozenset({"train", "test", "val", "valid", "validation"})  # nobody reads these in another way


def say_reading(reading: Reading) -> list[str]:
    """Return what to say of how a tree of folders was read."""
    parts = (_wrappers, _splits, _doubt, _resembling, _unlabelled, _deeper, _merged, _strangers, _twins)
    return [note for part in parts for note in part(reading)]


def _wrappers(reading: Reading) -> Iterator[str]:
    base = reading.base
    if base is not reading.tree and reading.says_class(base):
        then = "what counts are the folders in it" if base.children else "they have no label"
        yield f"{base.path!r} holds all images, so it is not taken for a class: {then}."
    if reading.level and not reading.level.below_classes:
        wrapped = {top.node.path for top in reading.tops} - {*reading.level.splits}
        if wrapped:
            hold = _verb(wrapped, "holds", "hold")
            no_class = _verb(wrapped, "it is not taken for a class", "they are not taken for classes")
            yield f"{quoted(wrapped)} {hold} all images of a split, so {no_class}."


def _splits(reading: Reading) -> Iterator[str]:
    if not reading.level:
        return
    folders: dict[str, set[str]] = defaultdict(set)
    for path, split in reading.level.splits.items():
        folders[split].add(path.rpartition("/")[2])
    unusual = {name for names in folders.values() for name in names if name.lower() not in _USUAL_SPLITS}
    if reading.level.below_classes or unusual or any(len(names) > 1 for names in folders.values()):
        said = [
            f"{quoted(names)} {_verb(names, 'is', 'are')} "
            + (f"the split {split!r}" if split else "no split and no class")
            for split, names in sorted(folders.items(), key=lambda item: (not item[0], item[0]))
        ]
        where = " in each class's folder" if reading.level.below_classes else ""
        yield f"Folders{where} were read as splits: {'; '.join(said)}. If they are classes, type --split-folders none."


def _doubt(reading: Reading) -> Iterator[str]:
    if reading.doubt:
        yield f"{reading.doubt} Labels are not asked for, so none of these folders is taken for a split."


def _resembling(reading: Reading) -> Iterator[str]:
    """Say that classes have names that splits may have, where they were not read so."""
    if not reading.level and not reading.doubt:
        roles = {name: role for name in reading.base.children if (role := role_of(name)) and role.rest}
        if len({role.split for role in roles.values()} & {*SPLITS}) > 1:
            yield f"{quoted(roles)} were read as classes, not as splits, since their names have little in common."


def _unlabelled(reading: Reading) -> Iterator[str]:
    marks = reading.marks
    if not any(marks[node.path].label for node in _speaking(reading)):
        if reading.class_level is not None:
            deepest = max((len(top.names_of(node)) for top in reading.tops for node in top.node.walk()), default=0)
            there = f"the innermost folders are of level {deepest}" if deepest else "there are no class folders"
            yield f"No image has a label: {typed('--class-level', reading.class_level)} was typed, and {there}."
            return
        if not reading.level:
            return  # a folder of images, of which nobody expects labels
    bare = [node for node in _speaking(reading) if node.images and not marks[node.path].label]
    n = sum(node.images for node in bare)
    if n:
        places = quoted("./" + node.path for node in bare)
        lie = (
            f"{counted(n, 'image')} {'has no label, because it lies' if n == 1 else 'have no label, because they lie'}"
        )
        yield f"{lie} in no class folder but directly in {places}."


def _deeper(reading: Reading) -> Iterator[str]:
    """Say that there are levels below the classes, which may be meant."""
    if reading.class_level is not None:
        return
    tops = [top for top in reading.tops if top.labelled and reading.says_class(top.node)]
    classes = [node for top in tops for node in ([top.node] if top.names else top.node.children.values())]
    divided = [node for node in classes if len(node.children) > 1]
    if divided:
        inner = {name for node in divided for name in node.children}
        examples = quoted(next(iter(node.children.values())).path for node in divided)
        yield (
            f"The first level of folders was read as the classes, and below it lie folders of "
            f"{counted(len(inner), 'other name')}, such as {examples}. If these are the classes, type --class-level 2, "
            "or --class-level leaf for the innermost folders."
        )


def _merged(reading: Reading) -> Iterator[str]:
    """Say that folders of one name in different places became one class."""
    level = reading.class_level
    if level is None or level == 1:
        return
    parents: dict[str, set[str]] = defaultdict(set)
    for top in reading.tops:
        for node in top.node.walk() if top.labelled else ():
            names = top.names_of(node)
            if (label := label_of(names, level)) and node.images and reading.says_class(node):
                parents[label].add("/".join(names if level == LEAF else names[: int(level)]))
    merged = {label: paths for label, paths in sorted(parents.items()) if len(paths) > 1}
    if merged:
        label, paths = next(iter(merged.items()))
        more = f", and so for {len(merged) - 1:,} more" if len(merged) > 1 else ""
        yield f"Folders of one name are one class: {quoted(paths)} are the class {label!r}{more}."


def _strangers(reading: Reading) -> Iterator[str]:
    """Say that no other split has any class of some split: its folders may be no classes."""
    labels: dict[str, set[str]] = defaultdict(set)
    for node in _speaking(reading):
        mark = reading.marks[node.path]
        if node.images and mark.label and mark.split:
            labels[mark.split].add(mark.label)
    for split, own in sorted(labels.items()):
        others = {label for other, names in labels.items() if other != split for label in names}
        if others and not own & others and len(own) <= len(others):
            yield (
                f"The split {split!r} has the {_verb(own, 'class', 'classes')} {quoted(own)}, which no other split "
                "has. If that is not a class, move its images up into the split's folder: they then have no label."
            )


def _twins(reading: Reading) -> Iterator[str]:
    """Say that classes differ in nothing but capitals."""
    spellings: dict[str, set[str]] = defaultdict(set)
    for node in _speaking(reading):
        if node.images:
            label = reading.marks[node.path].label
            spellings[label.casefold()].add(label)
    twins = [quoted(names) for names in spellings.values() if len(names) > 1]
    if twins:
        more = f" ({len(twins) - 1:,} more such)" if len(twins) > 1 else ""
        yield f"{min(twins)} are different classes, although they differ in capitals only{more}."


def _speaking(reading: Reading) -> Iterator[Node]:
    return (node for node in reading.tree.walk() if reading.says_class(node))


def _verb(names: Sized, one: str, several: str) -> str:
    return one if len(names) == 1 else several
