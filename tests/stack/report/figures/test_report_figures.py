"""The report's figures: what they draw is what the numbers say, and names stay text."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from made_report import changed, made_regression, made_report, record_of
from stackbone.stack.metrics.confusion import ConfusedPair
from stackbone.stack.report.figures.backbone_figures import draw_ablation, draw_cost
from stackbone.stack.report.figures.cells import BLACK, WHITE, color_at, contrast, ink_on
from stackbone.stack.report.figures.confusion_matrix import ConfusionMatrix, draw_confusion
from stackbone.stack.report.figures.style import (
    CLASS_LOOKS,
    HEAT_ON_DARK,
    HEAT_ON_LIGHT,
    between,
    plain_text,
    short_names,
)
from stackbone.stack.report.section import SECTIONS
from stackbone.stack.report.sections.backbones import BackbonesRecord
from stackbone.stack.report.sections.classes import ClassesRecord
from stackbone.stack.report.sections.fit import FitRecord, draw_residuals
from stackbone.stack.report.sections.map import MapRecord, highlighted_classes
from stackbone.stack.report.sections.scores import ScoresRecord, draw_models
from stackbone.stack.tables.losses import BackboneLoss
from stackbone.stack.tables.metric_names import as_primary

NASTY = ["<script>alert(1)</script>", "<b>a</b> & b", "$x$ %{y}", "", "two\nlines"]


def test_every_part_of_a_classification_is_drawn() -> None:
    assert list(made_report().figures()) == [
        *("scores", "confusion", "per_class", "overlap", "ablation", "cost", "weights", "calibration", "confidence"),
        *("learning_curve", "map_pca_resnet50", "map_pca_vit_base", "map_pca_efficientnet_lite2"),
    ]


def test_a_regression_is_drawn_without_what_needs_classes() -> None:
    assert list(made_regression().figures()) == [
        *("scores", "fit", "residuals", "ablation", "cost", "weights", "learning_curve"),
        *("map_pca_resnet50", "map_pca_vit_base", "map_pca_efficientnet_lite2"),
    ]


def test_what_an_experiment_lacks_is_left_out() -> None:
    one = record_of(made_report(), BackbonesRecord).costs[:1]
    lacking = changed(
        made_report(),
        **dict.fromkeys(("errors", "confidence", "learning", "map", "attention")),
        backbones={"ablation": [], "overlap": None, "costs": one, "shares": {}},
    )
    assert list(lacking.figures()) == ["scores", "confusion", "per_class"]


def test_figures_are_json_without_nan() -> None:
    for report in (made_report(), made_regression()):
        json.dumps({name: [each.data, each.layout] for name, each in report.figures().items()}, allow_nan=False)


def test_models_are_ranked_with_their_folds_and_intervals() -> None:
    report = made_report()
    figure, best = report.figures()["scores"], record_of(report, ScoresRecord).best
    assert figure.layout["yaxis"]["categoryarray"][-1] == "stack:oof"  # the highest, on top
    folds, mean = (trace for trace in figure.data if "stack:oof" in trace["y"])
    assert best.interval is not None
    assert folds["x"] == best.folds
    assert mean["x"] == [best.mean]
    assert mean["error_x"]["array"] == [pytest.approx(best.interval[1] - best.mean)]


def test_a_single_split_has_no_folds_to_draw() -> None:
    record = record_of(made_report(), ScoresRecord)
    models = [replace(each, folds=[each.mean], interval=None) for each in record.models]
    figure = draw_models(replace(record, models=models))
    assert all(trace["x"] == [] for trace in figure.data if trace.get("showlegend") is False)
    assert all(set(trace["error_x"]["array"]) == {0.0} for trace in figure.data if "error_x" in trace)


def test_the_confusion_matrix_holds_shares_of_the_true_class_in_the_given_order() -> None:
    matrix = record_of(made_report(n_images=500, n_classes=5), ClassesRecord).matrix
    figure = draw_confusion(matrix)
    counts, order = matrix.counts.tolist(), matrix.order.tolist()
    heat = figure.data[0]
    for row, i in enumerate(order):
        for column, j in enumerate(order):
            n, found = counts[i][j], heat["z"][row][column]
            assert found is None if n == 0 else found**2 == pytest.approx(n / sum(counts[i]), abs=1e-3)
    names = [matrix.names[i] for i in order]
    numbers = figure.data[1]
    written = dict(zip(zip(numbers["y"], numbers["x"], strict=True), numbers["text"], strict=True))
    assert written == {
        (matrix.names[i], matrix.names[j]): str(counts[i][j]) for i in order for j in order if counts[i][j]
    }
    assert heat["x"] == heat["y"] == names
    assert [names[i] for i in figure.layout["meta"]["alphabetical"]] == sorted(names)
    assert [order[i] for i in figure.layout["meta"]["position"]] == list(range(5))


def test_many_classes_have_no_numbers_in_their_cells() -> None:
    [heat] = made_report(1000, 40).figures()["confusion"].data
    assert len(heat["z"]) == 40


def test_a_class_without_images_makes_an_empty_row() -> None:
    counts = np.array([[0, 0, 0], [0, 4, 1], [0, 0, 5]])
    heat = draw_confusion(ConfusionMatrix(["a", "b", "c"], counts, np.arange(3))).data[0]
    assert heat["z"] == [
        [None, None, None],
        [None, pytest.approx(math.sqrt(0.8), abs=1e-4), pytest.approx(0.4472)],
        [None, None, 1],
    ]


def test_cost_is_drawn_with_the_interval_of_each_score_and_without_speeds() -> None:
    costs = record_of(made_report(), BackbonesRecord).costs
    figure = draw_cost(costs, "accuracy")
    [dots] = figure.data
    assert dots["x"] == [each.score for each in costs]
    assert dots["error_x"]["array"] == [pytest.approx((each.interval or (0, 0))[1] - each.score) for each in costs]
    assert [each["text"] for each in figure.layout["annotations"]] == [f"{each.megabytes:.3g} MB" for each in costs]
    slower = [replace(each, images_per_s=1.0) for each in costs]
    assert draw_cost(slower, "accuracy") == figure, "what else a machine did is no cost of a backbone"


@pytest.mark.parametrize("heat", [HEAT_ON_LIGHT, HEAT_ON_DARK])
def test_numbers_in_cells_can_be_read_on_every_colour(heat: tuple[str, ...]) -> None:
    for value in np.linspace(0, 1, 101):
        color = color_at(float(value), heat)
        assert contrast(color, {BLACK: 0, WHITE: 1}[ink_on(color)]) >= 4.5


@pytest.mark.parametrize(("color", "other", "expected"), [("#ffffff", 0, 21), ("#777777", 1, 4.48), ("#000000", 1, 21)])
def test_contrast_is_that_of_the_guidelines(color: str, other: int, expected: float) -> None:
    assert contrast(color_at(0, (color, color)), other) == pytest.approx(expected, abs=0.01)


def test_an_ablation_without_interval_is_a_bare_dot() -> None:
    trace = draw_ablation([BackboneLoss("resnet50", 1.0, None, None)], as_primary("accuracy")).data[0]
    assert trace["x"] == [pytest.approx(1.0)]  # points
    assert trace["error_x"]["array"] == trace["error_x"]["arrayminus"] == [0]


def test_right_and_wrong_are_each_shares_of_their_own() -> None:
    for trace in made_report().figures()["confidence"].data:
        assert sum(trace["y"]) == pytest.approx(1)


def test_a_map_shows_every_point_once_in_the_color_of_its_class() -> None:
    record = record_of(made_report(n_images=300, n_classes=12), MapRecord)
    chosen, points = record.highlighted, record.maps[0]
    assert len(chosen) == len(CLASS_LOOKS)
    assert points.codes is not None
    seen = []
    for trace in SECTIONS["map"].figures(record)["map_pca_resnet50"].data:
        codes = {int(points.codes[row]) for row in trace["customdata"]}
        if trace["name"] == "others":
            assert not codes & set(chosen)
        else:
            (code,) = codes
            assert trace["name"] == record.classes[code]
            assert (trace["marker"]["color"], trace["marker"]["symbol"]) == CLASS_LOOKS[chosen.index(code)]
        assert trace["x"] == points.projection.points[trace["customdata"], 0].tolist()
        seen += trace["customdata"]
    assert sorted(seen) == list(range(300))


def test_the_most_confused_classes_are_in_color_first() -> None:
    names = [f"class {i:02}" for i in range(30)]
    chosen = highlighted_classes(names, [ConfusedPair(names[21], names[29], 3, 0.1)])
    assert chosen == [0, 1, 2, 3, 4, 5, 21, 29]


def test_maps_of_similar_names_do_not_replace_one_another() -> None:
    record = record_of(made_report(n_images=50), MapRecord)
    maps = [replace(record.maps[0], backbone=name) for name in ("timm:a/b", "timm:a:b")]
    assert list(replace(record, maps=maps).by_name()) == ["map_pca_timm-a-b", "map_pca_timm-a-b-2"]


def test_many_points_are_drawn_by_the_graphics_card() -> None:
    for n, kind in ((4000, "scattergl"), (400, "scatter")):
        assert {trace["type"] for trace in made_report(n, 5).figures()["map_pca_vit_base"].data} == {kind}


def test_residuals_are_predicted_less_true() -> None:
    record = record_of(made_regression(), FitRecord)
    trace = draw_residuals(record).data[0]
    np.testing.assert_allclose(trace["y"], record.points.predicted - record.points.true, atol=1e-6)
    assert trace["x"] == record.points.predicted.tolist()
    assert trace["customdata"] == record.images.tolist()


def test_names_are_text_to_plotly() -> None:
    assert plain_text(NASTY[0]) == "&lt;script&gt;alert(1)&lt;/script&gt;"
    drawn = json.dumps([each.data for each in made_report(names=NASTY).figures().values()])
    for forbidden in ("<script", "<b>a"):
        assert forbidden not in drawn


def test_shortened_names_stay_different() -> None:
    long = [f"{'a' * 40}{i}{'b' * 20}" for i in range(3)]
    found = short_names([*long, "", " ", "x"])
    assert len(set(found)) == 6
    assert max(map(len, found)) < 40


def test_interval_ends_are_distances_from_the_mean() -> None:
    bars = between([1.0, 2.0], [(0.5, 2.0), (None, 2.5)], "#0072b2")
    assert bars["array"] == [1.0, 0.5]
    assert bars["arrayminus"] == [0.5, 0.0]


def test_plotly_knows_every_property() -> None:
    graph_objects: Any = pytest.importorskip("plotly.graph_objects")
    for report in (made_report(), made_regression()):
        for figure in report.figures().values():
            # plotly.js takes alpha in hex colours, as its Python does from 7 on.
            content = re.sub(r'"(#[0-9a-f]{6})[0-9a-f]{2}"', r'"\1"', json.dumps([figure.data, figure.layout]))
            plain = json.loads(content)
            graph_objects.Figure(data=plain[0], layout=plain[1])  # raises on what it does not know
