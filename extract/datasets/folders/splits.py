"""Which folders are splits: by what their names say, and by what stands beside them. In doubt nothing is guessed."""

from __future__ import annotations

import glob
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from stackbone.cache.errors import DoubtError
from stackbone.cache.splits import SPLITS, UNLABELLED, Role, role_of, splits_of
from stackbone.cache.text import typed
from stackbone.extract.datasets.folders.tree import Node, quoted

_MOST_SHOWN = 5
_FOLD = re.compile(r"(fold|cv|split|run|k)[\W_]*[0-9]+", re.IGNORECASE)


@dataclass(frozen=True)
class SplitLevel:
    """Folders that are splits.

    Attributes
    ----------
    splits
        Canonical split of each folder, by its path; '' for images that nobody labelled.
    below_classes
        Whether they lie in each class's folder, as in ``cat/train/``, and not above the classes.
    """

    splits: dict[str, str]
    below_classes: bool = False


def find_splits(root: Path, base: Node) -> SplitLevel | None:
    """Return which folders in `base`, or in each folder in it, are splits; None if none is.

    Raises
    ------
    DoubtError
        If some are named like splits, and beside others they may as well be classes; or if names hold class and split
        at once.
    """
    roles = {name: role for name in base.children if (role := role_of(name))}
    plain = {name: role for name, role in roles.items() if role.plain}
    if len({role.split for role in plain.values()}) < 2:
        plain = {name: role for name, role in plain.items() if not role.short}
    decorated = {name: role for name, role in roles.items() if not role.plain}
    taken = plain | _paired(root, base, plain, decorated)
    if not any(role.split in SPLITS for role in taken.values()):
        return _below_classes(root, base)
    if others := sorted(base.children.keys() - taken):
        serious = [name for name in plain if plain[name].split in SPLITS and not plain[name].short]
        if not serious and len(taken) == len(plain):
            return None  # countries, say: `tr` and `te` among others
        raise _doubtful(root, base, sorted(taken), others)
    splits = splits_of({name: role for name, role in taken.items() if role.split != UNLABELLED})
    return SplitLevel({base.children[name].path: splits.get(name, "") for name in taken})


def _paired(root: Path, base: Node, plain: dict[str, Role], decorated: dict[str, Role]) -> dict[str, Role]:
    """Return the decorated names that are splits': two share their other words, or plain names stand beside them."""
    by_rest: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for role in decorated.values():
        by_rest[role.rest].add(role.split)
    pairs = {rest for rest, splits in by_rest.items() if len(splits & {*SPLITS}) > 1}
    if len(pairs) > 1 and not plain:
        names = sorted(name for name, role in decorated.items() if role.rest in pairs)
        found = f"In {_place(root, base)!r} the names {quoted(names)} seem to hold a class and a split at once."
        ways_out = (
            "Expected a folder for each split with class folders inside, or class folders alone. Type --split-folders "
            "none to read each as a class, or list the images in a CSV file with the columns path,label,split, and "
            "name that file in place of the folder."
        )
        raise DoubtError(found, ways_out)
    said = {role.split for role in (*plain.values(), *decorated.values())} & {*SPLITS}
    no_other = bool(plain) and len(said) > 1 and len(base.children) == len(plain) + len(decorated)
    return {name: role for name, role in decorated.items() if role.rest in pairs or no_other}


def _below_classes(root: Path, base: Node) -> SplitLevel | None:
    """Return the splits in each class's folder; None unless every class holds such and nothing else."""
    splits: dict[str, str] = {}
    for child in base.children.values():
        roles = {name: role for name in child.children if (role := role_of(name)) and role.plain and not role.short}
        if child.images or roles.keys() != child.children.keys():
            return None
        names = splits_of({name: role for name, role in roles.items() if role.split != UNLABELLED})
        splits |= {child.children[name].path: names.get(name, "") for name in roles}
    if len(set(splits.values()) & {*SPLITS}) < 2:
        return None
    if all(map(_FOLD.fullmatch, base.children)):
        found = f"In {_place(root, base)!r} each of {quoted(base.children)} holds splits of its own."
        ways_out = (
            f"Expected one division of the images. Name one of them, such as "
            f"{str(root / base.path / min(base.children))!r}, or type --split-folders none if they are classes."
        )
        raise DoubtError(found, ways_out)
    return SplitLevel(splits, below_classes=True)


def _doubtful(root: Path, base: Node, taken: list[str], others: list[str]) -> DoubtError:
    like = "a split" if len(taken) == 1 else "splits"
    found = f"In {_place(root, base)!r} {_named(taken)} like {like}, beside {quoted(others)}."
    classes = {name for split in taken for name in base.children[split].children}
    splits = f"{_are(taken)} {'a split' if len(taken) == 1 else 'splits'}"
    if classes & {*others}:
        second = f"If {splits} and the others are classes to train on, move these into a folder 'train' beside."
    elif classes:
        second = (
            f"If {splits} and {quoted(others)} {'is' if len(others) == 1 else 'are'} none, {_leave_out(base, others)}."
        )
    else:
        second = f"If the images in {quoted(taken)} belong to no class, {_leave_out(base, taken)}."
    ways_out = (
        f"This can be read in two ways. If all of them are classes, type --split-folders none. {second} Otherwise "
        "list the images in a CSV file with the columns path,label,split, and name that file in place of the folder."
    )
    return DoubtError(found, ways_out)


def _leave_out(base: Node, names: list[str]) -> str:
    prefix = f"./{base.path}/" if base.path else "./"
    options = " ".join(f"--exclude {typed(glob.escape(prefix + name))}" for name in names[:_MOST_SHOWN])
    more = ", and so on for the others" if len(names) > _MOST_SHOWN else ""
    return f"leave {'it' if len(names) == 1 else 'them'} out: type {options}{more}"


def _place(root: Path, base: Node) -> str:
    return str(root / base.path)


def _named(names: list[str]) -> str:
    return f"the folder {quoted(names)} is named" if len(names) == 1 else f"the folders {quoted(names)} are named"


def _are(names: list[str]) -> str:
    return f"{quoted(names)} {'is' if len(names) == 1 else 'are'}"
