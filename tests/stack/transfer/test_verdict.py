"""The verdict in words: what source images do, what to use, and what is beyond chance among many methods."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from stackbone.cache import FeatureStore
from stackbone.stack.metrics.compare import RESAMPLED_T, Difference
from stackbone.stack.transfer.domains.settings import Setting
from stackbone.stack.transfer.experiment import TransferExperiment
from stackbone.stack.transfer.results.scores import MethodScore, SettingScores
from stackbone.stack.transfer.results.source_worth import HELPS, HURTS, UNSURE
from stackbone.stack.transfer.results.verdict import verdict
from stackbone.stack.transfer.run import run_transfer
from tests.made.domain_caches import CLASSES, add_domain, labels_of
from tests.made.spying_method import Spy

pytestmark = pytest.mark.usefixtures("one_blas_thread")

Means = dict[str, tuple[float, float | None]]
"""Of each method its accuracy, and the p-value of its difference from the best baseline."""


@pytest.mark.parametrize(
    ("shift", "turned", "expected"), [(0.0, False, HELPS), (0.0, True, HURTS), (0.3, False, UNSURE)]
)
def test_the_verdict_says_what_source_images_do(
    tmp_path: Path,
    shift: float,
    turned: bool,  # noqa: FBT001 - of a table
    expected: str,
) -> None:
    store = FeatureStore(tmp_path / "features")
    n, noise = (240, 2.5) if expected != UNSURE else (24, 1.0)
    labels = labels_of(n, CLASSES[1:] + CLASSES[:1] if turned else CLASSES)
    if turned:  # the features of one class under the name of another
        add_domain(store, "studio", labels_of(n), seed=1, noise=noise)
        index = store.dataset("studio")
        store.write_dataset(replace(index, label=labels))
    else:
        add_domain(store, "studio", labels, seed=1, noise=noise)
    add_domain(store, "phone", labels_of(60 if expected != UNSURE else 24), seed=2, shift=shift, noise=noise)
    few = "few:2" if expected == HELPS else "all"
    found = run_transfer(
        store,
        source="studio",
        target="phone",
        target_labels=few,
        methods="baseline",
        cv=6,
        repeats=2,
        near_duplicates=1.0,
    )
    said = verdict(found, found.scores[0])
    assert said.source == expected, str(said)
    words = {HELPS: "Source images help here", HURTS: "use target-only", UNSURE: "cannot be told"}
    assert words[expected] in said.effect
    assert said.methods is None


def test_without_target_labels_nothing_is_said_of_helping(experiment: TransferExperiment) -> None:
    said = verdict(experiment, experiment.scores[0])
    assert said.source is None
    assert "no target-only to compare with" in str(said)


def test_a_method_is_compared_in_words(two_domains: FeatureStore, spy: Spy) -> None:
    found = run_transfer(two_domains, source="studio", target="phone", target_labels="none", methods="spy")
    result = found.scores[0].result("spy")
    assert result.difference is not None
    assert result.difference.mean == 0, "it is source-only"
    assert "No method beats the best baseline, source-only" in str(verdict(found, found.scores[0]))


def scored(
    experiment: TransferExperiment, means: dict[str, tuple[float, float | None]], effect: float
) -> SettingScores:
    """Return scores of a setting with all labels: of each method its accuracy and the p-value of its difference."""
    every = experiment.scores[-1]
    like = every.results[0]
    best = max((name for name in means if name in BASELINES), key=lambda name: means[name][0])
    results: list[MethodScore] = []
    for name, (mean, p_value) in means.items():
        score = replace(like.score, model=name, folds=[mean] * 3)
        family = "baseline" if name in BASELINES else "model"
        found = None if name == best else of(mean - means[best][0], p_value)
        results.append(replace(like, method=name, family=family, score=score, difference=found))
    return replace(every, results=results, best_baseline=best, source_effect=of(effect, 0.001))


def of(mean: float, p_value: float | None) -> Difference:
    """Return a difference whose 95% interval excludes 0 where the p-value is below .05."""
    reach = abs(mean) * (0.5 if p_value is not None and p_value < 0.05 else 1.5)
    return Difference(mean, mean - reach, mean + reach, p_value, RESAMPLED_T)


BASELINES = ("source-only", "target-only", "pooled")


def test_target_only_is_advised_where_nothing_beats_it(experiment: TransferExperiment) -> None:
    means = {"source-only": (0.5, 0.001), "target-only": (0.75, None), "pooled": (0.7, 0.001), "l2sp": (0.76, 0.4)}
    said = verdict(experiment, scored(experiment, means, -0.05))
    assert said.source == HURTS
    assert said.effect.startswith("Source images hurt here: ")
    assert said.effect.endswith("; use target-only.")


@pytest.mark.parametrize(
    ("method", "use"), [(("l2sp", 0.8, 0.001), "l2sp"), (("l2sp", 0.8, 0.2), "source-only"), (None, "source-only")]
)
def test_what_beats_target_only_is_advised_in_its_place(
    experiment: TransferExperiment, method: tuple[str, float, float] | None, use: str
) -> None:
    source = 0.78 if use == "source-only" else 0.5
    means: Means = {
        "source-only": (source, 0.001),
        "target-only": (0.75, 0.001),
        "pooled": (0.7, 0.001),
    }
    if method is not None:
        means[method[0]] = method[1:]
    said = verdict(experiment, scored(experiment, means, -0.05))
    assert said.effect.startswith("Source images hurt here, where they are simply added: ")
    assert said.effect.endswith(f"; use {use}.")


def test_many_methods_are_judged_with_their_number_in_mind(experiment: TransferExperiment) -> None:
    baselines: Means = {
        "source-only": (0.5, 0.001),
        "target-only": (0.75, None),
        "pooled": (0.7, 0.001),
    }
    one = verdict(experiment, scored(experiment, {**baselines, "coral": (0.72, 0.02)}, -0.05))
    assert str(one).endswith("Worse than target-only beyond chance: coral (-3.0).")
    several = {"l2sp": (0.78, 0.02), "coral": (0.72, 0.02), "tca": (0.6, 0.001)}
    many = str(verdict(experiment, scored(experiment, {**baselines, **several}, -0.05)))
    assert "l2sp (0.780) is the best of 3 methods" in many
    assert "which may be chance among 3 methods" in many
    assert many.endswith("Worse than target-only beyond chance among 3 methods: tca (-15.0).")


def test_a_baseline_that_could_not_be_run_is_said(experiment: TransferExperiment) -> None:
    every = experiment.scores[-1]
    unfit = {"target-only": "the 5 images to learn from have 1 of 3 classes"}
    results = [each for each in every.results if each.method != "target-only"]
    scores = replace(every, setting=Setting(None), results=results, unfit=unfit, source_effect=None)
    said = verdict(experiment, scores)
    assert said.source is None
    assert said.effect.startswith("Since target-only could not be run there is no target-only to compare with")
