"""What each of several sources is worth: alone, left out, in words, in the result file and on the page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stackbone.cache import FeatureStore
from stackbone.stack.metrics.compare import BOOTSTRAP, Difference, mean_sizes, paired_difference
from stackbone.stack.metrics.model_scores import ModelScore
from stackbone.stack.report.transfer.report import collect_result_report, collect_transfer_report
from stackbone.stack.transfer.experiment import TransferExperiment
from stackbone.stack.transfer.method import HIDDEN, Domains, Fitted
from stackbone.stack.transfer.registry import METHODS
from stackbone.stack.transfer.results.reading import read_transfer
from stackbone.stack.transfer.results.result_file import transfer_result, write_transfer
from stackbone.stack.transfer.results.source_worth import HELPS, HURTS, UNSURE, SourceWorth
from stackbone.stack.transfer.results.table import source_header, source_rows
from stackbone.stack.transfer.results.verdict import verdict
from stackbone.stack.transfer.run import run_transfer
from tests.made.domain_caches import CLASSES, add_domain, labels_of

pytestmark = pytest.mark.usefixtures("one_blas_thread")

SETTINGS = "none,few:3,all"


def _run(store: FeatureStore, sources: list[str], **options: Any) -> TransferExperiment:  # noqa: ANN401
    given = {"target_labels": SETTINGS, "methods": "baseline", "near_duplicates": 1.0, **options}
    return run_transfer(store, source=sources, target="phone", **given)


def _mislabel(store: FeatureStore, name: str) -> None:
    """Give each class of a dataset the name of the next."""
    index = store.dataset(name)
    turned = dict(zip(CLASSES, (*CLASSES[1:], CLASSES[0]), strict=True))
    store.write_dataset(replace(index, label=[turned[label] for label in index.label]))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """Return a cache of a target and of sources that are right, wrong about every class, and right once more."""
    store = FeatureStore(tmp_path_factory.mktemp("sources") / "features")
    for seed, (name, n) in enumerate({"studio": 60, "web": 90, "shop": 45}.items(), start=1):
        add_domain(store, name, labels_of(n), seed=seed, noise=2.0)
    _mislabel(store, "web")
    add_domain(store, "phone", labels_of(60), seed=9, shift=0.2, noise=2.0)
    return store


@pytest.fixture(scope="module")
def three(store: FeatureStore) -> TransferExperiment:
    """Return the baselines from all three."""
    return _run(store, ["studio", "web", "shop"])


def test_each_is_scored_as_if_it_were_run_alone_and_left_out(store: FeatureStore, three: TransferExperiment) -> None:
    others = {"studio": ["web", "shop"], "web": ["studio", "shop"], "shop": ["studio", "web"]}
    sizes = mean_sizes([part.fold for part in three.parts])
    for number, name in enumerate(others):
        alone, without = _run(store, [name]), _run(store, others[name])
        for scores, one, rest in zip(three.scores, alone.scores, without.scores, strict=True):
            worth = scores.sources[number]
            learner = "source-only" if scores.setting.shots == 0 else "pooled"
            assert (worth.source, worth.by, worth.why) == (name, learner, "")
            assert worth.alone is not None
            assert worth.without is not None
            assert worth.alone.folds == one.result(learner).score.folds
            assert worth.without.folds == rest.result(learner).score.folds
            all_of_them = scores.result(learner).score.folds
            assert worth.gain == paired_difference(all_of_them, worth.without.folds, *sizes)
            if learner == "pooled":
                own = scores.result("target-only").score.folds
                assert worth.alone_gain == paired_difference(worth.alone.folds, own, *sizes)
            else:
                assert worth.alone_gain is None
    assert [each.n_images for each in three.scores[0].sources] == [60, 90, 45]


def test_of_two_each_is_what_the_other_leaves(store: FeatureStore) -> None:
    for scores in _run(store, ["studio", "web"]).scores:
        first, second = scores.sources
        assert first.without is not None
        assert second.without is not None
        assert second.alone == first.without
        assert first.alone == second.without


def test_a_source_that_misleads_is_told_from_one_that_helps(store: FeatureStore) -> None:
    found = _run(store, ["studio", "web"], target_labels="few:3", cv=6, repeats=3)
    right, wrong = found.scores[0].sources
    assert (right.verdict, wrong.verdict) == (HELPS, HURTS)
    said = str(verdict(found, found.scores[0]))
    assert "Of 2 sources, 'studio' helps: it adds " in said
    assert "'web' hurts: it costs " in said
    assert "leave it out" in said


def test_no_more_labels_are_seen_than_the_setting_shows(store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[int] = []
    for name in ("pooled", "source-only"):
        fit = METHODS[name].fit

        def watch(domains: Domains, fit: Any = fit) -> Fitted:  # noqa: ANN401
            shown.append(int((domains.target_labels != HIDDEN).sum()))
            fitted: Fitted = fit(domains)
            return fitted

        monkeypatch.setattr(METHODS[name], "fit", watch)
    _run(store, ["studio", "web", "shop"], target_labels="few:3", backbones="resnet50")
    assert len(shown) == 3 * (2 + 6), "both baselines of all, and six choices of sources, in three folds"
    assert set(shown) == {3 * len(CLASSES)}


def test_one_source_is_said_nothing_more_of(store: FeatureStore) -> None:
    found = _run(store, ["studio"])
    assert all(not each.sources for each in found.scores)
    assert all("sources" not in each for each in transfer_result(found)["settings"])
    assert "Of " not in str(verdict(found, found.scores[-1]))


def test_an_image_of_two_sources_is_of_both(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "features")
    same = [f"both/{i}" for i in range(30)]
    add_domain(store, "a", labels_of(30), seed=1, contents=same)
    add_domain(store, "b", labels_of(30), seed=1, contents=[*same[:15], *(f"b/{i}" for i in range(15))])
    add_domain(store, "phone", labels_of(30), seed=2)
    found = _run(store, ["a", "b"], target_labels="all")
    assert (found.n_source, found.pair.matched.repeated) == (45, 15)
    assert [each.n_images for each in found.scores[0].sources] == [30, 30]
    alone = _run(store, ["b"], target_labels="all").scores[0].result("pooled").score
    second = found.scores[0].sources[1].alone
    assert second is not None
    assert second.mean == pytest.approx(alone.mean, abs=0.1)


def test_values_of_a_column_are_sources_too_and_a_split_is_compared_by_its_images(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "features")
    labels = [label for label in labels_of(90) for _ in range(3)]
    splits = ["test" if i % 2 else "train" for i in range(len(labels))]
    add_domain(store, "all", labels, columns={"camera": ["old", "new", "film"] * 90}, splits=splits)
    found = run_transfer(store, domain_column="camera", target="new", split="test", methods="baseline")
    film, old = found.scores[0].sources
    assert (film.source, old.source) == ("film", "old")
    assert film.gain is not None
    assert film.gain.method == BOOTSTRAP


def test_a_source_of_one_class_is_said_to_teach_nothing_alone(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "features")
    add_domain(store, "a", ["hat"] * 20, seed=1)
    add_domain(store, "b", labels_of(30), seed=2)
    add_domain(store, "phone", labels_of(30), seed=3)
    none, every = _run(store, ["a", "b"], target_labels="none,all").scores
    assert none.sources[0].alone is None
    assert none.sources[0].gain is not None
    assert "have 1 of 3 classes" in none.sources[0].why
    assert none.sources[1].gain is None
    assert "'b' could not be judged: " in none.sources[1].line
    assert every.sources[0].alone is not None, "beside the target's labels it can be learnt from"
    assert source_rows(none)[0][2:5] == ["-", "-", "-"]


def test_a_result_file_and_the_page_have_them(store: FeatureStore, three: TransferExperiment, tmp_path: Path) -> None:
    write_transfer(three, tmp_path / "r.json")
    found = read_transfer(tmp_path / "r.json")
    for ours, theirs in zip(found.scores, three.scores, strict=True):
        assert ours.to_dict() == theirs.to_dict()
        assert source_rows(ours) == source_rows(theirs)
        assert verdict(found, ours) == verdict(three, theirs)
    report, _ = collect_result_report(found, store, "pca")
    tables = report.parts[0].record.tables
    assert tables == collect_transfer_report(three, "pca", store).parts[0].record.tables
    assert len(tables) == 6
    assert tables[1].header == source_header(three.scores[0])
    assert [row[0] for row in tables[1].rows] == ["studio", "web", "shop"]


def _worth(gain: float, p_value: float, alone: float, alone_p: float) -> SourceWorth:
    score = ModelScore("pooled", [0.5, 0.6], {})
    of = [Difference(mean, mean - 0.1, mean + 0.1, p, "t") for mean, p in ((alone, alone_p), (gain, p_value))]
    return SourceWorth("web", 10, 3, "pooled", score, score, of[0], of[1])


@pytest.mark.parametrize(
    ("worth", "said", "words"),
    [
        (_worth(0.02, 0.001, 0.0, 1.0), HELPS, "'web' helps: it adds 2.0 points to what the others teach"),
        (_worth(-0.02, 0.001, 0.1, 0.001), HURTS, "'web' hurts: it costs 2.0 points to what the others teach"),
        (_worth(0.02, 0.02, 0.1, 0.02), UNSURE, "of 'web' it cannot be told"),
        (_worth(0.0, 1.0, 0.1, 0.001), HELPS, "'web' helps by itself; beside the others that cannot be told"),
        (_worth(0.001, 0.5, -0.1, 0.001), HURTS, "'web' hurts by itself; beside the others that cannot be told"),
    ],
)
def test_sources_are_judged_with_their_number_in_mind(worth: SourceWorth, said: str, words: str) -> None:
    assert worth.verdict == said
    assert worth.line.startswith(words)


def test_a_name_is_quoted_as_it_is() -> None:
    assert repr("a\nb") in replace(_worth(0.0, 1.0, 0.0, 1.0), source="a\nb").line
