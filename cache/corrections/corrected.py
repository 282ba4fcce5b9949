"""A dataset's labels as corrections leave them, and which of these no longer apply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.corrections.batch import Batch
from stackbone.cache.disk.digest import Digests
from stackbone.cache.text import counted

_HEAD = 8  # bytes of a digest: enough to tell images apart, and quick to compare


@dataclass(frozen=True, eq=False)
class Corrected:
    """What corrections made of a dataset's labels.

    Attributes
    ----------
    label
        n labels, row by row of the index.
    own
        Row to the label that the dataset's own listing has, of rows that have another one now.
    batch
        Row to the place of the batch that the label is from, of the same rows.
    changed
        Paths of images of which no file has the label any more that was corrected, or the corrected one: theirs stand.
    other_form
        Paths of images that were corrected while the dataset's labels were of another form.
    gone
        Paths of corrected images that the dataset does not list any more.
    """

    label: list[str]
    own: dict[int, str] = field(default_factory=dict)
    batch: dict[int, int] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
    other_form: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)

    def notes(self) -> list[str]:
        """Return what is to be said wherever the labels are used, in sentences; nothing where nothing was corrected."""
        notes = []
        if self.own:
            notes.append(f"{counted(len(self.own), 'label')} corrected (`stackbone relabel --list` shows them)")
        if self.changed:
            what = "whose label" if len(self.changed) == 1 else "whose labels"
            notes.append(_passed_over(self.changed, f"{what} the dataset itself has changed since"))
        if self.other_form:
            was = "was" if len(self.other_form) == 1 else "were"
            what = f"that {was} corrected when the dataset's labels were of another form"
            notes.append(_passed_over(self.other_form, what))
        if self.gone:
            notes.append(_passed_over(self.gone, "that the dataset no longer has"))
        return notes


def _passed_over(paths: Sequence[str], what: str) -> str:
    apply = "a correction no longer applies" if len(paths) == 1 else f"{len(paths):,} corrections no longer apply"
    images = "an image" if len(paths) == 1 else "images"
    return f"{apply}: of {images} {what}, such as {paths[0][:200]!r}"


def correct(labels: Sequence[str], digests: Digests, label_form: str, batches: Sequence[Batch]) -> Corrected:
    """Return labels with corrections applied, batch after batch.

    A correction is of an image, by its bytes, and of a label: it applies to every file of the image whose own label is
    the one that was corrected. So copies under other names follow, and whoever corrects the photographs themselves
    afterwards is believed: also who moves a file back to where an earlier batch took it from, if a later batch gave its
    image that label.

    Parameters
    ----------
    labels
        n labels of the dataset's own listing.
    digests
        ``(n, 32) uint8``; zero where a file could not be read.
    label_form
        As of the index; corrections of labels of another form do not apply.
    batches
        The earliest first.
    """
    said = _said(label_form, batches)
    found = Corrected(list(labels))
    met: set[bytes] = set()
    settled: set[bytes] = set()
    for row in _rows_of(digests, list(said)):
        key = digests[row].tobytes()
        if key not in said:
            continue
        met.add(key)
        of_image, own = said[key], labels[row]
        label, place = of_image.label.get(own, (own, -1))
        if label != own and place >= of_image.given.get(own, -1):
            settled.add(key)
            found.label[row] = label
            found.own[row], found.batch[row] = own, place
        elif own in {label for label, _ in of_image.label.values()}:  # the dataset says so itself by now
            settled.add(key)
    for key, of_image in said.items():
        if key not in met:
            found.gone.append(of_image.path)
        elif not of_image.label:
            found.other_form.append(of_image.path)
        elif key not in settled:
            found.changed.append(of_image.path)
    return found


@dataclass(eq=False)
class _Said:
    """What batches say of one image."""

    path: str = ""
    label: dict[str, tuple[str, int]] = field(default_factory=dict)  # by own label: the corrected one, its batch
    given: dict[str, int] = field(default_factory=dict)  # by corrected label: the last batch that gave it


def _said(label_form: str, batches: Sequence[Batch]) -> dict[bytes, _Said]:
    said: dict[bytes, _Said] = {}
    for place, batch in enumerate(batches):
        for path, label, was, digest in zip(batch.path, batch.label, batch.was, batch.image_sha256, strict=True):
            of_image = said.setdefault(digest.tobytes(), _Said())
            of_image.path = path
            if batch.label_form == label_form:
                of_image.label[was] = (label, place)
                of_image.given[label] = place
    return said


def _rows_of(digests: Digests, images: Sequence[bytes]) -> list[int]:
    """Return rows that may be of these images: others are passed over without a look at their whole digest."""
    wanted = np.frombuffer(b"".join(image[:_HEAD] for image in images), np.uint64)
    heads: NDArray[np.uint64] = np.ascontiguousarray(digests[:, :_HEAD]).view(np.uint64).reshape(-1)
    rows: list[int] = np.flatnonzero(np.isin(heads, wanted)).tolist()
    return rows
