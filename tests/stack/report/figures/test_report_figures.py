"""The report's figures: what they draw is what the numbers say, and names stay text."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from made_report import made_regression, made_report
from stackbone.stack.report.figures.figures import figures
from stackbone.stack.report.figures.point_figures import highlighted_classes
from stackbone.stack.report.figures.style import CLASS_LOOKS, between, plain_text, short_names

NASTY = ["<script>alert(1)</script>", "<b>a</b> & b", "$x$ %{y}", "", "two\nlines"]


def test_every_part_of_a_classification_is_drawn() -> None:
    assert list(figures(made_report())) == [
        *("models", "confusion", "per_class", "overlap", "ablation", "cost", "weights", "calibration", "scores"),
        *("learning_curve", "map_pca_resnet50", "map_pca_vit_base", "map_pca_efficientnet_lite2"),
    ]


def test_a_regression_is_drawn_without_what_needs_classes() -> None:
    assert list(figures(made_regression())) == [
        *("models", "ablation", "cost", "weights", "learning_curve", "fit", "residuals"),
        *("map_pca_resnet50", "map_pca_vit_base", "map_pca_efficientnet_lite2"),
    ]


def test_what_an_experiment_lacks_is_left_out() -> None:
    data = made_report()
    lacking = {
        **{key: None for key in ("overlap", "weights", "learning_curve", "calibration_error", "difference")},
        **{key: [] for key in ("ablation", "calibration", "maps", "confused_pairs", "wrong")},
        "scores": {"edges": [], "right": [], "wrong": []},
        "cost": data["cost"][:1],
    }
    assert list(figures({**data, **lacking})) == ["models", "confusion", "per_class"]


def test_figures_are_json_without_nan() -> None:
    json.dumps(figures(made_report()), allow_nan=False)
    json.dumps(figures(made_regression()), allow_nan=False)


def test_models_are_ranked_with_their_folds_and_intervals() -> None:
    data = made_report()
    figure = figures(data)["models"]
    assert figure["layout"]["yaxis"]["categoryarray"][-1] == "stack:oof"  # the highest, on top
    best = next(each for each in data["models"] if each["best"])
    folds, mean = (trace for trace in figure["data"] if "stack:oof" in trace["y"])
    assert folds["x"] == best["folds"]
    assert mean["x"] == [best["mean"]]
    assert mean["error_x"]["array"] == [pytest.approx(best["interval"][1] - best["mean"])]


def test_a_single_split_has_no_folds_to_draw() -> None:
    data = made_report()
    models = [{**each, "folds": [each["mean"]], "interval": None} for each in data["models"]]
    figure = figures({**data, "models": models})["models"]
    assert all(trace["x"] == [] for trace in figure["data"] if trace.get("showlegend") is False)
    assert all(set(trace["error_x"]["array"]) == {0.0} for trace in figure["data"] if "error_x" in trace)


def test_the_confusion_matrix_holds_shares_of_the_true_class_in_the_given_order() -> None:
    data = made_report(n_images=500, n_classes=5)
    figure = figures(data)["confusion"]
    counts, order = data["confusion"]["counts"], data["confusion"]["order"]
    heat = figure["data"][0]
    for row, i in enumerate(order):
        for column, j in enumerate(order):
            n, found = counts[i][j], heat["z"][row][column]
            assert heat["text"][row][column] == (str(n) if n else "")
            assert found is None if n == 0 else found**2 == pytest.approx(n / sum(counts[i]), abs=1e-3)
    names = [data["classes"][i]["name"] for i in order]
    assert heat["x"] == heat["y"] == names
    assert [names[i] for i in figure["layout"]["meta"]["alphabetical"]] == sorted(names)
    assert [order[i] for i in figure["layout"]["meta"]["position"]] == list(range(5))


def test_many_classes_have_no_numbers_in_their_cells() -> None:
    heat = figures(made_report(1000, 40))["confusion"]["data"][0]
    assert "texttemplate" not in heat
    assert len(heat["z"]) == 40


def test_a_class_without_images_makes_an_empty_row() -> None:
    data = made_report(n_classes=3)
    confusion = {**data["confusion"], "counts": [[0, 0, 0], [0, 4, 1], [0, 0, 5]], "order": [0, 1, 2]}
    heat = figures({**data, "confusion": confusion})["confusion"]["data"][0]
    assert heat["z"] == [
        [None, None, None],
        [None, pytest.approx(math.sqrt(0.8), abs=1e-4), pytest.approx(0.4472)],
        [None, None, 1],
    ]


def test_a_class_that_no_fold_tests_is_not_drawn_as_the_weakest() -> None:
    data = made_report()
    data["per_class"][2] |= {"n": 0, "f1": 0.0}
    assert data["classes"][2]["name"] not in figures(data)["per_class"]["data"][0]["y"]


def test_cost_falls_back_to_size_where_a_speed_is_unknown() -> None:
    data = made_report()
    assert figures(data)["cost"]["data"][0]["x"] == [each["images_per_s"] for each in data["cost"]]
    data["cost"][1]["images_per_s"] = None
    assert figures(data)["cost"]["data"][0]["x"] == [each["megabytes"] for each in data["cost"]]


def test_an_ablation_without_interval_is_a_bare_dot() -> None:
    data = made_report()
    data["ablation"] = [{"without": "resnet50", "mean_difference": 0.01, "low": None, "high": None}]
    trace = figures(data)["ablation"]["data"][0]
    assert trace["x"] == [pytest.approx(1.0)]  # points
    assert trace["error_x"]["array"] == trace["error_x"]["arrayminus"] == [0]


def test_right_and_wrong_are_each_shares_of_their_own() -> None:
    for trace in figures(made_report())["scores"]["data"]:
        assert sum(trace["y"]) == pytest.approx(1)


def test_a_map_shows_every_point_once_in_the_color_of_its_class() -> None:
    data = made_report(n_images=300, n_classes=12)
    chosen = highlighted_classes(data)
    assert len(chosen) == len(CLASS_LOOKS)
    figure = figures(data)["map_pca_resnet50"]
    points = data["maps"][0]
    seen = []
    for trace in figure["data"]:
        codes = {points["class"][row] for row in trace["customdata"]}
        if trace["name"] == "others":
            assert not codes & set(chosen)
        else:
            (code,) = codes
            assert trace["name"] == data["classes"][code]["name"]
            assert (trace["marker"]["color"], trace["marker"]["symbol"]) == CLASS_LOOKS[chosen.index(code)]
        assert trace["x"] == [points["x"][row] for row in trace["customdata"]]
        seen += trace["customdata"]
    assert sorted(seen) == list(range(300))


def test_the_most_confused_classes_are_in_color_first() -> None:
    data = made_report(n_images=600, n_classes=30)
    data["confused_pairs"] = [{**data["confused_pairs"][0], "true": 21, "predicted": 29}]
    assert {21, 29} <= set(highlighted_classes(data))


def test_maps_of_similar_names_do_not_replace_one_another() -> None:
    data = made_report(n_images=50)
    data["maps"] = [{**data["maps"][0], "backbone": name} for name in ("timm:a/b", "timm:a:b")]
    assert [name for name in figures(data) if name.startswith("map")] == ["map_pca_timm-a-b", "map_pca_timm-a-b-2"]


def test_many_points_are_drawn_by_the_graphics_card() -> None:
    assert {t["type"] for t in figures(made_report(4000, 5))["map_pca_vit_base"]["data"]} == {"scattergl"}
    assert {t["type"] for t in figures(made_report(400, 5))["map_pca_vit_base"]["data"]} == {"scatter"}


def test_residuals_are_predicted_less_true() -> None:
    data = made_regression()
    points = data["regression"]
    trace = figures(data)["residuals"]["data"][0]
    assert (
        trace["y"][:3] == [pytest.approx(p - t) for p, t in zip(points["predicted"], points["true"], strict=True)][:3]
    )
    assert trace["customdata"] == points["image"]


def test_names_are_text_to_plotly() -> None:
    assert plain_text(NASTY[0]) == "&lt;script&gt;alert(1)&lt;/script&gt;"
    drawn = json.dumps(figures(made_report(names=NASTY)))
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
    for data in (made_report(), made_regression()):
        for figure in figures(data).values():
            graph_objects.Figure(figure)  # raises on what it does not know
