"""Which images are suggested: of clusters without a label first, doubtful ones later, never one that has a label."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stackbone.cache import FeatureStore, StackError, UsageError
from stackbone.stack.suggesting.choice import choose, doubtful, doubts, typical
from stackbone.stack.suggesting.suggest import suggest
from tests.conftest import MakeCache

N = 30  # images of each class
LABELS = [name for name in ("cat", "dog", "emu") for _ in range(N)]


def keep(store: FeatureStore, rows: list[int]) -> FeatureStore:
    """Write the index again with the labels of some rows alone."""
    index = store.dataset()
    store.write_dataset(replace(index, label=[label if i in rows else "" for i, label in enumerate(index.label)]))
    return store


@pytest.fixture
def store(tmp_path: Path, make_cache: MakeCache) -> FeatureStore:
    return make_cache(tmp_path / "features", LABELS, noise=0.3)


def clusters(*centres: float, n: int = 30) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.concatenate([rng.normal(centre, 0.1, (n, 4)) for centre in centres])


@pytest.mark.parametrize("labelled", [[], [0], [0, 1]])
def test_typical_images_are_of_clusters_without_a_label(labelled: list[int]) -> None:
    x = clusters(0, 5, 10)
    known = np.isin(np.arange(90), labelled)
    rows = [row for row, _ in typical(x, known, 3 - min(1, len(labelled)), 0)]
    found = {row // 30 for row in rows}
    assert {1, 2} <= found
    assert not set(rows) & set(labelled)


def test_a_typical_image_is_in_the_middle_of_its_cluster() -> None:
    x = clusters(0, 5)
    rows = [row for row, _ in typical(x, np.zeros(60, np.bool_), 2, 0)]
    for row in rows:
        own = x[:30] if row < 30 else x[30:]
        distances = np.linalg.norm(own - own.mean(axis=0), axis=1)
        assert np.linalg.norm(x[row] - own.mean(axis=0)) < np.median(distances)


def test_doubt_is_one_where_backbones_are_sure_of_different_classes() -> None:
    probabilities = np.array([[[1.0, 0.0], [0.9, 0.1]], [[0.0, 1.0], [0.9, 0.1]]])
    assert doubts(probabilities) == pytest.approx([1.0, 0.2])


def test_doubtful_images_are_unlike_each_other() -> None:
    x = clusters(0, 5, 10)
    doubt = np.where(np.arange(90) < 60, np.random.default_rng(0).uniform(0.8, 0.9, 90), 0.1)
    rows = doubtful(x, doubt, np.zeros(90, np.bool_), 2, 0)
    assert {row // 30 for row in rows} == {0, 1}


@pytest.mark.parametrize("n", [1, 7, 40])
def test_identical_images_are_still_suggested_once_each(n: int) -> None:
    codes = np.array([0] * 6 + [1] * 6 + [-1] * 40)
    found = choose([np.ones((52, 3), np.float32)], codes, n, 0)
    assert len(set(found.rows.tolist())) == n
    assert found.by_doubt
    assert (codes[found.rows] == -1).all()


def test_a_dataset_without_labels_is_covered(store: FeatureStore) -> None:
    found = suggest(keep(store, []), budget=3)
    assert {each.path.split("/")[0] for each in found.rows} == {"cat", "dog", "emu"}
    assert [each.likely for each in found.rows] == ["", "", ""]
    assert (found.n_labelled, found.n_unlabelled, found.by_doubt) == (0, 90, False)
    assert found.columns()["label"] == [""] * 3


def test_classes_without_a_label_come_first(store: FeatureStore) -> None:
    found = suggest(keep(store, [0, 1, N]), budget=1)
    assert found.rows[0].path.startswith("emu/")


def test_with_labels_enough_doubt_decides_and_the_class_is_told(store: FeatureStore) -> None:
    known = [i for i in range(90) if i % N < 8]
    found = suggest(keep(store, known), budget=5)
    assert found.by_doubt
    assert all(each.likely == each.path.split("/")[0] for each in found.rows)
    assert found.rows == suggest(store, budget=5).rows


def test_a_copy_of_a_labelled_image_is_not_suggested(tmp_path: Path, make_cache: MakeCache) -> None:
    content = [*range(29), 0, *range(30, 90)]
    store = keep(make_cache(tmp_path / "features", LABELS, content=content, noise=0.3), [0])
    found = suggest(store, budget=200)
    assert len(found.rows) == found.n_unlabelled == 88
    assert found.notes == ["88 images have no label: all of them are suggested"]


def test_a_dataset_with_all_labels_is_refused_with_a_way_on(store: FeatureStore) -> None:
    with pytest.raises(StackError, match=r"no image without a label \(90 have one\).*`stackbone audit`"):
        suggest(store)


@pytest.mark.parametrize("budget", [0, -1, -100])
def test_a_budget_below_one_is_refused(store: FeatureStore, budget: int) -> None:
    with pytest.raises(UsageError, match=f"--budget is {budget}"):
        suggest(store, budget=budget)


def test_one_class_numbers_and_sets_are_no_error(tmp_path: Path, make_cache: MakeCache) -> None:
    store = make_cache(tmp_path / "features", LABELS, noise=0.3)
    for form, label in (("", "cat"), ("sets", "cat|dog"), ("numbers", "width=1|height=2")):
        store.write_dataset(replace(store.dataset(), label_form=form, label=[label] * 9 + [""] * 81))
        assert [each.likely for each in suggest(store, budget=2).rows] == ["", ""]
