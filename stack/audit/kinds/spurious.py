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
_BINS = 10  # of a number, equally full
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
        for name, values in _facts(audited, kept).items():
            right = _balanced_accuracy(values, np.searchsorted(known, codes[kept]), audited.seed)
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


def _facts(audited: Audited, places: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """Return the facts that are known of some images, by name: ``(n,)`` numbers of bins."""
    index, rows = audited.index, audited.rows[places]
    found: dict[str, NDArray[np.int64]] = {}
    if index.sizes is not None and (index.sizes[rows] > 0).all():
        width, height = index.sizes[rows].T.astype(np.float64)
        found["number of pixels"] = _binned(width * height)
        found["aspect"] = _binned(width / height)
    n_bytes = index.stamps.values[rows, 0]
    if (n_bytes > 0).all():
        found["size of the file"] = _binned(n_bytes.astype(np.float64))
    facts = [audited.facts.get(int(row)) for row in rows]
    told = [each for each in facts if each is not None]
    if len(told) == len(facts):
        found["brightness"] = _binned(np.array([each.brightness for each in told]))
        found["sharpness"] = _binned(np.array([each.sharpness for each in told]))
        found["camera"] = _numbered([each.camera for each in told])
    paths = [PurePosixPath(index.path[row]) for row in rows]
    found["file format"] = _numbered([each.suffix.lower() for each in paths])
    labels = [audited.labels[place] for place in places]
    for level in range(max(len(each.parts) for each in paths) - 1):
        parts = [each.parts[level] if level < len(each.parts) - 1 else "" for each in paths]
        if sum(part == label for part, label in zip(parts, labels, strict=True)) * 2 < len(
            labels
        ):  # else it is the label
            found[f"folder (level {level + 1})"] = _numbered(parts)
    return {name: values for name, values in found.items() if values.any()}


def _binned(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return which of some equally full bins each number is in; equal numbers share one."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, _BINS + 1)[1:-1]))
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
