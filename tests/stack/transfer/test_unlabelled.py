"""Target images without a label: they train with every method that sees target images, and are never tested."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stackbone.cache import FeatureStore, as_keys
from stackbone.stack.fitting.fits import run_fits
from stackbone.stack.folds.fold import Fold
from stackbone.stack.transfer.classifier import inner_folds
from stackbone.stack.transfer.domains.parts import FoldPart, domains_of
from stackbone.stack.transfer.domains.settings import Setting
from stackbone.stack.transfer.experiment import TransferExperiment
from stackbone.stack.transfer.method import HIDDEN
from stackbone.stack.transfer.results.result_file import transfer_result
from stackbone.stack.transfer.run import run_transfer
from tests.made.domain_caches import add_domain, labels_of
from tests.made.spying_method import Spy

pytestmark = pytest.mark.usefixtures("one_blas_thread")

N_LABELLED, N_UNLABELLED = 36, 9
LABELS = [*labels_of(N_LABELLED), *[""] * N_UNLABELLED]


def _store(folder: Path, **of_target: object) -> FeatureStore:
    store = FeatureStore(folder / "features")
    add_domain(store, "studio", labels_of(30), seed=1)
    add_domain(store, "phone", LABELS, shift=0.5, seed=2, **of_target)  # type: ignore[arg-type]
    return store


def _run(store: FeatureStore, **options: object) -> TransferExperiment:
    return run_transfer(store, source="studio", target="phone", backbones="resnet50", **options)  # type: ignore[arg-type]


def test_they_are_seen_in_every_setting_and_never_tested(tmp_path: Path, spy: Spy) -> None:
    experiment = _run(_store(tmp_path), target_labels="none,few:3,all", methods="spy")
    unlabelled = experiment.pair.unlabelled
    assert unlabelled is not None
    assert (len(unlabelled), experiment.n_target) == (N_UNLABELLED, N_LABELLED)
    assert len(spy.met) == 9
    for domains in spy.met:
        assert (domains.target_labels[-N_UNLABELLED:] == HIDDEN).all()
        np.testing.assert_array_equal(domains.target[-N_UNLABELLED:], unlabelled.blocks["resnet50"])
    assert {len(domains.target) for domains in spy.met} == {24 + N_UNLABELLED}
    tested = np.concatenate([part.fold.test for part in experiment.parts])
    assert sorted(tested) == list(range(N_LABELLED))
    assert "9 target images without a label take part as images whose label is hidden, and are never tested" in (
        experiment.notes
    )
    assert experiment.left_out["unlabelled"] == 0
    assert transfer_result(experiment)["n_unlabelled"] == N_UNLABELLED


def test_baselines_score_as_without_them(tmp_path: Path) -> None:
    with_them = _run(_store(tmp_path / "a"), methods="baseline", target_labels="none,all")
    store = _store(tmp_path / "b")
    index = store.dataset("phone")
    status = (np.arange(len(LABELS)) >= N_LABELLED).astype(np.uint8)
    store.write_dataset(replace(index, status=status, reason=["unreadable" if each else "" for each in status]))
    without = _run(store, methods="baseline", target_labels="none,all")
    assert without.pair.unlabelled is None
    assert "n_unlabelled" not in transfer_result(without)
    for ours, theirs in zip(with_them.scores, without.scores, strict=True):
        assert ours.to_dict() == theirs.to_dict()


def test_the_surest_guesses_are_made_of_them(tmp_path: Path) -> None:
    scores = _run(_store(tmp_path), methods="self-training,coral", target_labels="all").scores[0]
    assert scores.unfit == {}, "with every label shown, images without one are all there is to guess"


@pytest.mark.parametrize("way", ["near", "group", "same", "twice"])
def test_nothing_of_them_belongs_to_a_tested_image(tmp_path: Path, spy: Spy, way: str) -> None:
    contents = [f"phone/{i}" for i in range(len(LABELS))]
    groups = None
    copies: dict[int, np.ndarray] = {}
    if way == "near":
        copies = dict.fromkeys((0, N_LABELLED), np.arange(1, 9, dtype=np.float32))
    if way == "group":
        groups = ["ann" if i in (0, N_LABELLED) else "" for i in range(len(LABELS))]
    if way == "same":
        contents[N_LABELLED] = contents[0]
    if way == "twice":
        contents[N_LABELLED] = contents[N_LABELLED + 1]
    experiment = _run(_store(tmp_path, contents=contents, groups=groups, copies=copies), methods="spy")
    unlabelled = experiment.pair.unlabelled
    assert unlabelled is not None
    assert len(np.unique(as_keys(unlabelled.digests))) == len(unlabelled) == N_UNLABELLED - (way in ("same", "twice"))
    for part in experiment.parts:
        left_out = way in ("near", "group") and 0 in part.fold.test
        assert len(part.unlabelled) == len(unlabelled) - left_out
        assert (0 in part.unlabelled) is not left_out


TARGET, SOURCE, UNLABELLED = "target", "source", "unlabelled"

ANN = np.arange(1, 9, dtype=np.float32)
"""Features of near copies."""


@pytest.mark.parametrize(
    ("groups", "of_source", "copies", "together"),
    [
        ({0: "ann", 36: "ann"}, {}, (), [((TARGET, 0), (UNLABELLED, 0))]),
        ({36: "ann", 37: "ann"}, {}, (), [((UNLABELLED, 0), (UNLABELLED, 1))]),
        ({1: "bob", 2: "bob", 36: "ann"}, {0: "ann"}, (), [((SOURCE, 0), (UNLABELLED, 0))]),
        ({}, {}, (36, 37), [((UNLABELLED, 0), (UNLABELLED, 1))]),
        ({}, {}, (1, 36), [((TARGET, 1), (UNLABELLED, 0))]),
        ({0: "ann", 37: "ann"}, {}, (36, 37), [((TARGET, 0), (UNLABELLED, 0)), ((TARGET, 0), (UNLABELLED, 1))]),
    ],
)
def test_those_that_belong_together_are_of_one_group_in_inner_folds(
    tmp_path: Path,
    groups: dict[int, str],
    of_source: dict[int, str],
    copies: tuple[int, ...],
    together: list[tuple[tuple[str, int], tuple[str, int]]],
) -> None:
    store = FeatureStore(tmp_path / "features")
    add_domain(store, "studio", labels_of(30), seed=1, groups=[of_source.get(i, "") for i in range(30)])
    named = [groups.get(i, "") for i in range(len(LABELS))]
    add_domain(store, "phone", LABELS, shift=0.5, seed=2, groups=named, copies=dict.fromkeys(copies, ANN))
    experiment = _run(store, methods="baseline")
    n_met = 0
    for part in experiment.parts:
        found = _groups_of(experiment, part)
        for one, other in together:
            if one in found and other in found:
                assert found[one] == found[other]
                n_met += 1
        fewer = len(found) - len(set(found.values()))
        assert fewer <= len(together) + sum(name == "bob" for name in groups.values())
    assert n_met


def _groups_of(experiment: TransferExperiment, part: FoldPart) -> dict[tuple[str, int], int]:
    """Return the group of each image that a fold learns from, by its domain and its row there."""
    domains = domains_of(experiment.pair, part, Setting(None), "resnet50", 0)
    if domains.source_groups is None or domains.target_groups is None:
        return {}
    source = {(SOURCE, int(row)): int(own) for row, own in zip(part.source, domains.source_groups, strict=True)}
    seen = [*((TARGET, int(row)) for row in part.fold.train), *((UNLABELLED, int(row)) for row in part.unlabelled)]
    return {**source, **dict(zip(seen, map(int, domains.target_groups), strict=True))}


def test_where_none_belong_together_each_image_stands_alone(tmp_path: Path, spy: Spy) -> None:
    _run(_store(tmp_path), methods="spy")
    assert {(domains.source_groups is None, domains.target_groups is None) for domains in spy.met} == {(True, True)}


def _chained(folder: Path) -> FeatureStore:
    """Return a cache where images without a label join source images to others, each pair in some folds only."""
    store = FeatureStore(folder / "features")
    add_domain(store, "studio", labels_of(60), seed=1, groups=[f"g{i}" for i in range(60)], noise=4)
    near = np.random.default_rng(0).normal(size=(20, 8)).astype(np.float32) * 5
    copies = {row: near[i] for i in range(20) for row in (i, 36 + 2 * i, 37 + 2 * i)}
    names = [f"g{i // 2 * 3 + i % 2}" for i in range(40)]
    labels = [*labels_of(36), *[""] * 40]
    add_domain(store, "phone", labels, shift=0.5, seed=2, groups=[""] * 36 + names, copies=copies, noise=4)
    return store


def test_scores_do_not_depend_on_which_fold_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = _chained(tmp_path)
    found = [_run(store, target_labels="none", methods="baseline", n_jobs=1)]
    where = "stackbone.stack.transfer.evaluation.evaluate.run_fits"
    monkeypatch.setattr(where, lambda fits, *others: run_fits(dict(reversed(fits.items())), *others))
    found.append(_run(store, target_labels="none", methods="baseline", n_jobs=1))
    first, second = (each.scores[0].to_dict() for each in found)
    assert first == second


def test_two_that_resemble_one_without_a_label_are_tested_together(tmp_path: Path) -> None:
    angles = np.deg2rad([0.0, 18.0, 9.0])  # cosines of .951, and .988 twice: only the one between is near to both
    looks = [np.array([np.cos(a), np.sin(a), *[0.0] * 6], np.float32) for a in angles]
    store = _store(tmp_path, copies=dict(zip((0, 1, N_LABELLED), looks, strict=True)))
    for seed in range(4):
        for part in _run(store, methods="baseline", seed=seed).parts:
            assert (0 in part.fold.test) is (1 in part.fold.test)


@pytest.mark.parametrize("group_by", ["auto", "none"])
def test_a_classifier_of_domains_judges_none_of_a_group_that_it_learnt_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group_by: str
) -> None:
    met: list[np.ndarray] = []

    def watch(side: np.ndarray, seed: int, groups: np.ndarray | None = None) -> list[Fold] | None:
        folds = inner_folds(side, seed, groups)
        assert folds is not None
        met.extend(fold.test for fold in folds if len(side) == 30 + 24 + N_UNLABELLED)
        return folds

    monkeypatch.setattr("stackbone.stack.transfer.estimates.density.inner_folds", watch)
    groups = ["" if label else "ann" for label in LABELS]
    groups[0] = "bob"
    _run(
        _store(tmp_path, groups=groups),
        methods="importance",
        target_labels="none",
        group_by=group_by,
        near_duplicates=1.0,
    )
    ann = set(range(30 + 24, 30 + 24 + N_UNLABELLED))
    split = [ann & set(test.tolist()) for test in met]
    assert len(split) == 3 * 3
    assert any(0 < len(each) < N_UNLABELLED for each in split) is (group_by == "none")


def test_it_is_said_where_near_copies_among_them_are_not_searched_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stackbone.stack.transfer.domains.unlabelled.MOST_COMPARED", len(LABELS) - 1)
    note = "near copies of tested images are not searched for among those without a label above 44 target images"
    store = _store(tmp_path)
    assert any(note in each for each in _run(store, methods="baseline").notes)
    assert not any(note in each for each in _run(store, methods="baseline", near_duplicates=0.98).notes)


def test_those_of_the_tested_split_and_of_other_domains_stay_out(tmp_path: Path) -> None:
    splits = [("test" if i % 4 == 0 else "train") for i in range(len(LABELS))]
    experiment = _run(_store(tmp_path / "split", splits=splits), methods="baseline", split="test")
    assert experiment.pair.unlabelled is not None
    assert len(experiment.pair.unlabelled) == 6
    store = FeatureStore(tmp_path / "column" / "features")
    labels = [label for label in labels_of(36) for _ in range(2)]
    cameras = [*["old", "new"] * 36, "new", "new", "old", ""]
    add_domain(store, "both", [*labels, "", "", "", ""], columns={"camera": cameras})
    experiment = run_transfer(store, domain_column="camera", target="new", methods="baseline")
    assert experiment.pair.unlabelled is not None
    assert len(experiment.pair.unlabelled) == 2
    assert experiment.left_out["unlabelled"] == 2


@pytest.mark.parametrize(("method", "n"), [("coral", 30 + N_LABELLED + N_UNLABELLED), ("pooled", 30 + N_LABELLED)])
def test_a_saved_model_knows_what_it_has_seen(tmp_path: Path, method: str, n: int) -> None:
    model = _run(_store(tmp_path), methods="coral", fit_model=True, save_method=method).model
    assert model is not None
    assert model.n_images == n
