"""What each of several sources is worth: alone, left out, in words, in the result file and on the page."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stackbone.cache import FeatureStore, FileStamps
from stackbone.stack.metrics.compare import BOOTSTRAP, RESAMPLED_T, Difference, mean_sizes, paired_difference
from stackbone.stack.metrics.model_scores import ModelScore
from stackbone.stack.report.transfer.report import collect_result_report, collect_transfer_report
from stackbone.stack.transfer.classifier import fit_classifier
from stackbone.stack.transfer.experiment import TransferExperiment
from stackbone.stack.transfer.method import HIDDEN, Domains, Fitted
from stackbone.stack.transfer.registry import METHODS
from stackbone.stack.transfer.results.reading import read_transfer
from stackbone.stack.transfer.results.result_file import transfer_result, write_transfer
from stackbone.stack.transfer.results.source_worth import (
    HELPS,
    HURTS,
    UNSURE,
    SourceWorth,
    in_words,
    judged_together,
)
from stackbone.stack.transfer.results.table import source_footnotes, source_header, source_rows
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
    sizes, tested = mean_sizes([part.fold for part in three.parts]), [len(part.fold.test) for part in three.parts]
    for number, name in enumerate(others):
        alone, without = _run(store, [name]), _run(store, others[name])
        for scores, one, rest in zip(three.scores, alone.scores, without.scores, strict=True):
            worth = scores.sources[number]
            learner = "source-only" if scores.setting.shots == 0 else "pooled"
            assert (worth.source, worth.by, worth.why_alone, worth.why_without) == (name, learner, "", "")
            assert worth.alone is not None
            assert worth.without is not None
            assert worth.alone.folds == one.result(learner).score.folds
            assert worth.without.folds == rest.result(learner).score.folds
            all_of_them = scores.result(learner).score.folds
            assert worth.gain == paired_difference(all_of_them, worth.without.folds, *sizes, tested=tested)
            if learner == "pooled":
                own = scores.result("target-only").score.folds
                assert worth.alone_gain == paired_difference(worth.alone.folds, own, *sizes, tested=tested)
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
    assert "Of 2 sources, 'studio' helps: adding it to the others gains " in said
    assert "'web' hurts: adding it to the others loses " in said
    assert "leave it out" in said
    note = (
        "leaving out a source by this table chooses by the labels of tested images, which flatters the scores after it"
    )
    assert [each for each in source_footnotes(found.scores[0]) if each.startswith(note)]


def test_names_that_join_others_are_not_mistaken_for_them(tmp_path: Path) -> None:
    def folds(third: str) -> dict[str, list[float]]:
        store = FeatureStore(tmp_path / third / "features")
        labels = [label for label in labels_of(60) for _ in range(4)]
        cameras = ["CT", "MR", third, "new"] * 60
        add_domain(store, "all", labels, columns={"camera": cameras}, noise=3.0)
        found = run_transfer(store, domain_column="camera", target="new", target_labels="none", methods="baseline")
        worths = {each.source: each for each in found.scores[0].sources}
        assert all(each.alone is not None and each.without is not None for each in worths.values())
        scores = {"alone": worths[third].alone, "without CT": worths["CT"].without, "without": worths[third].without}
        return {what: each.folds for what, each in scores.items() if each is not None}

    assert folds("CT + MR") == folds("both")


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
    add_domain(store, "a", labels_of(30), seed=1, contents=same, noise=3.0)
    own = [f"b/{i}" for i in range(15)]
    add_domain(store, "b", labels_of(15), seed=5, contents=own, noise=3.0)
    add_domain(store, "phone", labels_of(30), seed=2, noise=3.0)
    index, both = store.dataset("b"), store.dataset("a")
    joined = replace(
        index,
        path=[*both.path[:15], *(f"b/{each}" for each in index.path)],
        label=[*both.label[:15], *index.label],
        split=[""] * 30,
        group=[""] * 30,
        image_sha256=np.concatenate([both.image_sha256[:15], index.image_sha256]),
        status=np.zeros(30, np.uint8),
        reason=[""] * 30,
        stamps=FileStamps(np.full((30, 4), -1, np.int64)),
    )
    store.write_dataset(joined)
    found = _run(store, ["a", "b"], target_labels="all")
    assert (found.n_source, found.pair.matched.repeated) == (45, 15)
    assert [each.n_images for each in found.scores[0].sources] == [30, 30]
    alone = _run(store, ["b"], target_labels="all").scores[0].result("pooled").score
    second = found.scores[0].sources[1].alone
    assert second is not None
    assert second.folds == alone.folds


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
    assert none.sources[1].gain is None
    assert none.sources[1].line == "beside the others 'b' cannot be judged, since they alone cannot be learnt from"
    assert every.sources[0].alone is not None, "beside the target's labels it can be learnt from"
    assert source_rows(none)[0][2:5] == ["-", "-", "-"]
    why = "the 20 images to learn from have 1 of 3 classes"
    first, second = source_footnotes(none)
    assert first.startswith(f"'a' alone cannot be learnt from: {why}")
    assert second.startswith(f"without 'b' the others cannot be learnt from: {why}")
    assert source_footnotes(every) == []


def test_a_source_that_neither_alone_nor_the_others_without_it_teach_is_told_both(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "features")
    for seed, (name, label) in enumerate({"a": "coat", "b": "hat", "c": "hat"}.items(), start=1):
        add_domain(store, name, [label] * 20, seed=seed)
    add_domain(store, "phone", labels_of(30, CLASSES[:2]), seed=9)
    found = _run(store, ["a", "b", "c"], target_labels="none")
    assert [(row[0], row[2], row[5]) for row in source_rows(found.scores[0])] == [
        ("a", "-", "-"),
        ("b", "-", source_rows(found.scores[0])[1][5]),
        ("c", "-", source_rows(found.scores[0])[2][5]),
    ]
    ones, twos = (f"the {n} images to learn from have 1 of 2 classes" for n in (20, 40))
    notes = source_footnotes(found.scores[0])
    starts = [f"'a' alone cannot be learnt from: {ones}", f"without 'a' the others cannot be learnt from: {twos}"]
    starts += [f"{name!r} alone cannot be learnt from: {ones}" for name in "bc"]
    assert len(notes) == len(starts)
    assert all(note.startswith(start) for note, start in zip(notes, starts, strict=True))
    write_transfer(found, tmp_path / "r.json")
    assert source_footnotes(read_transfer(tmp_path / "r.json").scores[0]) == notes

    content = json.loads((tmp_path / "r.json").read_text())
    sources = content["settings"][0]["sources"]
    assert ["why_alone" in each for each in sources] == [True, False, False]
    del sources[0]["why_alone"]  # as earlier versions wrote it
    (tmp_path / "r.json").write_text(json.dumps(content))
    before = source_footnotes(read_transfer(tmp_path / "r.json").scores[0])
    assert before == ["'a' alone cannot be learnt from", *notes[1:]]


def test_a_source_without_a_shared_class_is_told_plainly(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "features")
    add_domain(store, "a", labels_of(60), seed=1)
    add_domain(store, "b", ["tie"] * 20 + ["boot"] * 20, seed=2)
    add_domain(store, "phone", labels_of(60), seed=3)
    found = _run(store, ["a", "b"], target_labels="none,all")
    for scores in found.scores:
        assert scores.sources[1].line == "'b' has no image of a shared class"
        assert "'b' has no image of a shared class" in str(verdict(found, scores))
        assert not any(note.startswith("'b'") for note in source_footnotes(scores))


def _cameras(folder: Path, n_cameras: int) -> FeatureStore:
    store = FeatureStore(folder / "features")
    labels = [label for label in labels_of(9) for _ in range(n_cameras + 1)]
    cameras = [*(f"cam{i:02}" for i in range(n_cameras)), "new"] * 9
    add_domain(store, "all", labels, columns={"camera": cameras}, backbones=["resnet50"])
    return store


def test_of_many_sources_none_is_judged_and_it_is_said_why(tmp_path: Path) -> None:
    options: dict[str, Any] = {"domain_column": "camera", "target": "new", "target_labels": "none"}
    found = run_transfer(_cameras(tmp_path / "13", 13), methods="baseline", **options)
    assert found.scores[0].sources == []
    (note,) = [each for each in found.notes if each.startswith("what each of 13 sources is worth is not told")]
    assert "26 further fits" in note
    found = run_transfer(_cameras(tmp_path / "12", 12), methods="baseline", **options)
    assert len(found.scores[0].sources) == 12
    assert not any("is not told" in each for each in found.notes)


def test_what_is_learnt_of_a_source_alone_is_learnt_once(store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    learnt = []

    def watch(source: np.ndarray, *others: Any, **options: Any) -> Any:  # noqa: ANN401
        learnt.append(len(source))
        return fit_classifier(source, *others, **options)

    monkeypatch.setattr("stackbone.stack.transfer.methods.baselines.source_only.fit_classifier", watch)
    _run(store, ["studio", "web"], target_labels="none", backbones="resnet50", cv=5)
    assert sorted(learnt) == [60, 90, 150], "all, and each alone, whatever the number of folds"


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


def _worth(gain: float, p_value: float, alone: float, alone_p: float, n_compared: int = 6) -> SourceWorth:
    score = ModelScore("pooled", [0.5, 0.6], {})
    of = [Difference(mean, mean - 0.1, mean + 0.1, p, "t") for mean, p in ((alone, alone_p), (gain, p_value))]
    return SourceWorth("web", 10, "pooled", score, score, of[0], of[1], n_compared=n_compared)


@pytest.mark.parametrize(
    ("worth", "said", "words"),
    [
        (_worth(0.02, 0.001, 0.0, 1.0), HELPS, "'web' helps: adding it to the others gains 2.0 points"),
        (
            _worth(-0.02, 0.001, 0.1, 0.001),
            HURTS,
            "'web' hurts: adding it to the others loses 2.0 points; leave it out",
        ),
        (_worth(0.02, 0.01, 0.1, 0.01), UNSURE, "whether 'web' helps cannot be told"),
        (_worth(0.0, 1.0, 0.1, 0.001), HELPS, "'web' helps by itself; what it does beside the others cannot be told"),
        (
            _worth(0.001, 0.5, -0.1, 0.001),
            HURTS,
            "'web' hurts by itself; what it does beside the others cannot be told",
        ),
        (
            replace(_worth(0.0, 1.0, 0.1, 0.001), gain=None, without=None, why_without="the others have one class"),
            HELPS,
            "'web' helps by itself; beside the others it cannot be judged, since they alone cannot be learnt from",
        ),
        (
            replace(_worth(0.0, 1.0, 0.1, 1.0), gain=Difference(0.1, None, None, None, RESAMPLED_T)),
            UNSURE,
            "whether 'web' helps cannot be told: every fold gives the same difference, +10.0 points, so that there is "
            "no interval; more --repeats may give one",
        ),
        (
            replace(_worth(0.0, 1.0, 0.1, 1.0), gain=Difference(0.0, None, None, 1.0, RESAMPLED_T)),
            UNSURE,
            "whether 'web' helps cannot be told: without it the score is the same",
        ),
    ],
)
def test_what_a_source_does_is_put_in_words(worth: SourceWorth, said: str, words: str) -> None:
    assert (worth.verdict, worth.line) == (said, words)


def test_by_chance_a_source_is_judged_no_more_often_than_it_may_be() -> None:
    rng = np.random.default_rng(0)
    n_trials, n_judged = 2000, 0
    for _ in range(n_trials):
        values = rng.uniform(size=(3, 2))
        worths = judged_together([_worth(0.1, one, 0.1, other) for one, other in values])
        assert {each.n_compared for each in worths} == {6}
        n_judged += any(each.verdict != UNSURE for each in worths)
    assert n_judged / n_trials == pytest.approx(1 - (1 - 0.05 / 6) ** 6, abs=0.01)


def test_differences_that_are_not_there_do_not_count() -> None:
    one = _worth(0.1, 0.01, 0.1, 0.01)
    worths = judged_together([replace(one, alone_gain=None), replace(one, gain=None), replace(one, n_images=0)])
    assert {each.n_compared for each in worths} == {2}


def test_of_many_sources_those_that_help_or_hurt_are_named_and_the_others_counted() -> None:
    unsure = [replace(_worth(0.0, 1.0, 0.0, 1.0), source=f"cam{i}") for i in range(9)]
    said = in_words([*unsure, _worth(0.02, 0.001, 0.0, 1.0)])
    assert said == (
        "Of 10 sources, 'web' helps: adding it to the others gains 2.0 points; whether the other 9 help cannot be told."
    )
    assert in_words(unsure) == "Of 9 sources, whether any of them helps cannot be told."
    assert in_words(unsure[:2]) == (
        "Of 2 sources, whether 'cam0' helps cannot be told; whether 'cam1' helps cannot be told."
    )
    assert in_words([]) is None


def test_a_name_is_quoted_as_it_is() -> None:
    assert repr("a\nb") in replace(_worth(0.0, 1.0, 0.0, 1.0), source="a\nb").line
