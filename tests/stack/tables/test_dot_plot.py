"""Scores drawn in a terminal."""

from __future__ import annotations

import pytest

from stackbone.stack.metrics.model_scores import ModelScore
from stackbone.stack.tables.dot_plot import dot_plot

SCORES = [ModelScore("lr:a", [0.80, 0.90, 0.85]), ModelScore("stack:oof", [0.91, 0.93, 0.95])]


def test_each_model_has_a_line_and_the_scale_ends_the_plot() -> None:
    lines = dot_plot(SCORES, 80)
    assert lines[0].startswith("lr:a       ")
    assert lines[1].startswith("stack:oof  ")
    assert lines[2].split() == ["0.80", "0.85", "0.90", "0.95"]


def test_marks_stand_above_their_numbers() -> None:
    scale, line = dot_plot(SCORES, 80)[2], dot_plot(SCORES, 80)[0]
    assert line.index("∙") == scale.index("0.80")
    assert line.rindex("∙") == scale.index("0.90")
    assert line.index("●") == scale.index("0.85")
    assert dot_plot(SCORES, 80)[1].rindex("∙") == scale.index("0.95")


def test_negative_scores_have_their_place() -> None:
    lines = dot_plot(
        [ModelScore("ridge:a", [-0.4, 0.1], primary_metric="r2"), ModelScore("mean", [0.3, 0.55], primary_metric="r2")],
        80,
    )
    assert lines[0].index("∙") == lines[-1].index("-0.4")
    assert lines[1].rindex("∙") <= lines[-1].rindex("0.6")


@pytest.mark.parametrize("width", [60, 80, 120, 400])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    lines = dot_plot(SCORES, width)
    assert lines
    assert max(map(len, lines)) <= width


@pytest.mark.parametrize("scores", [[ModelScore("mean", [0.5, 0.5])], [ModelScore("mean", [1.0])]])
def test_equal_scores_are_not_drawn(scores: list[ModelScore]) -> None:
    assert dot_plot(scores, 80) == []


def test_a_narrow_terminal_gets_no_plot() -> None:
    assert dot_plot(SCORES, 40) == []
