"""What gives a label away that has nothing to do with it: brightness, size, format, folder or camera.

A classifier learns the shortest way to the label (Geirhos et al. 2020, "Shortcut learning in deep neural networks",
Nature Machine Intelligence 2), and fails where it does not lead there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.audit.audited import Audited
from stackbone.stack.audit.finding import Finding
from stackbone.stack.audit.kind import FACTS, LABELS, Kind

LEAST_GAIN = 0.3
"""Share of the way from chance to certainty that balanced accuracy must go, for a warning."""

LEAST_IMAGES = 20
"""Labelled images, and of each class `_LEAST_OF_CLASS`, at least: by fewer anything can be told."""

_LEAST_OF_CLASS = 5
_BINS = 5  # of a number, for each class, equally full: fewer bins than classes tell few classes apart
_FOLDS = 5


class Spurious(Kind):
    """Each fact alone, in bins, predicts the class that is commonest in its bin, of five folds four to the fifth."""

    name = "spurious"
    title = "Facts that give the label away"
    place = 60
    needs = (LABELS,)
    uses = (FACTS,)

    def find(self, audited: Audited) -> list[Finding]:
        """Return these facts; of images with several labels none, since they have no class to give away."""
        if audited.index.label_form:
            return []
        names, codes = audited.classes
        sizes = np.bincount(codes[codes >= 0], minlength=len(names))
        kept = np.flatnonzero(np.isin(codes, np.flatnonzero(sizes >= _LEAST_OF_CLASS)))
        known = np.unique(codes[kept])
        if len(kept) < LEAST_IMAGES or len(known) < 2:
            return []
        found = []
        for name, (is_told, values) in _facts(audited, kept, _BINS * len(known)).items():
            own, told = np.unique(codes[kept][is_told], return_inverse=True)
            if is_told.sum() < LEAST_IMAGES or len(own) < len(known):
                continue
            right = _balanced_accuracy(values, told, audited.seed)
            chance = 1 / len(known)
            gain = (right - chance) / (1 - chance)
            if gain >= LEAST_GAIN:
                found.append(
                    Finding(
                        self.name,
                        "",
                        float(gain),
                        ", ".join(names[code] for code in known[:3]) + (", ..." if len(known) > 3 else ""),
                        "",
                        f"take images of every class with every {name}, or make the {name} alike before embedding",
                        f"the {name} alone tells the label with a balanced accuracy of {right:.2f}; chance is "
                        f"{chance:.2f}",
                    )
                )
        return found


_Told = tuple[NDArray[np.bool_], NDArray[np.int64]]


def _facts(audited: Audited, places: NDArray[np.int64], n_bins: int) -> dict[str, _Told]:
    """Return the facts of some images, by name: ``(n,)`` of which it is known, and of these numbers of bins."""
    index, rows = audited.index, audited.rows[places]
    found: dict[str, _Told] = {}
    if index.sizes is not None:
        sized = np.all(index.sizes[rows] > 0, axis=1)
        width, height = index.sizes[rows[sized]].T.astype(np.float64)
        found["number of pixels"] = sized, _binned(width * height, n_bins)
        found["aspect"] = sized, _binned(width / height, n_bins)
    n_bytes = index.stamps.values[rows, 0]
    found["size of the file"] = n_bytes > 0, _binned(n_bytes[n_bytes > 0].astype(np.float64), n_bins)
    facts = [audited.facts.get(int(row)) for row in rows]
    told, known = [each for each in facts if each is not None], np.array([each is not None for each in facts])
    found["brightness"] = known, _binned(np.array([each.brightness for each in told]), n_bins)
    found["sharpness"] = known, _binned(np.array([each.sharpness for each in told]), n_bins)
    found["camera"] = known, _numbered([each.camera for each in told])
    every, paths = np.ones(len(rows), np.bool_), [PurePosixPath(index.path[row]) for row in rows]
    found["file format"] = every, _numbered([each.suffix.lower() for each in paths])
    labels = [audited.labels[place] for place in places]
    for level in range(max(len(each.parts) for each in paths) - 1):
        parts = [each.parts[level] if level < len(each.parts) - 1 else "" for each in paths]
        n_same = sum(part == label for part, label in zip(parts, labels, strict=True))
        if n_same * 2 < len(labels):  # else it is the label
            found[f"folder (level {level + 1})"] = every, _numbered(parts)
    return {name: (known, values) for name, (known, values) in found.items() if values.any()}


def _binned(values: NDArray[np.float64], n_bins: int) -> NDArray[np.int64]:
    """Return which of some equally full bins each number is in; equal numbers share one."""
    n_bins = min(n_bins, len(values) // _LEAST_OF_CLASS)
    if n_bins < 2:
        return np.zeros(len(values), np.int64)
    edges = np.unique(np.quantile(values, np.linspace(0, 1, n_bins + 1)[1:-1]))
    return np.searchsorted(edges, values, side="left").astype(np.int64)


def _numbered(values: Sequence[str]) -> NDArray[np.int64]:
    return np.unique(np.array(values, np.str_), return_inverse=True)[1].astype(np.int64)


def _balanced_accuracy(values: NDArray[np.int64], codes: NDArray[np.int64], seed: int) -> float:
    """Return the mean over classes of the share that is told right, by a rule from the other folds."""
    fold = np.random.default_rng(seed).permutation(len(codes)) % _FOLDS
    n_classes = int(codes.max()) + 1
    said = np.zeros(len(codes), np.int64)
    for number in range(_FOLDS):
        train, test = fold != number, fold == number
        counts = np.zeros((int(values.max()) + 1, n_classes))
        np.add.at(counts, (values[train], codes[train]), 1)
        counts /= np.maximum(np.bincount(codes[train], minlength=n_classes), 1)  # each class counts alike
        said[test] = counts.argmax(axis=1)[values[test]]
    return float(np.mean([(said[codes == code] == code).mean() for code in range(n_classes)]))


KIND = Spurious()
