"""The report's page: whole, self-contained, and nothing in it but text and our own script."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from made_report import changed, made_pictures, made_regression, made_report, made_thumbnails, record_of
from stackbone.cache import CacheError
from stackbone.cache.disk.reading import ListedFile
from stackbone.stack.report.blocks import join_all
from stackbone.stack.report.head import NO_CLEAR_DIFFERENCE
from stackbone.stack.report.markup import Markup, element, table
from stackbone.stack.report.page import to_script_json, write_page
from stackbone.stack.report.pictures import Pictures
from stackbone.stack.report.report import Report
from stackbone.stack.report.sections.attention import AttentionRecord
from stackbone.stack.report.sections.classes import ClassesRecord
from stackbone.stack.report.sections.errors import ErrorsRecord
from stackbone.stack.report.sections.fit import FitRecord
from stackbone.stack.report.sections.map import MapRecord
from stackbone.stack.report.sections.provenance import ProvenanceRecord, Values
from stackbone.stack.report.sections.scores import ScoresRecord
from stackbone.stack.tables.verdict import Verdict
from stackbone.stack.tasks.findings import Lesson

NASTY = [
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    "\"quoted\" & 'single'",
    "$title {x}",
    "é",
]


class Page(HTMLParser):
    """The elements, texts, ids and scripts of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self._open = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open == "script":
            self.scripts[-1] += data
        elif self._open != "style":
            self.text += data

    def ids(self, name: str) -> list[str | None]:
        return [attributes.get("id") for tag, attributes in self.tags if tag == name]


def write(tmp_path: Path, report: Report, n_thumbnails: int = 4) -> Page:
    file = tmp_path / "made" / "report.html"
    write_page(report, file, made_pictures(report, n_thumbnails, 32))
    return Page(file.read_text(encoding="utf-8"))


def test_all_sections_are_there_and_the_navigation_leads_to_them(tmp_path: Path) -> None:
    report, file = made_report(), tmp_path / "report.html"
    write_page(report, file, made_pictures(report, 3, 32, n_attention=1))
    page = Page(file.read_text(encoding="utf-8"))
    sections = page.ids("section")
    assert sections == [
        *(
            "scores",
            "classes",
            "errors",
            "check",
            "images",
            "backbones",
            "confidence",
            "learning",
            "map",
            "attention",
            "data",
            "provenance",
        )
    ]
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert links == ["#main", *(f"#{name}" for name in sections)]
    assert "0.861" in page.text
    assert "± 0.006" in page.text
    assert "stack:oof (0.861) beats the best single backbone" in page.text


@pytest.mark.parametrize("is_clear", [True, False])
def test_what_may_be_chance_is_no_headline(tmp_path: Path, is_clear: bool) -> None:  # noqa: FBT001 - parametrized
    report = made_report()
    verdict = replace(report.head.verdict, is_clear=is_clear)
    file = tmp_path / "report.html"
    write_page(replace(report, head=replace(report.head, verdict=verdict, interval=(0.849, 0.873))), file)
    text = file.read_text(encoding="utf-8")
    headline = text.partition("<h1>")[2].partition("</h1>")[0]
    assert headline == (verdict.comparison if is_clear else NO_CLEAR_DIFFERENCE)
    assert verdict.beside is not None
    assert verdict.beside in text
    assert "plain concat" not in headline, "that difference has no interval"
    assert verdict.comparison in text
    assert "95% interval 0.849 to 0.873" in text


def test_a_regression_has_its_own_sections(tmp_path: Path) -> None:
    page = write(tmp_path, made_regression())
    assert page.ids("section") == ["scores", "fit", "images", "backbones", "learning", "map", "data", "provenance"]
    assert "R² of stack:oof" in page.text


def test_a_regression_shows_the_images_that_it_misses_by_most(tmp_path: Path) -> None:
    report = made_regression()
    record = record_of(report, FitRecord)
    page = write(tmp_path, report)
    first = record.points.worst[0]
    shown = page.text.partition("Furthest off, or mislabelled")[2]
    told = f"labelled {record.points.true[first]:g}taken for {record.points.predicted[first]:.4g}"
    assert shown.startswith(told) or shown.startswith(f"no picture{told}")
    assert report.images[int(record.images[first])].path in shown


