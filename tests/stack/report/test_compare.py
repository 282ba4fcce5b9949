"""Results side by side: on the same folds their differences, else why there are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stackbone.cache import StackError, UsageError
from stackbone.stack.metrics.compare import paired_difference
from stackbone.stack.report.compare.compared import Compared, lacks_same_folds, paired_models
from stackbone.stack.report.compare.report import collect_comparison
from stackbone.stack.report.page import render_page
from stackbone.stack.report.pictures import Pictures


def result(recipe: str = "oof", shift: float = 0.0, metric: str = "accuracy", **changes: object) -> dict[str, Any]:
    def scores(model: str, folds: list[float]) -> dict[str, Any]:
        moved = [each + shift * (1 + 0.1 * place) for place, each in enumerate(folds)]
        return {"model": model, metric: {"mean": sum(moved) / len(moved), "std": 0.01, "folds": moved}}

    return {
        **{"format": "stackbone-result", "format_version": 1, "task": "classification", "dataset": "photos"},
        **{"n_images": 90, "cv": 3, "repeats": 1, "split": None, "seed": 0, "recipe": recipe, "c": 1.0},
        "results": [
            scores("lr:a", [0.7, 0.72, 0.71]),
            scores("stack:oof", [0.8, 0.83, 0.81]),
            scores("concat", [0.8, 0.81, 0.8]),
        ],
        **changes,
    }


def write(folder: Path, name: str, content: dict[str, Any]) -> Path:
    file = folder / f"{name}.json"
    file.write_text(json.dumps(content))
    return file


def page_of(*files: Path) -> str:
    return render_page(collect_comparison(files), Pictures())


def test_models_of_the_same_folds_are_paired() -> None:
    first, second = Compared("A", result()), Compared("B", result(recipe="concat", shift=0.02))
    assert lacks_same_folds(first, second) is None
    found = {(each.first, each.second): each.difference for each in paired_models(first, second)}
    assert list(found) == [("stack:oof", "concat"), ("lr:a", "lr:a"), ("stack:oof", "stack:oof"), ("concat", "concat")]
    expected = paired_difference(second.folds("concat"), first.folds("stack:oof"), 60, 30)
    assert found["stack:oof", "concat"] == expected


@pytest.mark.parametrize(
    ("change", "said"),
    [({"seed": 1}, "seed"), ({"n_images": 91}, "n images"), ({"dataset": "others"}, "dataset"), ({"cv": 5}, "cv")],
)
def test_results_of_other_folds_are_not_paired_and_it_is_said_why(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    page = page_of(write(tmp_path, "A", result()), write(tmp_path, "B", {**result(), **change}))
    assert f"not scored on the same folds: they differ in {said}" in page
    assert "no clear difference" not in page


def test_a_single_split_has_no_spread(tmp_path: Path) -> None:
    single = result(cv=None, split="test")
    for each in single["results"]:
        each["accuracy"]["folds"] = each["accuracy"]["folds"][:1]
    page = page_of(write(tmp_path, "A", single), write(tmp_path, "B", single))
    assert "no spread" in page


def test_the_page_shows_scores_differences_and_what_was_asked(tmp_path: Path) -> None:
    page = page_of(write(tmp_path, "A", result()), write(tmp_path, "<b>", result(shift=0.02, c=0.5)))
    for words in ("A: stack:oof 0.813", "&lt;b&gt; against A", "+0.0220", "clear", "What is the same", "0.5"):
        assert words in page
    assert "<b>: stack" not in page


@pytest.mark.parametrize("names", [("A", "A"), ("A", "B", "A")])
def test_a_result_named_twice_is_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    files = [write(tmp_path, name, result()) for name in names]
    with pytest.raises(UsageError, match="named twice"):
        collect_comparison(files)


def test_results_of_different_metrics_are_refused(tmp_path: Path) -> None:
    files = [write(tmp_path, "A", result()), write(tmp_path, "B", result(metric="macro_f1"))]
    with pytest.raises(StackError, match=r"different metrics: A by accuracy, B by macro_f1"):
        collect_comparison(files)


@pytest.mark.parametrize("content", ["", "[]", '{"format": "stackbone-transfer", "format_version": 1}'])
def test_what_is_no_result_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "B.json").write_text(content)
    with pytest.raises(StackError, match=r"B\.json is not a valid result"):
        collect_comparison([write(tmp_path, "A", result()), tmp_path / "B.json"])
