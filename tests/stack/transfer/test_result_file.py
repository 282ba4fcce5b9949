"""A transfer's result file: what it keeps, the page made of it, and what is refused or left out with a reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stackbone.cache import FeatureStore, StackError
from stackbone.stack.report.page import render_page
from stackbone.stack.report.pictures import Pictures
from stackbone.stack.report.transfer.report import collect_result_report, collect_transfer_report
from stackbone.stack.transfer.experiment import TransferExperiment
from stackbone.stack.transfer.reread import reread_images
from stackbone.stack.transfer.results.reading import read_transfer
from stackbone.stack.transfer.results.result_file import write_transfer
from stackbone.stack.transfer.results.table import header, rows, title
from stackbone.stack.transfer.results.verdict import verdict
from stackbone.stack.transfer.run import run_transfer
from tests.made.domain_caches import add_domain, labels_of, make_domains

pytestmark = pytest.mark.usefixtures("one_blas_thread")


@pytest.fixture(scope="module")
def file(experiment: TransferExperiment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the result of the baselines in three settings."""
    file = tmp_path_factory.mktemp("result") / "r.json"
    write_transfer(experiment, file)
    return file


def _changed(file: Path, tmp_path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    content = json.loads(file.read_text())
    change(content)
    (tmp_path / "changed.json").write_text(json.dumps(content))
    return tmp_path / "changed.json"


OPEN = {"n_unknown": 0, "unknown": 0.0, "n_known": 0, "known": 0.0, "classes": {}}


def _rename(setting: dict[str, Any], old: str, new: str) -> None:
    for each in setting["results"]:
        each["method"] = new if each["method"] == old else each["method"]
    setting["best_baseline"] = setting["results"][0]["method"]


def test_a_file_tells_what_the_experiment_told(experiment: TransferExperiment, file: Path) -> None:
    found = read_transfer(file)
    for ours, theirs in zip(found.scores, experiment.scores, strict=True):
        assert title(found, ours) == title(experiment, theirs)
        assert header(found, ours) == header(experiment, theirs)
        assert rows(found, ours) == rows(experiment, theirs)
        assert verdict(found, ours) == verdict(experiment, theirs)
        assert ours.to_dict() == theirs.to_dict()
    assert found.explanation == experiment.explanation


def test_the_page_of_a_file_is_that_of_the_experiment(
    two_domains: FeatureStore, experiment: TransferExperiment, file: Path
) -> None:
    report, lacking = collect_result_report(read_transfer(file), two_domains, "pca")
    own = collect_transfer_report(experiment, "pca", two_domains)
    assert lacking == []
    assert {name: each.data for name, each in report.figures().items()} == {
        name: each.data for name, each in own.figures().items()
    }
    assert report.images == own.images
    assert len(report.images) == 24
    assert [each.path for each in report.images.values()] == [each.path for each in experiment.explanation.least]
    assert replace(report.head, created=own.head.created) == own.head
    page = render_page(report, Pictures())
    assert "not run: target-only, pooled: needs labels of target images" in page
    cards, _, numbers = page.partition('<ul class="cards">')[2].partition("</ul>")
    assert cards.count('class="thumbnail"') == 24
    path = experiment.explanation.least[0].path
    assert f'<th scope="row">{path}</th>' in numbers
    assert f'<th scope="row">{path}</th>' not in cards


@pytest.mark.parametrize("asked", [{"domain_column": "camera", "dataset": "both"}, {"split": "test"}])
def test_images_are_read_again_by_a_column_and_by_a_split(tmp_path: Path, asked: dict[str, str]) -> None:
    store = FeatureStore(tmp_path / "features")
    cameras, splits = ["old", "new"] * 40, ["train", "train", "test", "test"] * 20
    labels = [label for label in labels_of(40) for _ in range(2)]
    add_domain(store, "both", labels, columns={"camera": cameras}, seed=3)
    add_domain(store, "new", labels, splits=splits, seed=4)
    source = {} if "dataset" in asked else {"source": "both"}
    experiment = run_transfer(store, target="new", methods="baseline", **source, **asked)  # type: ignore[arg-type]
    write_transfer(experiment, tmp_path / "r.json")
    pair = reread_images(read_transfer(tmp_path / "r.json"), store)
    assert pair.images_sha256 == experiment.pair.images_sha256
    report, lacking = collect_result_report(read_transfer(tmp_path / "r.json"), store, "pca")
    assert (lacking, "domain_map_0" in report.figures(), len(report.images)) == ([], True, 24)


def test_a_file_of_an_earlier_version_is_shown(two_domains: FeatureStore, file: Path, tmp_path: Path) -> None:
    def age(content: dict[str, Any]) -> None:
        del content["images_sha256"]
        for each in content["explanation"]["least"]:
            del each["sha256"]

    report, lacking = collect_result_report(read_transfer(_changed(file, tmp_path, age)), two_domains, "pca")
    assert lacking == []
    assert "domain_map_1" in report.figures()
    assert all(len(each.file.digest) == 32 for each in report.images.values())


def test_what_the_cache_no_longer_tells_is_left_out_and_said(file: Path, tmp_path: Path) -> None:
    empty = FeatureStore(tmp_path / "empty")
    report, lacking = collect_result_report(read_transfer(file), empty, "pca")
    assert list(report.figures()) == ["transfer_scores", "transfer_differences", "class_gaps"]
    assert lacking[0].startswith("the maps of both domains are left out: ")
    assert lacking[1].startswith("pictures of the images that help least are left out: ")
    assert report.head.facts.notes[-2:] == lacking
    changed = make_domains(tmp_path / "features")
    index = changed.dataset("phone")
    changed.write_dataset(replace(index, label=["hat", *index.label[1:]]))
    report, lacking = collect_result_report(read_transfer(file), changed, "pca")
    assert len(lacking) == 1
    assert "60 source and 45 target images took part, and 60 and 45 others would now" in lacking[0]
    assert "`stackbone transfer --source studio --target phone --result FILE`" in lacking[0]
    assert len(report.images) == 24


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.update(format="other"), "its format is not 'stackbone-transfer'"),
        (lambda content: content.update(format=["x"]), "its format is not"),
        (lambda content: content.update(format_version=99), "has format version 99"),
        (lambda content: content.pop("explanation"), "it lacks 'explanation'"),
        (lambda content: content["settings"][0].update(setting="none,all"), "not all of it"),
        (lambda content: content["settings"][0]["results"][0].update(method="<b>"), "unknown method '<b>'"),
        (lambda content: content["settings"][2]["results"][0]["accuracy"].update(folds=[0.5]), "folds"),
        (lambda content: content["settings"][2]["results"][0]["accuracy"].update(folds=["a"] * 3), "is no number"),
        (lambda content: content["settings"][2].update(best_baseline="luck"), "luck"),
        (lambda content: content.update(cv=True), "True is no number"),
        (lambda content: content.update(rare="all"), "--rare"),
        (lambda content: content.update(source="studio"), "source is no list"),
        (lambda content: content.update(backbones=[]), "is no table"),
        (lambda content: content.update(settings=[]), "folds"),
        (lambda content: content["explanation"].update(gaps=[]), "gap of no backbone"),
        (lambda content: content["explanation"]["least"][0].update(influence=10**400), "too large"),
        (lambda content: content["settings"][0]["results"][0].update(method="coral"), "best baseline"),
        (lambda content: _rename(content["settings"][0], "source-only", "coral"), "baseline of the verdict"),
        (lambda content: _rename(content["settings"][2], "pooled", "coral"), "baseline of the verdict"),
        (lambda content: content["settings"][0]["results"][0]["backbones"].popitem(), "score of each backbone"),
        (lambda content: content["settings"][0].update(open_set=OPEN), "no class"),
    ],
)
def test_other_files_are_refused(
    file: Path, tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    with pytest.raises(StackError, match=message):
        read_transfer(_changed(file, tmp_path, change))
