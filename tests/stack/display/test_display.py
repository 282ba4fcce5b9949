"""What an experiment shows of itself in a notebook: short texts, escaped tables, and the report's own figures."""

from __future__ import annotations

import json
from collections.abc import Callable
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest

from made_report import made_report
from stackbone.cache import FeatureStore, UsageError
from stackbone.stack import Experiment, MetaOptions, StackOptions, run_experiment
from stackbone.stack.display.plots import Plots
from stackbone.stack.report.context import ReportOptions
from stackbone.stack.report.figures.export import TEMPLATE
from stackbone.stack.report.report import collect_report
from stackbone.stack.report.section import SECTIONS
from stackbone.stack.tables.score_rows import score_rows
from tests.conftest import MakeCache

pytestmark = pytest.mark.usefixtures("one_blas_thread")

FIXED = StackOptions(c=0.1, inner_splits=3, meta=MetaOptions(c=0.1))
EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def store(make_cache: MakeCache, tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    labels = [("cat", "dog", EVIL)[i % 3] for i in range(90)]
    return make_cache(tmp_path_factory.mktemp("photos"), labels, paths=[f"{i}.jpg" for i in range(90)])


@pytest.fixture(scope="module")
def experiment(store: FeatureStore) -> Experiment:
    return run_experiment(store, cv=3, options=FIXED)


@pytest.fixture(scope="module")
def numbers(make_cache: MakeCache, tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    rng = np.random.default_rng(0)
    store = make_cache(tmp_path_factory.mktemp("ages"), [f"{age:.1f}" for age in rng.normal(40, 9, 60)])
    return run_experiment(store, cv=3, task="regression")


class Tags(HTMLParser):
    """The tags of a text of HTML, and whether each that opens is closed."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.found: set[str] = set()
        self.frames: list[str] = []
        self.feed(content)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)
        self.opened.append(tag)
        self.frames += [value or "" for name, value in attrs if name == "srcdoc"]

    def handle_endtag(self, tag: str) -> None:
        assert self.opened.pop() == tag


def check_html(content: str) -> Tags:
    tags = Tags(content)
    assert tags.opened == []
    assert "script" not in tags.found
    return tags


def test_texts_are_one_short_line(experiment: Experiment, numbers: Experiment) -> None:
    mean = experiment.evaluation.score("stack:oof").mean
    assert (
        repr(experiment) == f"<Experiment on photos: 90 images, 3 folds, 2 backbones; stack:oof: accuracy {mean:.3f}>"
    )
    assert repr(experiment.evaluation).startswith("<Evaluation of 8 models on 3 folds: ")
    assert "; stack:oof: r2 " in repr(numbers)
    for each in (experiment, numbers, experiment.evaluation, numbers.evaluation, experiment.plot):
        assert len(repr(each)) < 200
        assert "\n" not in repr(each)


def test_frames_hold_the_rows_of_the_table(experiment: Experiment, numbers: Experiment) -> None:
    for each in (experiment, numbers):
        frame = each.to_frame()
        assert json.loads(frame.to_json(orient="records", double_precision=15))[0]["model"] == frame["model"][0]
        assert frame.columns.tolist() == list(score_rows(each)[0])
        folds = each.evaluation.to_frame()
        primary = each.evaluation.results[0].primary_metric
        assert len(folds) == 3 * len(each.evaluation.results)
        for score in each.evaluation.results:
            assert folds[folds["model"] == score.model][primary].tolist() == score.folds
            assert frame.set_index("model")[primary][score.model] == score.mean


def test_pages_are_escaped_tables_and_the_figure_of_the_scores(experiment: Experiment, numbers: Experiment) -> None:
    for each in (experiment, numbers):
        tags = check_html(each._repr_html_())
        assert {"table", "iframe"} <= tags.found
        assert "plotly" in tags.frames[0]
        assert all(unescape(score.model) in each._repr_html_() for score in each.evaluation.results)
        assert "iframe" not in check_html(each.evaluation._repr_html_()).found


def test_each_figure_is_that_of_the_report(experiment: Experiment, store: FeatureStore, numbers: Experiment) -> None:
    options = ReportOptions(projection="pca", learning_curve=True)
    figures = collect_report(experiment, store, options).figures()
    assert " ".join(dir(experiment.plot)) == (
        "ablation calibration changes confidence confusion cost few_shots layers learning_curve map overlap per_class "
        "scores weights"
    )
    named = {"map": "map_pca_resnet50"}
    for name in ("scores", "confusion", "per_class", "calibration", "confidence", "overlap", "map", "learning_curve"):
        drawn = getattr(experiment.plot, name)(projection="pca")
        expected = figures[named.get(name, name)]
        layout = {**expected.layout, "template": TEMPLATE}
        assert drawn.to_json() == go.Figure(data=expected.data, layout=layout).to_json()
    other = experiment.plot.map("vgg19", projection="pca")
    assert other.to_json() == go.Figure(data=figures["map_pca_vgg19"].data, layout=other.layout).to_json()
    assert {"fit", "residuals", "scores"} <= {*dir(numbers.plot)}
    assert "confusion" not in dir(numbers.plot)
    assert len(numbers.plot.fit().data) > 0


def test_every_figure_of_every_section_has_a_name_in_plot() -> None:
    report = made_report()
    lacking: list[tuple[str, str]] = []
    for part in report.parts:
        prefixes = tuple(figure for _, figure in part.section.plots)
        lacking += [(part.section.name, name) for name in part.figures() if not name.startswith(prefixes or (" ",))]
    assert lacking == []
    names = [name for section in SECTIONS.values() for name, _ in section.plots]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("draw", "kind", "words"),
    [
        (lambda plot: plot.confusionn(), AttributeError, "did you mean 'confusion'\\?"),
        (lambda plot: plot.layers(), UsageError, "has nothing for the figure 'layers'"),
        (lambda plot: plot.map("resnet18"), UsageError, "has no part 'resnet18': there are map_"),
        (lambda plot: plot.map(projection="som"), UsageError, "som"),
    ],
)
def test_what_cannot_be_drawn_is_said(
    experiment: Experiment, draw: Callable[[Plots], object], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        draw(experiment.plot)


def test_a_figure_whose_cache_is_gone_says_so(make_cache: MakeCache, tmp_path: Path) -> None:
    """Those that need scores alone are drawn all the same."""
    store = make_cache(tmp_path / "gone", ["a", "b"] * 20)
    found = run_experiment(store, cv=2, options=FIXED)
    (tmp_path / "gone").rename(tmp_path / "elsewhere")
    assert len(found.plot.scores().data) > 0
    with pytest.raises(Exception, match="has no feature set"):
        found.plot.map(projection="pca")
