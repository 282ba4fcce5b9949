"""A transfer from end to end on arrays: baselines to the letter, methods beside them, the verdict, the saved model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stackbone.cache import FeatureStore, StackError, UsageError
from stackbone.cache.text import to_json
from stackbone.stack import load_model, save_model
from stackbone.stack.learners.bases.lr import score_classes
from stackbone.stack.metrics.compare import mean_sizes, paired_difference
from stackbone.stack.report.page import render_page
from stackbone.stack.report.pictures import Pictures
from stackbone.stack.report.transfer.report import collect_transfer_report
from stackbone.stack.solvers.linear import LinearMap
from stackbone.stack.transfer.classifier import STRENGTHS, fit_classifier, inner_folds
from stackbone.stack.transfer.domains.parts import domains_of, everything
from stackbone.stack.transfer.domains.settings import Setting
from stackbone.stack.transfer.experiment import TransferExperiment
from stackbone.stack.transfer.gap.distance import discrepancy, proxy_a_distance
from stackbone.stack.transfer.method import Domains, Fitted, LinearFitted, Matrix, Method, Probabilities
from stackbone.stack.transfer.registry import METHODS
from stackbone.stack.transfer.result_file import transfer_result
from stackbone.stack.transfer.run import choose_methods, run_transfer
from stackbone.stack.transfer.table import footnotes, header, rows, transfer_rows
from stackbone.stack.transfer.verdict import HELPS, HURTS, UNSURE, verdict
from tests.made.domain_caches import CLASSES, add_domain, labels_of, make_domains

pytestmark = pytest.mark.usefixtures("one_blas_thread")

BASELINES = ["source-only", "target-only", "pooled"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    return make_domains(tmp_path_factory.mktemp("domains") / "features")


@pytest.fixture(scope="module")
def experiment(store: FeatureStore) -> TransferExperiment:
    return run_transfer(store, source="studio", target="phone", target_labels="none,few:3,all", methods="baseline")


def test_baselines_always_run_and_say_where_they_cannot(experiment: TransferExperiment) -> None:
    none, few, every = experiment.scores
    assert [each.method for each in few.results] == [each.method for each in every.results] == BASELINES
    assert [each.method for each in none.results] == ["source-only"]
    assert none.unfit == {name: "needs labels of target images" for name in BASELINES[1:]}
    assert footnotes(none) == ["not run: target-only, pooled: needs labels of target images"]
    assert none.best_baseline == "source-only"


def test_source_only_is_the_logistic_regression_of_the_source(
    store: FeatureStore, experiment: TransferExperiment
) -> None:
    pair = experiment.pair
    for name in pair.target.names:
        x, y = pair.source.blocks[name], pair.source_codes
        folds = inner_folds(y, 0)
        assert folds is not None
        found = score_classes(x, y, pair.target.blocks[name], 3, folds, STRENGTHS)
        for scores in experiment.scores:
            result = scores.result("source-only")
            assert [each["C"] for each in result.chosen[name]] == [found.chosen] * 3
            said = found.test.argmax(axis=1)
            right = [float((said == pair.target_codes)[part.fold.test].mean()) for part in experiment.parts]
            assert result.backbones[name].folds == pytest.approx(right)


def test_every_row_is_scored_by_the_mean_of_probabilities(experiment: TransferExperiment) -> None:
    for scores in experiment.scores:
        for result in scores.results:
            for logs, part, accuracy in zip(
                scores.predictions[result.method], experiment.parts, result.score.folds, strict=True
            ):
                assert np.exp(logs).sum(axis=1) == pytest.approx(1)
                assert accuracy == np.mean(logs.argmax(axis=1) == experiment.pair.target_codes[part.fold.test])


def test_differences_are_paired_with_the_best_baseline(experiment: TransferExperiment) -> None:
    sizes = mean_sizes([part.fold for part in experiment.parts])
    for scores in experiment.scores:
        best = scores.result(scores.best_baseline)
        assert best.difference is None
        assert best.score.mean == max(each.score.mean for each in scores.results)
        for result in scores.results:
            if result is not best:
                assert result.difference == paired_difference(result.score.folds, best.score.folds, *sizes)
    every = experiment.scores[-1]
    pooled, alone = every.result("pooled").score, every.result("target-only").score
    assert every.source_effect == paired_difference(pooled.folds, alone.folds, *sizes)


def test_the_same_command_gives_the_same_numbers(store: FeatureStore, experiment: TransferExperiment) -> None:
    again = run_transfer(
        store, source=["studio"], target="phone", target_labels="few:3,none,all", methods="baseline", n_jobs=1
    )
    assert to_json(transfer_result(again)) == to_json(transfer_result(experiment))
    other = run_transfer(store, source="studio", target="phone", methods="baseline", seed=1)
    losses = [each.scores[-1].result("target-only").score.metrics["log_loss"] for each in (other, experiment)]
    assert losses[0] != losses[1]


def test_methods_see_no_label_and_no_row_beyond_their_setting(
    store: FeatureStore, spy: Spy, experiment: TransferExperiment
) -> None:
    run_transfer(store, source="studio", target="phone", target_labels="none,few:2", methods="spy", n_jobs=1)
    assert len(spy.met) == 2 * 3 * 2
    shown = sorted(len(each.seen) for each in spy.met)
    assert shown == [0] * 6 + [6] * 6
    blocks = experiment.pair.target.blocks.values()
    tested = [{bytes(row) for block in blocks for row in block[part.fold.test]} for part in experiment.parts]
    for domains in spy.met:
        learnt = {bytes(row) for row in domains.target}
        assert sum(rows.isdisjoint(learnt) for rows in tested) == 1, "of its own fold"
        assert len(domains.target) == 30


def test_folds_with_the_same_source_share_what_is_computed_of_it(store: FeatureStore, spy: Spy) -> None:
    run_transfer(store, source="studio", target="phone", target_labels="none,all", methods="spy", n_jobs=2)
    assert spy.made == 2, "once for each backbone, whatever the folds and settings"


def test_names_and_families_of_methods(spy: Spy) -> None:
    assert [each.name for each in choose_methods("baseline")] == BASELINES
    assert [each.name for each in choose_methods("spy")] == [*BASELINES, "spy"]
    assert "spy" in [each.name for each in choose_methods("multi-task")]
    assert {each.name for each in choose_methods("all")} == {each.name for each in METHODS.values() if each.by_default}
    with pytest.raises(UsageError, match=r"unknown method 'spi'.*did you mean 'spy'"):
        choose_methods("spi")


def test_a_method_that_cannot_serve_is_named_and_the_others_go_on(store: FeatureStore, spy: Spy) -> None:
    spy.refuses = "needs more light"
    found = run_transfer(store, source="studio", target="phone", methods="spy")
    assert found.scores[0].unfit == {"spy": "needs more light"}
    spy.refuses, spy.fails = None, True
    found = run_transfer(store, source="studio", target="phone", methods="spy")
    assert found.scores[0].unfit == {"spy": "no light at all"}
    assert [each.method for each in found.scores[0].results] == BASELINES


def test_a_method_that_gives_no_probabilities_is_an_error(store: FeatureStore, spy: Spy) -> None:
    spy.scale = 2.0
    with pytest.raises(StackError, match="'spy' gives no probabilities"):
        run_transfer(store, source="studio", target="phone", methods="spy")


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


def test_a_method_is_compared_in_words(store: FeatureStore, spy: Spy) -> None:
    found = run_transfer(store, source="studio", target="phone", target_labels="none", methods="spy")
    result = found.scores[0].result("spy")
    assert result.difference is not None
    assert result.difference.mean == 0, "it is source-only"
    assert "No method beats the best baseline, source-only" in str(verdict(found, found.scores[0]))


def test_table_and_rows_agree(experiment: TransferExperiment) -> None:
    every = experiment.scores[-1]
    shown = [dict(zip(header(experiment, every), row, strict=True)) for row in rows(experiment, every)]
    told = [row for row in transfer_rows(experiment) if row["setting"] == "all"]
    for cells, row, result in zip(shown, told, every.results, strict=True):
        assert cells["method"] == row["method"] == result.method
        assert cells["accuracy"] == f"{row['accuracy']:.3f}"
        assert cells["resnet50"] == f"{row['accuracy:resnet50']:.3f}"
        assert [row[f"fold_{i + 1}"] for i in range(3)] == result.score.folds


def test_a_split_of_the_target_is_tested_by_bootstrap(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "features")
    add_domain(store, "studio", labels_of(60), seed=1)
    splits = ["test" if i < 21 else "train" for i in range(60)]
    add_domain(store, "phone", labels_of(60), seed=2, shift=1.0, splits=splits, noise=2.0)
    found = run_transfer(store, source="studio", target="phone", split="test", methods="baseline")
    [part] = found.parts
    assert part.fold.test.tolist() == list(range(21))
    assert found.to_dict()["cv"] is None
    methods = {each.difference.method for each in found.scores[0].results if each.difference}
    assert methods == {"paired bootstrap over images"}


@pytest.mark.parametrize("name", BASELINES)
def test_a_saved_model_answers_as_the_method_and_says_whose_statistics_it_uses(
    store: FeatureStore, tmp_path: Path, name: str
) -> None:
    found = run_transfer(
        store,
        source="studio",
        target="phone",
        target_labels="few:3",
        methods="baseline",
        with_model=True,
        save_method=name,
    )
    assert found.model is not None
    save_model(found.model, tmp_path / "model")
    model = load_model(tmp_path / "model")
    assert model.transfer == {
        "method": name,
        "source": "studio",
        "target": "phone",
        "target_labels": "few:3",
        "statistics": METHODS[name].statistics,
    }
    assert f"for phone by {name} from studio (target labels: few:3)" in model.describe()
    assert METHODS[name].statistics in model.describe()
    pair = found.pair
    blocks = pair.target.blocks
    said = np.exp(model.log_probabilities(blocks))
    if name == "source-only":
        fits = [fit_classifier(pair.source.blocks[each], pair.source_codes, 3, seed=0) for each in blocks]
        mean = np.mean([fit.predict_proba(blocks[each]) for fit, each in zip(fits, blocks, strict=True)], axis=0)
        assert said == pytest.approx(mean, abs=1e-6)
    n = {"source-only": 60, "target-only": 9, "pooled": 105}[name]
    known = model.knows(np.concatenate([pair.source.digests, pair.target.digests]))
    assert (model.n_images, int(known.sum()) if known is not None else None) == (n, n)


def test_the_best_linear_method_is_saved_where_none_is_named(store: FeatureStore, spy: Spy) -> None:
    spy.is_linear = False
    with pytest.raises(StackError, match="spy is no linear map"):
        run_transfer(store, source="studio", target="phone", methods="spy", with_model=True)
    found = run_transfer(store, source="studio", target="phone", methods="baseline", with_model=True)
    assert found.model is not None
    assert found.model.transfer is not None
    best = max(found.scores[0].results, key=lambda each: each.score.mean)
    assert found.model.transfer["method"] == best.method


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"target_labels": "none,all", "with_model": True}, "--save keeps one model"),
        ({"with_model": True, "save_method": "coral?"}, "unknown --save-method"),
        ({"target_labels": "none", "with_model": True, "save_method": "pooled"}, "pooled cannot be saved"),
        ({"cv": "loo"}, "--cv loo"),
        ({"target_labels": "half"}, "--target-labels half"),
    ],
)
def test_arguments_that_contradict_each_other_are_refused(
    store: FeatureStore, asked: dict[str, object], message: str
) -> None:
    given = {"methods": "baseline", "source": "studio", "target": "phone", **asked}
    with pytest.raises(UsageError, match=message):
        run_transfer(store, **given)  # type: ignore[arg-type] # wrong on purpose


def test_few_labels_that_do_not_exist_are_said(store: FeatureStore) -> None:
    found = run_transfer(store, source="studio", target="phone", target_labels="few:50", methods="baseline")
    assert any("few:50 shows all labels of 3 classes" in note for note in found.notes)


def test_a_target_without_labels_is_refused(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "features")
    add_domain(store, "studio", labels_of(30), seed=1)
    add_domain(store, "phone", [""] * 30, seed=2)
    with pytest.raises(StackError, match="'phone' has no labelled image"):
        run_transfer(store, source="studio", target="phone", methods="baseline")


def test_the_report_shows_methods_and_both_domains(experiment: TransferExperiment) -> None:
    report = collect_transfer_report(experiment, "pca")
    figures = report.figures()
    maps = ["domain_map_0", "domain_map_1"]
    assert list(figures) == ["transfer_scores", "transfer_differences", "class_gaps", *maps]
    assert figures["class_gaps"].data[0]["y"] == list(CLASSES)
    scores = {trace["name"]: trace for trace in figures["transfer_scores"].data}
    assert list(scores) == ["none", "few:3", "all"]
    assert scores["all"]["x"] == [each.score.mean for each in experiment.scores[-1].results]
    assert scores["none"]["x"][1:] == [None, None]
    assert [len(trace["x"]) for trace in figures["domain_map_0"].data] == [60, 45]
    page = render_page(report, Pictures())
    assert "studio to phone" in page
    assert str(verdict(experiment, experiment.scores[-1])).split(";")[0] in page


def test_the_verdict_is_explained_by_the_gap_and_by_source_images(
    store: FeatureStore, experiment: TransferExperiment, tmp_path: Path
) -> None:
    found, pair = experiment.explanation, experiment.pair
    assert [each.backbone for each in found.gaps] == ["resnet50", "vgg19"]
    for gap in found.gaps:
        domains = domains_of(pair, everything(pair, 0), Setting(None), gap.backbone, 0)
        assert gap.a_distance == proxy_a_distance(domains)
        assert gap.squared_discrepancy == discrepancy(domains).squared
        assert (set(gap.classes), gap.p_value) == (set(CLASSES), discrepancy(domains).p_value)
    assert [each.influence for each in found.least] == sorted(each.influence for each in found.least)
    wrong = FeatureStore(tmp_path / "features")
    add_domain(wrong, "studio", labels_of(60), seed=1)
    index = wrong.dataset("studio")
    wrong.write_dataset(replace(index, label=["shoe" if row == 0 else each for row, each in enumerate(index.label)]))
    add_domain(wrong, "phone", labels_of(45), seed=2)
    worst = run_transfer(wrong, source="studio", target="phone", methods="baseline").explanation.least[0]
    assert (worst.path, worst.label, worst.domain) == ("coat/0.jpg", "shoe", "studio"), "a label that is wrong"
    assert worst.influence < 0


def test_a_result_is_json_with_every_number(experiment: TransferExperiment) -> None:
    found = json.loads(to_json(transfer_result(experiment)))
    assert (found["format"], found["format_version"]) == ("stackbone-transfer", 1)
    assert (found["n_source"], found["n_target"], found["classes"]) == (60, 45, list(CLASSES))
    assert [each["setting"] for each in found["settings"]] == ["none", "few:3", "all"]
    pooled = found["settings"][-1]["results"][2]
    assert (pooled["method"], len(pooled["accuracy"]["folds"])) == ("pooled", 3)
    assert set(pooled["backbones"]) == {"resnet50", "vgg19"}
    assert found["settings"][-1]["verdict"]["source"] in (HELPS, HURTS, UNSURE)


class Spy(Method):
    """Is `source-only`, and keeps what it was shown."""

    name = "spy"
    family = "multi-task"
    what = "a spy"
    source = "this test"
    by_default = False

    def __init__(self) -> None:
        self.met: list[Domains] = []
        self.made = 0
        self.refuses: str | None = None
        self.fails = False
        self.scale = 1.0
        self.is_linear = True

    def fits(self, domains: Domains) -> str | None:
        return self.refuses

    def fit(self, domains: Domains) -> Fitted:
        if self.fails:
            message = "no light at all"
            raise StackError(message)
        self.met.append(domains)
        fitted = METHODS["source-only"].fit(domains)
        assert isinstance(fitted, LinearFitted)
        domains.once_of_source("spy", self._make)
        return _Spied(fitted.linear_map, self.scale, is_linear=self.is_linear)

    def _make(self) -> NDArray[np.float64]:
        self.made += 1
        return np.zeros(1)


class _Spied(Fitted):
    def __init__(self, linear_map: LinearMap, scale: float, *, is_linear: bool) -> None:
        self._fitted, self._scale, self.chosen = LinearFitted(linear_map, {}), scale, {}
        self.linear_map = linear_map if is_linear else None

    def predict_proba(self, features: Matrix) -> Probabilities:
        return self._fitted.predict_proba(features) * self._scale


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> Spy:
    """Add a method that other tests do not see."""
    found = Spy()
    ours = {name: METHODS[name] for name in METHODS}
    monkeypatch.setitem(METHODS.__dict__, "_all", {**ours, "spy": found})
    return found