def test_what_is_not_known_leaves_no_hole(tmp_path: Path) -> None:
    report = changed(
        made_report(),
        **dict.fromkeys(("errors", "check", "images", "backbones", "confidence", "learning", "map", "attention")),
        classes={"pairs": []},
        scores={"lessons": []},
    )
    facts = replace(report.head.facts, n_groups=None, notes=[])
    bare = replace(report.head, std=None, verdict=replace(report.head.verdict, certainty=None), facts=facts)
    assert write(tmp_path, replace(report, head=bare)).ids("section") == ["scores", "classes", "data", "provenance"]


def test_the_data_are_shown_with_what_looks_odd_and_what_was_not_taken(tmp_path: Path) -> None:
    text = write(tmp_path, made_report()).text
    for words in (
        "Sizes: 32 x 32 pixels in the median",
        "Images are smaller",
        "'dev' is the split",
        "a/<b>.heic",
        "12",
    ):
        assert words in text


def test_attention_that_nobody_drew_is_left_out(tmp_path: Path) -> None:
    assert record_of(made_report(), AttentionRecord).looks
    assert "attention" not in write(tmp_path, made_report()).ids("section")


def test_classes_that_no_fold_tests_have_no_score(tmp_path: Path) -> None:
    name, *scored = record_of(made_report(), ClassesRecord).scored
    page = write(tmp_path, changed(made_report(), classes={"scored": scored, "untested": [name.name]}))
    shown = page.text.partition("Class by class")[2].partition("Most often confused")[0]
    assert shown.count(name.name) == 1
    assert f"No image of these classes was tested, so they have no score: {name.name}." in shown


def test_with_repeats_images_are_counted_and_of_the_matrix_it_is_said_that_they_are_not(tmp_path: Path) -> None:
    report = made_report()
    first = record_of(report, ClassesRecord).pairs[0]
    shown, said = (
        f"{first.pair.n} images, {first.pair.share:.1%} of the class",
        "Numbers are predictions, 5 of each image",
    )
    for repeats in (1, 5):
        text = write(tmp_path, changed(report, classes={"repeats": repeats})).text
        assert shown in text
        assert (said in text) == (repeats == 5)


def test_one_is_counted_in_the_singular(tmp_path: Path) -> None:
    report = made_report()
    first = record_of(report, ClassesRecord).pairs[0]
    once = [replace(first, pair=replace(first.pair, n=1))]
    facts = replace(report.head.facts, left_out={"failed": 1, "doubles": 1, "conflicting": 2, "near_copies": 1})
    head = replace(report.head, facts=facts)
    text = write(tmp_path, replace(changed(report, classes={"pairs": once}), head=head)).text
    assert "1 image, " in text
    assert "1 unreadable, 1 copy, 2 conflicting copies, 1 near copy" in text


def test_a_map_of_fewer_images_says_why(tmp_path: Path) -> None:
    report = made_report()
    assert "its steering never saw" not in write(tmp_path, report).text
    *others, last = record_of(report, MapRecord).maps
    assert last.codes is not None
    plane = replace(last.projection, points=last.projection.points[:9])
    fewer = replace(last, projection=plane, codes=last.codes[:9], rows=last.rows[:9], clusters=None)
    page = write(tmp_path, changed(report, map={"maps": [*others, fewer]}))
    assert "its steering never saw" in page.text
    says = [attributes["data-says"] or "" for tag, attributes in page.tags if "data-says" in attributes]
    assert [each.split()[2] for each in says] == ["400", "400", "9"]


def test_an_unlabelled_copy_is_called_so(tmp_path: Path) -> None:
    report = made_report()
    row = record_of(report, ErrorsRecord).conflicts[0][1]
    images = {**report.images, row: replace(report.images[row], label="")}
    assert "not labelled" in write(tmp_path, replace(report, images=images)).text


