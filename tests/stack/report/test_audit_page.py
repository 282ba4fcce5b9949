"""The page of an audit: its findings, pictured, narrowed and ticked."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from made_report import made_pictures
from stackbone.cache import OK, DatasetIndex, FileStamps
from stackbone.stack.audit.finding import Finding
from stackbone.stack.audit.result import Audit
from stackbone.stack.report.audit.report import collect_audit_report
from stackbone.stack.report.page import render_page, write_page
from stackbone.stack.report.pictures import Pictures
from tests.made.opened_page import NASTY, Opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser

N = 40


def index(labels: list[str]) -> DatasetIndex:
    return DatasetIndex(
        name="photos",
        root="/made",
        path=[f"{label[:3]}/{i:02}.jpg" if "/" not in label else f"{i:02}.jpg" for i, label in enumerate(labels)],
        label=labels,
        split=[""] * len(labels),
        group=[""] * len(labels),
        image_sha256=np.arange(32 * len(labels), dtype=np.int64).astype(np.uint8).reshape(-1, 32),
        status=np.full(len(labels), OK, np.uint8),
        reason=[""] * len(labels),
        stamps=FileStamps(np.full((len(labels), 4), -1, np.int64)),
    )


def audit(listed: DatasetIndex, n_labels: int = 5, n_outliers: int = 3) -> Audit:
    names = sorted({*listed.label})
    wrong = [
        Finding("label", listed.path[i], 0.9 - 0.1 * i, listed.label[i], names[-1], "look", "2 of 3 say so; and more")
        for i in range(n_labels)
    ]
    odd = [
        Finding("outlier", listed.path[i], 0.5, listed.label[i], "", "look whether it belongs", "far from all")
        for i in range(10, 10 + n_outliers)
    ]
    pair = [Finding("ambiguous", "", 0.4, f"{names[0]}, {names[-1]}", "", "merge them", "often confused")]
    return Audit(
        dataset=listed.name,
        n_images=N,
        n_files=N,
        backbones=["a", "b", "c"],
        titles={"label": "Labels that look wrong", "outlier": "Images unlike all others", "ambiguous": "Classes"},
        findings={"label": wrong, "outlier": odd, "ambiguous": pair},
        left_out={"dark": "the files were not looked at"},
        notes=["one note"],
    )


def labels_of(names: list[str]) -> list[str]:
    return [names[i % len(names)] for i in range(N)]


def test_what_was_found_and_what_was_not_looked_for_is_told() -> None:
    listed = index(labels_of(["hat", "cap", "wig"]))
    page = render_page(collect_audit_report(audit(listed), listed), Pictures())
    for words in ("9 findings in 40 images", "dark was left out", "one note", "far from all", "merge them", "and more"):
        assert words in page
    assert 'id="plotly"' not in page, "a page without figures carries nothing to draw them with"


@pytest.mark.parametrize(("n_labels", "n_outliers", "sections"), [(0, 2, 1), (2, 0, 2), (3, 3, 2)])
def test_a_section_without_findings_is_left_out(n_labels: int, n_outliers: int, sections: int) -> None:
    listed = index(labels_of(["hat", "cap", "wig"]))
    found = collect_audit_report(audit(listed, n_labels, n_outliers), listed)
    assert len(found.parts) == sections


def test_of_each_kind_the_gravest_are_shown_and_pictured_in_turn() -> None:
    listed = index(labels_of(["hat", "cap", "wig"]))
    found = collect_audit_report(audit(listed, 5, 3), listed)
    assert list(found.images) == [0, 10, 1, 11, 2, 12, 3, 4]


def test_an_image_of_several_wrong_labels_is_listed_once() -> None:
    listed = index(labels_of(["hat", "cap", "wig"]))
    found = audit(listed, 2, 0)
    again = Finding("label", listed.path[0], 0.1, listed.label[0], "wig", "look", "again")
    double = Audit(**{**vars(found), "findings": {"label": [*found.findings["label"], again]}})
    page = render_page(collect_audit_report(double, listed), Pictures())
    assert page.count("correct to") == 2


@pytest.mark.slow
@pytest.mark.parametrize("twice", [10, 11, 12])
def test_arrow_keys_go_past_an_image_of_two_findings(browser: Browser, tmp_path: Path, twice: int) -> None:
    listed = index(labels_of(["hat", "cap", "wig"]))
    found = audit(listed, 0)
    again = Finding("dark", listed.path[twice], 0.4, listed.label[twice], "", "look", "dark")
    double = replace(
        found, titles={**found.titles, "dark": "Dark"}, findings={"dark": [again], **found.findings}, left_out={}
    )
    report = collect_audit_report(double, listed)
    write_page(report, tmp_path / "audit.html", made_pictures(report, 4, 32))
    opened = Opened(browser, tmp_path / "audit.html")
    opened.page.locator("#all-findings [data-open]").first.click()
    seen = []
    for _ in range(3):
        seen.append(opened.page.locator("dialog.viewer .path").inner_text())
        opened.page.keyboard.press("ArrowRight")
    assert seen == list(dict.fromkeys([listed.path[twice], *listed.path[10:13]]))
    assert opened.page.locator("[data-at]").inner_text() == "3 of 3"
    opened.context.close()


@pytest.mark.slow
@pytest.mark.parametrize("names", [["hat", "cap", "wig"], NASTY, ["=1", "+cmd", "a,b"]])
def test_findings_are_narrowed_and_labels_downloaded(browser: Browser, tmp_path: Path, names: list[str]) -> None:
    listed = index(labels_of(names))
    report = collect_audit_report(audit(listed), listed)
    write_page(report, tmp_path / "audit.html", made_pictures(report, 4, 32))
    opened = Opened(browser, tmp_path / "audit.html")
    assert opened.serious() == []
    kind = opened.page.locator("#findings [data-filter=kind]")
    visible = "[...document.querySelectorAll('#all-findings > li')].filter((each) => each.offsetParent).length"
    assert opened.value(visible) == 4
    kind.select_option("outlier")
    assert opened.value(visible) == 3
    opened.page.locator("#findings [data-filter=path]").fill(listed.path[11])
    assert opened.value(visible) == 1
    opened.page.locator("#labels").get_by_role("button", name="Tick all").click()
    with opened.page.expect_download() as downloading:
        opened.page.get_by_role("button", name="Download 5 as CSV").click()
    rows = list(csv.reader(io.StringIO(Path(downloading.value.path()).read_text(encoding="utf-8"))))
    assert rows[0] == ["path", "label", "was"]
    assert [row[0].removeprefix("'") for row in rows[1:]] == listed.path[:5]
    assert [row[2].removeprefix("'") for row in rows[1:]] == listed.label[:5]
    assert opened.value("typeof pwned") == "undefined"
    assert opened.errors == []
    opened.context.close()
