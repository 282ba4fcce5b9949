"""Which images are suggested: of clusters without a label first, doubtful ones later, never one that has a label."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stackbone.cache import FeatureStore, StackError, UsageError
from stackbone.stack.suggesting import choice
from stackbone.stack.suggesting import suggest as module
from stackbone.stack.suggesting.choice import (
    choose,
    class_probabilities,
    cluster,
    doubtful,
    doubts,
    fitted,
    typical,
)
from stackbone.stack.suggesting.stratified import stratified
from stackbone.stack.suggesting.suggest import suggest
from tests.conftest import MakeCache

N = 30  # images of each class

Floats = NDArray[np.floating]
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


def test_one_class_is_no_error(store: FeatureStore) -> None:
    assert [each.likely for each in suggest(keep(store, [0, 1, 2]), budget=2).rows] == ["", ""]


@pytest.mark.parametrize(
    ("form", "label", "why"),
    [
        ("sets", ["cat|dog", "dog"], "an image can have several labels"),
        ("numbers", ["width=1|height=2", "width=3|height=4"], "labels are numbers"),
        ("", [f"{i}.5" for i in range(18)], "labels are numbers"),
        ("", [str(i) for i in range(30)], "labels are numbers"),
    ],
)
def test_of_sets_and_numbers_typical_images_are_asked_for_and_that_is_said(
    store: FeatureStore, form: str, label: list[str], why: str
) -> None:
    n = 36
    labels = [label[i % len(label)] for i in range(n)]
    store.write_dataset(replace(store.dataset(), label_form=form, label=[*labels, *[""] * (90 - n)]))
    found = suggest(store, budget=2)
    assert [each.likely for each in found.rows] == ["", ""]
    assert (found.n_labelled, found.by_doubt) == (n, False)
    assert found.notes == [f"{why}: typical images are asked for, however many have labels, and no class is told"]


def test_typical_images_alone_are_classified(store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def spy(classifiers: Any, blocks: Any) -> Any:  # noqa: ANN401 - passes on what it is given
        seen.append(len(blocks[0]))
        return class_probabilities(classifiers, blocks)

    monkeypatch.setattr(choice, "class_probabilities", spy)
    assert not suggest(keep(store, [0, 1, N]), budget=4).by_doubt
    assert seen == [4]


@pytest.mark.parametrize("part", [1, 7, 90, 8192])
def test_doubt_does_not_depend_on_how_many_are_told_at_a_time(monkeypatch: pytest.MonkeyPatch, part: int) -> None:
    x = clusters(0, 1, 2)
    codes = np.where(np.arange(90) % 3 == 0, np.arange(90) // 30, -1)
    wanted = doubts(class_probabilities(fitted([x], codes), [x]))
    monkeypatch.setattr(choice, "_PART", part)
    found = choose([x], codes, 5, 0)
    np.testing.assert_allclose(found.scores, wanted[found.rows])


def test_labelled_images_are_sampled_and_that_is_said(store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_COMPARED", 20)
    sizes = []

    def spy(blocks: Any, codes: Any, *others: Any) -> Any:  # noqa: ANN401 - passes on what it is given
        sizes.append(np.bincount(codes[codes >= 0]).tolist())
        return choose(blocks, codes, *others)

    monkeypatch.setattr(module, "choose", spy)
    known = [*range(28), *range(30, 44), *range(60, 62)]
    found = suggest(keep(store, known), budget=3)
    assert found.n_labelled == 44
    assert "20 of 44 images with a label, drawn at random of each class in proportion, were looked at" in found.notes
    assert "20 of 46 images without a label, drawn at random, were looked at" in found.notes
    assert sizes == [[13, 6, 1]]
    assert {each.likely for each in found.rows} <= {"cat", "dog", "emu"}


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_sample_has_each_class_and_their_proportions(seed: int) -> None:
    codes = np.random.default_rng(9).permutation(np.repeat([0, 1, 2], [600, 300, 1]))
    rows = stratified(codes, 91, seed)
    assert len(set(rows.tolist())) == 91
    assert (np.diff(rows) > 0).all()
    assert np.bincount(codes[rows]).tolist() == [60, 30, 1]
    assert len(stratified(codes, 2, seed)) == 2
    assert stratified(codes, 901, seed).tolist() == list(range(901))


def chosen_one_by_one(x: Floats, doubt: Floats, labelled: NDArray[np.bool_], budget: int) -> list[int]:
    """Return what DropQuery's clusters give with as many clusters as images are asked for, however many these are."""
    free = np.flatnonzero(~labelled)
    pool = free[np.argsort(-doubt[free], kind="stable")[: 10 * budget]]
    weights = doubt[pool].astype(np.float64) + 1e-6
    found = cluster(x[pool], budget, 0, weights)
    distances = found.transform(x[pool])
    rows: list[int] = []
    for each in np.argsort(-np.bincount(found.labels_, weights=weights)):
        order = pool[np.argsort(distances[:, each], kind="stable")].tolist()
        rows.append(next(row for row in order if row not in rows))
    return rows


@pytest.mark.parametrize("budget", [1, 20, 100, 200])
def test_up_to_the_most_clusters_one_image_of_each_is_taken(budget: int) -> None:
    rng = np.random.default_rng(budget)
    x, doubt, labelled = rng.normal(size=(1500, 6)), rng.uniform(size=1500), rng.uniform(size=1500) < 0.2
    assert doubtful(x, doubt, labelled, budget, 0) == chosen_one_by_one(x, doubt, labelled, budget)


@pytest.mark.parametrize("budget", [4, 12, 60])
def test_above_the_most_clusters_several_images_of_each_are_taken(monkeypatch: pytest.MonkeyPatch, budget: int) -> None:
    monkeypatch.setattr(choice, "MOST_CLUSTERS", 3)
    x = clusters(0, 5, 10, n=40)
    doubt = np.repeat([0.8, 0.4, 0.4], 40)
    rows = doubtful(x, doubt, np.zeros(120, np.bool_), budget, 0)
    assert len(set(rows)) == budget
    of_blob = [[row for row in rows if row // 40 == blob] for blob in range(3)]
    most = 10 * budget
    pool = np.argsort(-doubt, kind="stable")[:most]
    for blob, own in enumerate(of_blob):
        members = pool[pool // 40 == blob]
        if len(members) and budget > 4:
            far = np.linalg.norm(x[members] - x[members].mean(axis=0), axis=1)
            assert own == members[np.argsort(far)][: len(own)].tolist()
    if budget > 4:
        assert len(of_blob[0]) == pytest.approx(budget / 2, abs=2)
        assert len(of_blob[1]) == pytest.approx(budget / 4, abs=2)