def test_wrong_images_without_probability_are_shown_without(tmp_path: Path) -> None:
    wrong = [replace(each, probability=None, votes=[]) for each in record_of(made_report(), ErrorsRecord).wrong]
    page = write(tmp_path, changed(made_report(), errors={"wrong": wrong}))
    assert "%" not in page.text.partition("Confidently wrong")[2].partition("Copies with")[0]


def test_the_file_asks_for_nothing_outside_itself(tmp_path: Path) -> None:
    page = write(tmp_path, made_report())
    for tag, attributes in page.tags:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            assert (attributes.get(name) or "#").startswith("#"), (tag, attributes)


def test_only_scripts_whose_hash_the_policy_names_may_run(tmp_path: Path) -> None:
    page = write(tmp_path, made_report())
    policy = next(a["content"] for tag, a in page.tags if tag == "meta" and "http-equiv" in a) or ""
    data, packed, own = page.scripts
    code = [gzip.decompress(base64.b64decode(packed)).decode(), own]
    assert code[0].startswith("/**\n* plotly.js")
    hashes = [base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in code]
    assert re.findall(r"'sha256-([^']+)'", policy) == hashes
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "'unsafe-inline'" not in policy.partition("style-src")[0]
    assert json.loads(data)["classes"] == record_of(made_report(), MapRecord).classes


def test_names_stay_text_wherever_they_stand(tmp_path: Path) -> None:
    bad, report = NASTY[1], made_report(names=NASTY)
    scores, features = record_of(report, ScoresRecord), record_of(report, ProvenanceRecord).made_with[-1]
    models = [replace(each, name=bad, what=bad) for each in scores.models]
    report = changed(
        report,
        scores={"models": models, "best": models[-1], "lessons": [Lesson(bad), Lesson(bad, bad)]},
        provenance={
            "commands": [bad],
            "made_with": [Values("Versions", {bad: bad}), replace(features, title=bad, values={"x": NASTY})],
        },
    )
    head = replace(report.head, dataset=bad, model=bad, verdict=Verdict(bad, bad))
    head = replace(head, facts=replace(head.facts, notes=[bad]))
    files = {row: replace(each, file=ListedFile("/", bad, b"")) for row, each in report.images.items()}
    page = write(tmp_path, replace(report, head=head, images=files))
    assert len(page.scripts) == 3
    assert not [attributes for tag, attributes in page.tags if tag == "img" and "onerror" in attributes]
    for name in NASTY:
        assert name in page.text
    assert json.loads(page.scripts[0])["classes"] == NASTY


def test_a_name_that_is_not_unicode_is_written_as_escapes(tmp_path: Path) -> None:
    page = write(tmp_path, made_report(names=["a\udcff", "b"]))
    assert "a\\udcff" in page.text
    assert json.loads(page.scripts[0])["classes"] == ["a\\udcff", "b"]


def test_script_json_cannot_end_its_element() -> None:
    value = {"</script>": "<!-- & \u2028\u2029"}
    text = to_script_json(value)
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == value
    with pytest.raises(ValueError, match="JSON compliant"):
        to_script_json(float("nan"))


def test_thumbnails_are_in_the_file_once(tmp_path: Path) -> None:
    report, file = made_report(), tmp_path / "report.html"
    pictures = made_pictures(report, 4, 32)
    write_page(report, file, pictures)
    text = file.read_text(encoding="utf-8")
    for content in pictures.thumbnails.values():
        assert text.count(f"data:image/webp;base64,{base64.b64encode(content).decode()}") == 1


def test_images_without_thumbnail_are_shown_by_path(tmp_path: Path) -> None:
    report = made_report()
    page = write(tmp_path, report, n_thumbnails=0)
    assert not [attributes for tag, attributes in page.tags if tag == "img" and "data-image" in attributes]
    assert "no picture" in page.text
    assert report.images[record_of(report, ErrorsRecord).wrong[0].row].path in page.text


