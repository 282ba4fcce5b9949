"""The report shows what each part of a backbone carries, and nothing where no backbone has several."""

from __future__ import annotations

import pytest

from stackbone.stack.metrics.model_scores import PartScore
from stackbone.stack.report.blocks import Page
from stackbone.stack.report.figures.backbone_figures import draw_parts
from stackbone.stack.report.sections.layers import SECTION, LayersRecord

STAGES = [
    PartScore("pooled", 1280, [0.9, 1.1], [0.75, 0.65], [0.2, 0.4]),
    PartScore("stage1 <b>", 16, [2.0, 4.0], [0.25, 0.35], [-0.01, 0.01]),
]


@pytest.mark.parametrize("n_backbones", [1, 2, 9])
def test_each_backbone_has_a_colour_and_a_point_for_each_part(n_backbones: int) -> None:
    drawn = draw_parts({f"net{number}": STAGES for number in range(n_backbones)}, "log-loss")
    assert [each["name"] for each in drawn.data] == [f"net{number}" for number in range(n_backbones)]
    first = drawn.data[0]
    assert first["x"] == pytest.approx([0.3, 0.0])
    assert first["y"] == ["pooled", "stage1 &lt;b&gt;"]
    assert first["error_x"]["array"] == pytest.approx([0.1, 0.01])
    assert first["error_x"]["arrayminus"] == pytest.approx([0.1, 0.01])
    assert drawn.layout["showlegend"] == (n_backbones > 1)
    assert "log-loss" in drawn.layout["xaxis"]["title"]["text"]


def test_the_table_has_means_over_folds_and_names_are_escaped() -> None:
    record = LayersRecord({"net": STAGES}, "log-loss")
    page = Page(SECTION.figures(record), {})
    html = str(SECTION.html(record, page))
    assert "<b>" not in html
    for cell in ("1,280", "1.00", "70.0%", "0.3000", "stage1 &lt;b&gt;", "3.00", "30.0%"):
        assert cell in html
    assert "nothing is fitted again" in html
