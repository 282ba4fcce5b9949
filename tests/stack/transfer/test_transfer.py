"""A transfer from end to end on arrays: baselines to the letter, methods beside them, the verdict, the saved model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stackbone.cache import FeatureStore, StackError, UsageError
from stackbone.cache.text import to_json
from stackbone.stack.learners.bases.lr import score_classes
from stackbone.stack.metrics.compare import mean_sizes, paired_difference
from stackbone.stack.report.page import render_page
from stackbone.stack.report.pictures import Pictures
from stackbone.stack.report.transfer.report import collect_transfer_report
from stackbone.stack.transfer.classifier import STRENGTHS, inner_folds
from stackbone.stack.transfer.domains.parts import domains_of, everything
from stackbone.stack.transfer.domains.settings import Setting
from stackbone.stack.transfer.experiment import TransferExperiment
from stackbone.stack.transfer.gap.distance import discrepancy, proxy_a_distance
from stackbone.stack.transfer.registry import METHODS
from stackbone.stack.transfer.results.result_file import transfer_result
from stackbone.stack.transfer.results.source_worth import HELPS, HURTS, UNSURE
from stackbone.stack.transfer.results.table import footnotes, header, rows, transfer_rows
from stackbone.stack.transfer.results.verdict import verdict
from stackbone.stack.transfer.run import choose_methods, run_transfer
from tests.made.domain_caches import CLASSES, add_domain, labels_of
from tests.made.spying_method import Spy

pytestmark = pytest.mark.usefixtures("one_blas_thread")

BASELINES = ["source-only", "target-only", "pooled"]


def test_baselines_always_run_and_say_where_they_cannot(experiment: TransferExperiment) -> None:
    none, few, every = experiment.scores
    assert [each.method for each in few.results] == [each.method for each in every.results] == BASELINES
    assert [each.method for each in none.results] == ["source-only"]
    assert none.unfit == {name: "needs labels of target images" for name in BASELINES[1:]}
    assert footnotes(none) == ["not run: target-only, pooled: needs labels of target images"]
    assert none.best_baseline == "source-only"


def test_source_only_is_the_logistic_regression_of_the_source(
    two_domains: FeatureStore, experiment: TransferExperiment
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


def test_the_same_command_gives_the_same_numbers(two_domains: FeatureStore, experiment: TransferExperiment) -> None:
    again = run_transfer(
        two_domains,
        source=["studio"],
        target="phone",
        target_labels="few:3,none,all",
        methods="baseline",
        n_jobs=1,
    )
    assert to_json(transfer_result(again)) == to_json(transfer_result(experiment))
    other = run_transfer(two_domains, source="studio", target="phone", methods="baseline", seed=1)
    losses = [each.scores[-1].result("target-only").score.metrics["log_loss"] for each in (other, experiment)]
    assert losses[0] != losses[1]


def test_methods_see_no_label_and_no_row_beyond_their_setting(
    two_domains: FeatureStore, spy: Spy, experiment: TransferExperiment
) -> None:
    run_transfer(two_domains, source="studio", target="phone", target_labels="none,few:2", methods="spy", n_jobs=1)
    assert len(spy.met) == 2 * 3 * 2
    shown = sorted(len(each.seen) for each in spy.met)
    assert shown == [0] * 6 + [6] * 6
    blocks = experiment.pair.target.blocks.values()
    tested = [{bytes(row) for block in blocks for row in block[part.fold.test]} for part in experiment.parts]
    for domains in spy.met:
        learnt = {bytes(row) for row in domains.target}
        assert sum(rows.isdisjoint(learnt) for rows in tested) == 1, "of its own fold"
        assert len(domains.target) == 30


def test_folds_with_the_same_source_share_what_is_computed_of_it(two_domains: FeatureStore, spy: Spy) -> None:
    run_transfer(two_domains, source="studio", target="phone", target_labels="none,all", methods="spy", n_jobs=2)
    assert spy.made == 2, "once for each backbone, whatever the folds and settings"


def test_all_methods_run_alike_on_one_core_and_two(two_domains: FeatureStore) -> None:
    asked = {"source": "studio", "target": "phone", "target_labels": "few:5", "backbones": "resnet50"}
    one, two = (run_transfer(two_domains, **asked, n_jobs=n_jobs) for n_jobs in (1, 2))  # type: ignore[arg-type] # names
    assert to_json(transfer_result(one)) == to_json(transfer_result(two))
    [scores] = one.scores
    names = [each.name for each in choose_methods("all")]
    assert len(names) == 17
    assert [each.method for each in scores.results] + list(scores.unfit) == names
    assert scores.unfit == {}
    report = collect_transfer_report(one, "pca")
    assert len(report.figures()["transfer_scores"].data[0]["y"]) == 17
    page = render_page(report, Pictures())
    assert all(name in page for name in names)


@pytest.mark.parametrize("asked", ["", " , ", []])
def test_no_method_at_all_is_refused(asked: str | list[str]) -> None:
    with pytest.raises(UsageError, match="--methods baseline"):
        choose_methods(asked)


def test_names_and_families_of_methods(spy: Spy) -> None:
    assert [each.name for each in choose_methods("baseline")] == BASELINES
    assert [each.name for each in choose_methods("spy")] == [*BASELINES, "spy"]
    assert "spy" in [each.name for each in choose_methods("multi-task")]
    assert {each.name for each in choose_methods("all")} == {each.name for each in METHODS.values() if each.by_default}
    with pytest.raises(UsageError, match=r"unknown method 'spi'.*did you mean 'spy'"):
        choose_methods("spi")


def test_a_method_that_cannot_serve_is_named_and_the_others_go_on(two_domains: FeatureStore, spy: Spy) -> None:
    spy.refuses = "needs more light"
    found = run_transfer(two_domains, source="studio", target="phone", methods="spy")
    assert found.scores[0].unfit == {"spy": "needs more light"}
    spy.refuses, spy.fails = None, True
    found = run_transfer(two_domains, source="studio", target="phone", methods="spy")
    assert found.scores[0].unfit == {"spy": "no light at all"}
    assert [each.method for each in found.scores[0].results] == BASELINES


def test_a_method_that_gives_no_probabilities_is_an_error(two_domains: FeatureStore, spy: Spy) -> None:
    spy.scale = 2.0
    with pytest.raises(StackError, match="'spy' gives no probabilities"):
        run_transfer(two_domains, source="studio", target="phone", methods="spy")


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


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"target_labels": "none,all", "fit_model": True}, "--save keeps one model"),
        ({"fit_model": True, "save_method": "coral?"}, "unknown --save-method"),
        ({"target_labels": "none", "fit_model": True, "save_method": "pooled"}, "pooled cannot be saved"),
        ({"cv": "loo"}, "--cv loo"),
        ({"target_labels": "half"}, "--target-labels half"),
    ],
)
def test_arguments_that_contradict_each_other_are_refused(
    two_domains: FeatureStore, asked: dict[str, object], message: str
) -> None:
    given = {"methods": "baseline", "source": "studio", "target": "phone", **asked}
    with pytest.raises(UsageError, match=message):
        run_transfer(two_domains, **given)  # type: ignore[arg-type] # wrong on purpose


def test_few_labels_that_do_not_exist_are_said(two_domains: FeatureStore) -> None:
    found = run_transfer(two_domains, source="studio", target="phone", target_labels="few:50", methods="baseline")
    assert any("few:50 shows all labels of 3 classes" in note for note in found.notes)


def test_a_target_without_labels_is_refused(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "features")
    add_domain(store, "studio", labels_of(30), seed=1)
    add_domain(store, "phone", [""] * 30, seed=2)
    with pytest.raises(
        StackError, match=r"target 'phone' has no labelled image \(30 listed\).*stack --dataset studio --"
    ):
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


@pytest.mark.parametrize(("setting", "model"), [(0, "source-only"), (1, "pooled"), (2, "pooled")])
def test_the_head_shows_the_score_that_its_sentence_speaks_of(
    experiment: TransferExperiment, setting: int, model: str
) -> None:
    scores = experiment.scores[setting]
    head = collect_transfer_report(replace(experiment, scores=[scores]), "pca").head
    assert (head.model, head.mean) == (model, scores.result(model).score.mean)
    assert f"{model} " in head.verdict.comparison
    assert f"{head.mean:.3f}" in head.verdict.comparison


def test_the_verdict_is_explained_by_the_gap_and_by_source_images(
    two_domains: FeatureStore, experiment: TransferExperiment, tmp_path: Path
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