def test_the_reason_for_a_missing_thumbnail_stands_in_its_place(tmp_path: Path) -> None:
    report, file = made_report(), tmp_path / "report.html"
    row = record_of(report, ErrorsRecord).wrong[0].row
    write_page(report, file, Pictures(missing={row: "its bytes changed since it was listed; run again"}))
    shown = Page(file.read_text(encoding="utf-8")).text.partition("Confidently wrong")[2]
    assert "its bytes changed since it was listed" in shown


def test_every_figure_is_described_and_its_numbers_are_in_a_table(tmp_path: Path) -> None:
    page = write(tmp_path, made_report())
    drawn = [attributes for _, attributes in page.tags if "data-figure" in attributes]
    assert [each["data-figure"] for each in drawn][:2] == ["scores", "confusion"]
    for each in drawn:
        assert each["role"] == "img"
        assert len(each["aria-label"] or "") > 20
    # The models and the classes have a whole table of their own.
    assert len([tag for tag, _ in page.tags if tag == "summary"]) >= len(drawn) - 1


def test_votes_are_listed_and_agreement_is_pointed_out(tmp_path: Path) -> None:
    page = write(tmp_path, made_report())
    wrong = record_of(made_report(), ErrorsRecord).wrong
    agreeing = sum(all(vote.predicted == each.predicted for vote in each.votes) for each in wrong)
    assert 0 < agreeing < len(wrong)
    assert sum(attributes.get("class") == "badge" for _, attributes in page.tags) == agreeing


def test_points_that_maps_share_are_written_once(tmp_path: Path) -> None:
    payload = json.loads(write(tmp_path, made_report()).scripts[0])
    assert len(payload["maps"]) == 3
    assert len(payload["rows"]) == 1
    assert all(payload["figures"][name]["data"] == [] for name in payload["maps"])


def test_an_older_report_stays_when_the_new_one_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "report.html"
    file.write_text("older")

    def full_disk(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("stackbone.cache.disk.files.os.write", full_disk)
    with pytest.raises(CacheError, match="No space left"):
        write_page(made_report(), file)
    assert file.read_text() == "older"


def test_five_thousand_images_make_less_than_ten_megabytes(tmp_path: Path) -> None:
    report, file = made_report(5000, 10, 600), tmp_path / "report.html"
    heaviest = made_thumbnails(1, 160)[0].ljust(6_500, b"\0")  # see `extract.images.thumbnails`
    write_page(report, file, Pictures(dict.fromkeys(report.images, heaviest)))
    assert file.stat().st_size < 10e6


def test_markup_escapes_text_and_attributes() -> None:
    assert element("a", "<b>", title='"', data_x=1, hidden=True, lang=None) == (
        '<a title="&quot;" data-x="1" hidden>&lt;b&gt;</a>'
    )
    assert element("img", alt="<") == '<img alt="&lt;">'
    assert join_all("<", element("b", "x"), None) == "&lt;<b>x</b>"
    assert element("p", [element("b", "x"), None, 3, ["<", Markup("<i></i>")]]) == "<p><b>x</b>3&lt;<i></i></p>"


def test_tables_name_their_rows_and_align_numbers() -> None:
    found = table(["a", "b"], [["x", "1,234.5"], ["y", "<"]], caption="c")
    assert '<th scope="row">x</th><td class="number">1,234.5</td>' in found
    assert "<td>&lt;</td>" in found


@pytest.mark.parametrize(
    ("cells", "is_numeric"),
    [
        (["1,234.5", "-"], True),
        (["+1.2 to +3.4", "-0.5 to +0.1"], True),
        (["0.812 ± 0.010", "97.5%"], True),
        (["1.0", "none"], False),
        (["-", "-"], False),
        ([], False),
    ],
)
def test_the_title_of_a_column_stands_over_its_numbers(cells: list[str], is_numeric: bool) -> None:  # noqa: FBT001
    found = table(["name", "column"], [["7", each] for each in cells], caption="c")
    assert '<th scope="col">name</th>' in found, "a name that reads as a number is none"
    assert ('<th scope="col" class="number">column</th>' in found) == is_numeric
