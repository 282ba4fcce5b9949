"""Names of splits: which part of a dataset a name such as ``training_set``, ``val2`` or ``imagesTs`` stands for.

A name is cut into words where it has a sign, a digit or a capital after a small letter. It names a split *plainly* if
one word does and all others say nothing (`_FILLERS`, numbers); it is *decorated* if the first or the last word does and
others mean something: ``seg_train``, but ``train_station`` as well. What to make of a decorated name, its neighbours
decide.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

SPLITS = ("train", "validation", "test")
"""Canonical names, as an index holds them."""

UNLABELLED = "unlabelled"
"""Not a split: images beside splits that nobody labelled, such as ``seg_pred`` beside ``seg_train``."""

_WORDS = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "dev", "devel", "development"), "validation"),
    **dict.fromkeys(("eval", "evaluation"), "validation"),
    **dict.fromkeys(("test", "testing", "tst", "holdout", "heldout"), "test"),
    **dict.fromkeys(
        ("unlabeled", "unlabelled", "unlabel", "unsupervised", "pred", "predict", "prediction"), UNLABELLED
    ),
    **dict.fromkeys(("predictions", "inference"), UNLABELLED),
}
_SHORT = {"tr": "train", "va": "validation", "vl": "validation", "te": "test", "ts": "test"}
_EITHER = frozenset({"eval", "evaluation"})  # the test, where another folder is the validation and none the test
_CONTAINERS = frozenset(
    {
        *("data", "dataset", "datasets", "image", "images", "img", "imgs", "pic", "pics", "picture", "pictures"),
        *("photo", "photos", "file", "files", "jpg", "jpeg", "png", "jpegimages"),
    }
)
_FILLERS = _CONTAINERS | frozenset(
    {
        *("set", "sets", "folder", "sample", "samples", "split", "splits", "subset", "part", "x", "new", "final"),
        *("full", "small", "mini", "tiny", "raw", "clean", "cleaned", "crop", "crops", "cropped", "resized", "aug"),
        *("augmented", "balanced", "public", "private", "labeled", "labelled", "all", "my"),
    }
)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W0-9_A-Za-z]+")
_JOINED = re.compile(f"({'|'.join(sorted(_WORDS, key=len, reverse=True))})({'|'.join(sorted(_FILLERS))})")


@dataclass(frozen=True)
class Role:
    """What a name says of a split.

    Attributes
    ----------
    split
        One of `SPLITS`, or `UNLABELLED`.
    plain
        Whether it says nothing else.
    short
        Whether it is one of ``tr``, ``va``, ``te`` and the like, which may as well be something else: ``tr`` is Turkey.
    either
        Whether it is ``eval`` or ``evaluation``: some call the validation so, some the test.
    rest
        The other words that mean something, in lower case.
    """

    split: str
    plain: bool
    short: bool = False
    either: bool = False
    rest: tuple[str, ...] = ()


def role_of(name: str) -> Role | None:
    """Return what a name says of a split; None if it says nothing."""
    words = _words_of(name)
    means = [word for word in words if word not in _FILLERS and not word.isdigit()]
    for at in (0, -1):
        word = means[at] if means else ""
        if word not in _WORDS and word not in _SHORT:
            continue
        rest = tuple(means[1:] if at == 0 else means[:-1])
        short = word in _SHORT
        if short and (rest or len(words) > 2):
            continue  # `imagesTr` says it; `tr_flag` may say anything
        return Role(_SHORT.get(word) or _WORDS[word], not rest, short, word in _EITHER, rest)
    return None


def is_container_name(name: str) -> bool:
    """Return whether a name says no more than that images lie there: ``images``, ``jpg``, ``data``."""
    words = _words_of(name)
    return bool(words) and all(word in _CONTAINERS for word in words)


def canonical_splits(names: Iterable[str]) -> dict[str, str]:
    """Return the canonical name of each of some names that stand side by side; one that is no split's is its own.

    ``eval`` is the validation, unless another name is and none is the test's: then it is the test.
    """
    canonical = {name: name for name in names}
    roles = {name: role for name in canonical if (role := role_of(name)) and role.plain and role.split in SPLITS}
    return canonical | splits_of(roles)


def splits_of(roles: Mapping[str, Role]) -> dict[str, str]:
    """Return the split of each of some names that stand side by side, from their roles."""
    sure = {role.split for role in roles.values() if not role.either}
    either = "test" if "validation" in sure and "test" not in sure else "validation"
    return {name: either if role.either else role.split for name, role in roles.items()}


def canonical_split(name: str) -> str:
    """Return the canonical name of a split: ``Train`` and ``training_set`` are ``train``; any other name is its own."""
    return canonical_splits([name])[name]


def _words_of(name: str) -> list[str]:
    words: list[str] = []
    for word in map(str.lower, _WORD.findall(unicodedata.normalize("NFC", name))):
        if word == "out" and words and words[-1] in ("hold", "held"):
            words[-1] += word
        elif joined := _JOINED.fullmatch(word):
            words += joined.groups()
        else:
            words.append(word)
    return words
