"""The report's page: whole, self-contained, and nothing in it but text and our own script."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from made_report import made_regression, made_report, made_thumbnails
from stackbone.cache import CacheError
from stackbone.stack.report.blocks import join_all
from stackbone.stack.report.markup import Markup, element, table
from stackbone.stack.report.page import to_script_json, write_report

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


def write(tmp_path: Path, data: dict[str, Any], n_thumbnails: int = 4) -> Page:
    file = tmp_path / "made" / "report.html"
    write_report(data, made_thumbnails(n_thumbnails, 32), file)
    return Page(file.read_text(encoding="utf-8"))


def test_all_sections_are_there_and_the_navigation_leads_to_them(tmp_path: Path) -> None:
    data = made_report()
    file = tmp_path / "report.html"
    write_report(data, made_thumbnails(3, 32), file, attention=made_thumbnails(1, 32))
    page = Page(file.read_text(encoding="utf-8"))
    sections = page.ids("section")
    assert sections == [
        *("scores", "classes", "errors", "backbones", "confidence", "learning", "map", "attention", "provenance")
    ]
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert links == ["#main", *(f"#{name}" for name in sections)]
    assert "0.861" in page.text
    assert "± 0.006" in page.text
    assert "stack:oof (0.861) beats the best single backbone" in page.text


def test_a_regression_has_its_own_sections(tmp_path: Path) -> None:
    page = write(tmp_path, made_regression())
    assert page.ids("section") == ["scores", "fit", "backbones", "learning", "map", "provenance"]
    assert "R² of stack:oof" in page.text


def test_a_regression_shows_the_images_that_it_misses_by_most(tmp_path: Path) -> None:
    data = made_regression()
    points = data["regression"]
    page = write(tmp_path, data)
    first = points["worst"][0]
    shown = page.text.partition("Furthest off, or wrongly labelled")[2]
    told = f"labelled {points['true'][first]:g}taken for {points['predicted'][first]:.4g}"
    assert shown.startswith(told) or shown.startswith(f"no picture{told}")
    assert data["images"][points["image"][first]]["path"] in shown


def test_what_is_not_known_leaves_no_hole(tmp_path: Path) -> None:
    data = made_report()
    for key in ("weights", "learning_curve", "overlap", "difference", "calibration_error"):
        data[key] = None
    for key in ("ablation", "cost", "calibration", "maps", "confused_pairs", "wrong", "conflicts", "lessons"):
        data[key] = []
    data["scores"] = {"edges": [], "right": [], "wrong": []}
    data["facts"]["n_groups"] = None
    assert write(tmp_path, data).ids("section") == ["scores", "classes", "provenance"]


def test_classes_that_no_fold_tests_have_no_score(tmp_path: Path) -> None:
    data = made_report()
    data["per_class"][1] |= {"n": 0, "precision": 0.0, "recall": 0.0, "f1": 0.0}
    name = data["classes"][1]["name"]
    page = write(tmp_path, data)
    scored = page.text.partition("Class by class")[2].partition("Most often confused")[0]
    assert scored.count(name) == 1
    assert f"No image of these classes was tested, so they have no score: {name}." in scored


def test_with_repeats_predictions_are_counted_and_not_images(tmp_path: Path) -> None:
    data = made_report()
    pair = f"{data['confused_pairs'][0]['n']} {{}}, {data['confused_pairs'][0]['share']:.1%} of the class"
    assert pair.format("images") in write(tmp_path, data).text
    data["provenance"]["options"]["repeats"] = 10
    assert pair.format("predictions") in write(tmp_path, data).text


def test_a_map_of_fewer_images_says_why(tmp_path: Path) -> None:
    data = made_report()
    assert "its steering never saw" not in write(tmp_path, data).text
    last = data["maps"][-1]
    data["maps"][-1] = last | {name: last[name][:9] for name in ("x", "y", "class", "image")}
    page = write(tmp_path, data)
    assert "its steering never saw" in page.text
    says = [attributes["data-says"] or "" for tag, attributes in page.tags if "data-says" in attributes]
    assert [each.split()[2] for each in says] == ["400", "400", "9"]


def test_an_unlabelled_copy_is_called_so(tmp_path: Path) -> None:
    data = made_report()
    data["images"][1]["label"] = ""
    assert "labelled not at all" in write(tmp_path, data).text


def test_wrong_images_without_probability_are_shown_without(tmp_path: Path) -> None:
    data = made_report()
    for each in data["wrong"]:
        each["probability"] = None
        for vote in each["votes"]:
            vote["probability"] = None
    assert "%" not in write(tmp_path, data).text.partition("Surely wrong")[2].partition("Copies with")[0]


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
    assert json.loads(data)["classes"] == [each["name"] for each in made_report()["classes"]]


def test_names_stay_text_wherever_they_stand(tmp_path: Path) -> None:
    data = made_report(names=NASTY)
    data["dataset"] = data["verdict"] = data["lessons"][0] = NASTY[1]
    data["images"] = [{**each, "path": NASTY[1]} for each in data["images"]]
    data["facts"]["notes"] = data["provenance"]["commands"] = [NASTY[1]]
    data["provenance"]["versions"] = {NASTY[1]: NASTY[1]}
    data["provenance"]["feature_sets"] = {NASTY[1]: {"id": NASTY[1], "spec": {"x": NASTY}, "provenance": {}}}
    for each in data["models"]:
        each["name"] = each["what"] = NASTY[1]
    page = write(tmp_path, data)
    assert len(page.scripts) == 3
    assert not [attributes for tag, attributes in page.tags if tag == "img" and "onerror" in attributes]
    for name in NASTY:
        assert name in page.text
    assert json.loads(page.scripts[0])["classes"] == NASTY


def test_a_name_that_is_not_unicode_is_written_as_escapes(tmp_path: Path) -> None:
    data = made_report(names=["a\udcff", "b"])
    assert "a\\udcff" in write(tmp_path, data).text


def test_script_json_cannot_end_its_element() -> None:
    value = {"</script>": "<!-- & \u2028\u2029"}
    text = to_script_json(value)
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == value
    with pytest.raises(ValueError, match="JSON compliant"):
        to_script_json(float("nan"))


def test_thumbnails_are_in_the_file_once(tmp_path: Path) -> None:
    thumbnails = made_thumbnails(4, 32)
    file = tmp_path / "report.html"
    write_report(made_report(), thumbnails, file)
    text = file.read_text(encoding="utf-8")
    for content in thumbnails.values():
        assert text.count(f"data:image/webp;base64,{base64.b64encode(content).decode()}") == 1


def test_images_without_thumbnail_are_shown_by_path(tmp_path: Path) -> None:
    data = made_report()
    page = write(tmp_path, data, n_thumbnails=0)
    assert not [attributes for tag, attributes in page.tags if tag == "img" and "data-image" in attributes]
    assert "no picture" in page.text
    assert data["images"][data["wrong"][0]["image"]]["path"] in page.text


def test_every_figure_is_described_and_its_numbers_are_in_a_table(tmp_path: Path) -> None:
    page = write(tmp_path, made_report())
    drawn = [attributes for _, attributes in page.tags if "data-figure" in attributes]
    assert [each["data-figure"] for each in drawn][:2] == ["models", "confusion"]
    for each in drawn:
        assert each["role"] == "img"
        assert len(each["aria-label"] or "") > 20
    # The models and the classes have a whole table of their own.
    assert len([tag for tag, _ in page.tags if tag == "summary"]) >= len(drawn) - 1


def test_votes_are_listed_and_agreement_is_pointed_out(tmp_path: Path) -> None:
    data = made_report()
    page = write(tmp_path, data)
    agreeing = sum(all(vote["predicted"] == each["predicted"] for vote in each["votes"]) for each in data["wrong"])
    assert 0 < agreeing < len(data["wrong"])
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
        write_report(made_report(), {}, file)
    assert file.read_text() == "older"


def test_five_thousand_images_make_less_than_ten_megabytes(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    heaviest = made_thumbnails(1, 160)[0].ljust(6_500, b"\0")  # see `extract.images.thumbnails`
    write_report(made_report(5000, 10, 600), dict.fromkeys(range(600), heaviest), file)
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
