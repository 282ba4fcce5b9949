"""The report of a run in a notebook: a short text, an escaped page, a frame of the feature sets."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import Tensor, nn

import stackbone as sb
from stackbone.extract import ExtractReport
from tests.made.photos import write_photos


class Means(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> ExtractReport:
    folder = tmp_path_factory.mktemp("data")
    write_photos(folder / "photos" / "cat", range(4))
    write_photos(folder / "photos" / "<b>dog", range(4, 8))
    (folder / "photos" / "cat" / "<i>.png").write_bytes(b"no image")
    network = sb.Backbone.from_module(Means(), sb.Transform((16, 16), 1.0, "bilinear"), name="means")
    store = sb.FeatureStore(folder / "features")
    return sb.extract(sb.open_dataset(folder / "photos"), store=store, modules=[network], views="plain,hflip")


def test_the_text_is_one_short_line(report: ExtractReport) -> None:
    said = "<ExtractReport photos: 8 images, 2 feature sets, 16 rows embedded now, 1 failed>"
    assert repr(report) == said


def test_the_frame_has_a_row_for_each_feature_set(report: ExtractReport) -> None:
    frame = report.to_frame()
    assert frame.index.tolist() == [each.feature_set for each in report.backbones]
    assert frame["backbone"].tolist() == ["means", "means~hflip"]
    assert frame["n_embedded"].tolist() == [8, 8]


def test_the_page_says_what_people_read_and_is_escaped(report: ExtractReport) -> None:
    page = report._repr_html_()
    assert "<b>dog" not in page
    assert "&lt;b&gt;dog" in page
    assert "failed: &#x27;cat/&lt;i&gt;.png&#x27;" in page
    assert page.count(report.backbones[0].feature_set) == 1
    assert Path(report.cache).name in page
