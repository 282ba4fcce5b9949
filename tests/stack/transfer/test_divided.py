"""Domains divided beside images without a label: where these prevent it the message says so, and what it says works."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from stackbone.cache import FeatureStore, StackError
from stackbone.stack.divisions.division import Division
from stackbone.stack.transfer.domains.divided import divide_domains
from stackbone.stack.transfer.domains.pair import DomainPair
from stackbone.stack.transfer.domains.parts import FoldPart
from stackbone.stack.transfer.domains.reading import Asked, read_domains
from tests.made.domain_caches import DIM, add_domain, labels_of

N = 36
COATS = list(range(0, N, 3))
"""Rows of one class of `labels_of`."""


def _at(degrees: float) -> np.ndarray:
    """Return features on a circle: the cosine of two is that of the angle between them."""
    angle = np.deg2rad(degrees)
    return np.array([np.cos(angle), np.sin(angle), *[0.0] * (DIM - 2)], np.float32)


def _add_phone(store: FeatureStore, looks: dict[int, np.ndarray], n_unlabelled: int, **of_target: object) -> None:
    add_domain(store, "phone", [*labels_of(N), *[""] * n_unlabelled], seed=2, copies=looks, **of_target)  # type: ignore[arg-type]


def _divide(store: FeatureStore, **division: object) -> tuple[DomainPair, list[FoldPart]]:
    asked = Asked(("studio",), "phone", split=division.get("split"))  # type: ignore[arg-type]
    source, target, _ = read_domains(store, asked)
    return divide_domains(source, target, asked, Division(**division))  # type: ignore[arg-type]


def _coats_in_a_row(store: FeatureStore) -> dict[str, object]:
    """Every coat 15 degrees from the next, and an image without a label between any two."""
    add_domain(store, "studio", labels_of(30), seed=1)
    looks = {row: _at(15.0 * place) for place, row in enumerate(COATS)}
    looks |= {N + place: _at(15.0 * place + 7.5) for place in range(11)}
    _add_phone(store, looks, 12)
    return {}


def _coats_beside_a_tested_one(store: FeatureStore) -> dict[str, object]:
    """All coats of the training part look alike, and one image without a label is between them and a tested coat."""
    add_domain(store, "studio", labels_of(30), seed=1)
    looks = {row: _at(0.0 if row < 12 else 15.0) for row in COATS}
    splits = ["test" if row < 12 else "train" for row in range(N + 1)]
    _add_phone(store, {**looks, N: _at(7.5)}, 1, splits=splits)
    return {"split": "test"}


def _coats_of_a_person(store: FeatureStore) -> dict[str, object]:
    """All coats of the source are of a person of whom the target has an image without a label, near to a tested one."""
    add_domain(store, "studio", labels_of(30), seed=1, groups=["ann" if i % 3 == 0 else "" for i in range(30)])
    _add_phone(store, {4: _at(0.0), N: _at(7.5)}, 1, groups=[*[""] * N, "ann"])
    return {}


@pytest.mark.parametrize(
    ("make", "found", "joining"),
    [
        (_coats_in_a_row, "1 class has fewer groups", "11 images without a label ('/36.jpg', '/37.jpg', "),
        (_coats_beside_a_tested_one, "no target image of 'coat' is left", "1 image without a label ('/36.jpg') joins"),
        (_coats_of_a_person, "no source image of 'coat' is left for fold", "1 image without a label ('/36.jpg') joins"),
    ],
)
def test_images_without_a_label_that_prevent_a_division_are_named_with_what_works(
    store: FeatureStore, make: object, found: str, joining: str
) -> None:
    options = make(store)  # type: ignore[operator]
    with pytest.raises(StackError) as error:
        _divide(store, **options)
    said = str(error.value)
    assert said.startswith(found)
    assert joining in said
    [near] = re.findall(r"type --near-duplicates (\S+), ", said)
    assert near == "0.995"
    _divide(store, **options, near_duplicates=float(near))
    with pytest.raises(StackError):
        _divide(store, **options, near_duplicates=0.99)


def test_of_images_that_no_threshold_keeps_apart_it_is_said_to_take_them_out(store: FeatureStore) -> None:
    add_domain(store, "studio", labels_of(30), seed=1)
    looks = {row: _at(20.0 * place) for place, row in enumerate(COATS)}
    looks |= {N + place: _at(20.0 * place) for place in range(12)}
    _add_phone(store, looks, 12, groups=[*[""] * N, *["ann"] * 12])
    with pytest.raises(StackError, match=r"12 images without a label .* join .*: take such images out of the data"):
        _divide(store)
    _add_phone(store, {row: looks[row] for row in COATS}, 0)
    assert len(_divide(store)[1]) == 3


def test_images_without_a_label_are_not_blamed_for_what_they_do_not_prevent(store: FeatureStore) -> None:
    add_domain(store, "studio", labels_of(30), seed=1)
    labels = ["hat" if label == "coat" and row > 3 else label for row, label in enumerate(labels_of(N))]
    looks = {1: _at(0.0), 2: _at(15.0), N: _at(7.5)}
    add_domain(store, "phone", [*labels, ""], seed=2, copies=looks)
    with pytest.raises(StackError, match="1 class has fewer") as error:
        _divide(store)
    assert "without a label" not in str(error.value)


@pytest.mark.parametrize("n_joined", [0, 1, 2])
def test_labelled_images_are_compared_by_no_image_without_a_label(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch, n_joined: int
) -> None:
    """Domains beyond what is searched together: only near copies of images without a label are looked for."""
    monkeypatch.setattr("stackbone.stack.transfer.domains.pair.MOST_COMPARED", 60)
    add_domain(store, "studio", labels_of(30), seed=1)
    labelled = {row: _at(0.0) for row in (1, 4, 7)}
    between = {2: _at(60.0), 5: _at(75.0)}
    _add_phone(store, {**labelled, **between}, 0)
    plain, folds = _divide(store)
    assert plain.target_groups is None
    unlabelled = {N: _at(200.0), N + 1: _at(60.0), N + 2: _at(67.5)}
    _add_phone(store, {**labelled, **between, **dict(list(unlabelled.items())[: n_joined + 1])}, n_joined + 1)
    pair, parts = _divide(store)
    assert any("near copies are not searched for above 60 images" in note for note in pair.notes)
    tests = [part.fold.test.tolist() for part in parts]
    if n_joined < 2:
        assert tests == [part.fold.test.tolist() for part in folds]
    else:
        assert all((2 in test) is (5 in test) for test in tests)
    assert pair.target_groups is None or len(np.unique(pair.target_groups)) == N - (n_joined == 2)


def test_what_is_left_out_of_a_split_is_said_to_be_joined_to_tested_images(tmp_path: Path) -> None:
    notes = {}
    for way, near in (("copy", {}), ("joined", {N: _at(7.5)})):
        store = FeatureStore(tmp_path / way)
        add_domain(store, "studio", labels_of(30), seed=1, groups=["ann", *[""] * 29])
        looks = {0: _at(0.0), 12: _at(15.0 if near else 1.0), **near}
        splits = ["test" if row < 12 else "train" for row in range(N + len(near))]
        groups = ["ann", *[""] * (N + len(near) - 1)]
        _add_phone(store, looks, len(near), splits=splits, groups=groups)
        pair, [part] = _divide(store, split="test")
        assert len(part.fold.train) == N - 12 - 1
        assert len(part.source) == 29
        notes[way] = [note for note in pair.notes if "near copies of tested images" in note]
    said = "near copies of tested images, or joined to them by a group"
    assert notes["copy"] == [
        f"up to 1 source image a fold is left out of its source: {said}",
        f"1 target image outside the tested split is left out: {said}",
    ]
    assert notes["joined"] == [f"{note} or an image without a label" for note in notes["copy"]]


def test_nothing_is_tried_where_nothing_fails(store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    add_domain(store, "studio", labels_of(30), seed=1)
    _add_phone(store, {}, 3)
    tried = []
    monkeypatch.setattr("stackbone.stack.transfer.domains.divided._divides", lambda *_: tried.append(1))
    _divide(store)
    assert tried == []
