"""The report answers the hand: clicks, keys, filters, ticks and downloads, in a real browser."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from made_report import changed, made_pictures, made_report, record_of, with_changes
from stackbone.cache.csv_text import csv_lines
from stackbone.cache.disk.reading import ListedFile
from stackbone.stack.report.catalogue.catalogue import Catalogue
from stackbone.stack.report.page import write_page
from stackbone.stack.report.report import Report
from stackbone.stack.report.sections.map import MapRecord
from stackbone.stack.report.sections.single.check import CheckRecord
from tests.made.opened_page import Opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow


@pytest.fixture
def opened(browser: Browser, folder: Path) -> Iterator[Opened]:
    """Return the small page, new for each test."""
    found = Opened(browser, folder / "small.html", viewport={"width": 1280, "height": 900})
    yield found
    assert found.errors == []
    found.context.close()


def catalogue_of(report: Report) -> Catalogue:
    assert report.catalogue is not None
    return report.catalogue


def rows_of_cell(report: Report, true: int, predicted: int) -> set[int]:
    """Return the images of one class that the model takes for another."""
    known = catalogue_of(report)
    assert known.said is not None
    return set(known.rows[(known.true == true) & (known.said.codes == predicted)].tolist())


def shown_in(opened: Opened, place: str) -> list[int]:
    """Return the rows of the images that a list shows."""
    script = """(place) => [...document.querySelectorAll(`${place} [data-open]`)]
        .filter((each) => each.offsetParent).map((each) => Number(each.dataset.open))"""
    rows: list[int] = opened.page.evaluate(script, place)
    return rows


PLACE_OF_CELL = """([x, y]) => {
    const canvas = document.querySelector('[data-figure="confusion"]'), box = canvas.getBoundingClientRect();
    const { xaxis, yaxis } = canvas._fullLayout;
    return [box.x + xaxis._offset + xaxis.d2p(x), box.y + yaxis._offset + yaxis.d2p(y)];
}"""
TICKED = """[...document.querySelectorAll('#suspects input:checked')]
    .map((each) => Number(each.closest('li').dataset.row))"""


@pytest.mark.parametrize("order", ["by similarity", "A to Z"])
def test_a_click_on_a_cell_shows_its_images_beside_the_matrix(opened: Opened, order: str) -> None:
    report = made_report()
    canvas = opened.show("confusion")
    opened.page.get_by_role("button", name=order).click()
    known = catalogue_of(report)
    for true, predicted in ((0, 1), (3, 4), (2, 2)):
        canvas.scroll_into_view_if_needed()
        x, y = opened.page.evaluate(PLACE_OF_CELL, [known.classes[predicted], known.classes[true]])
        opened.page.mouse.move(x - 5, y)
        opened.page.mouse.move(x, y, steps=3)
        opened.page.mouse.click(x, y)
        expected = rows_of_cell(report, true, predicted)
        opened.page.wait_for_function(
            "(words) => document.querySelector('[data-cell] [role=status]').textContent.startsWith(words)",
            arg=f"{len(expected)} image",
        )
        assert set(shown_in(opened, "[data-cell]")) <= expected
        assert len(shown_in(opened, "[data-cell]")) == min(24, len(expected))


def test_a_cell_is_chosen_without_a_mouse(opened: Opened) -> None:
    report = made_report()
    cell = opened.page.locator("[data-cell]")
    cell.locator("select").nth(0).select_option("1")
    cell.locator("select").nth(1).select_option("3")
    assert set(shown_in(opened, "[data-cell]")) == rows_of_cell(report, 1, 3)


def test_a_photograph_enlarges_with_votes_neighbours_and_path_and_gives_the_focus_back(opened: Opened) -> None:
    known = catalogue_of(made_report())
    button = opened.page.locator("#wrong [data-open]").nth(2)
    row = int(button.get_attribute("data-open") or "")
    button.focus()
    opened.page.keyboard.press("Enter")
    viewer = opened.page.locator("dialog.viewer")
    text = viewer.inner_text()
    assert known.paths[row] in text
    assert f"labelled {known.labels[row]}" in text
    for name, said in known.votes.items():
        assert name in text
        assert known.classes[said.codes[row]] in text
    near = [each for each in known.neighbours[row].tolist() if each != row]
    assert shown_in(opened, "dialog.viewer") == near
    opened.page.keyboard.press("Escape")
    assert not viewer.is_visible()
    assert opened.value("document.activeElement.dataset.open") == str(row)


@pytest.mark.parametrize(
    ("keys", "place"), [(["ArrowRight"], 3), (["ArrowRight", "ArrowRight", "ArrowLeft"], 3), (["ArrowLeft"], 1)]
)
def test_arrow_keys_turn_to_the_next_image_of_the_list(opened: Opened, keys: list[str], place: int) -> None:
    buttons = opened.page.locator("#wrong [data-open]")
    buttons.nth(2).click()
    for key in keys:
        opened.page.keyboard.press(key)
    path = catalogue_of(made_report()).paths[int(buttons.nth(place).get_attribute("data-open") or "")]
    assert path in opened.page.locator("dialog.viewer").inner_text()
    assert "of 24" in opened.page.locator("[data-at]").inner_text()


def test_the_ends_of_a_list_are_its_ends_and_a_neighbour_enlarges_in_its_turn(opened: Opened) -> None:
    opened.page.locator("#wrong [data-open]").first.click()
    viewer = opened.page.locator("dialog.viewer")
    previous, following = (viewer.get_by_label(name) for name in ("Previous image", "Next image"))
    assert previous.get_attribute("aria-disabled") == "true"
    before = viewer.inner_text()
    opened.page.keyboard.press("ArrowLeft")
    assert viewer.inner_text() == before
    near = viewer.locator("[data-near] [data-open]").first
    path = catalogue_of(made_report()).paths[int(near.get_attribute("data-open") or "")]
    near.press("Enter")
    assert path in viewer.inner_text()
    assert opened.page.locator("[data-at]").inner_text() == "like image 1 of 24"
    assert (previous.get_attribute("aria-disabled"), following.get_attribute("aria-disabled")) == ("false", "false")
    opened.page.keyboard.press("Enter")
    assert viewer.inner_text() == before, "the focus is on the button that leads back"
    viewer.get_by_role("button", name="Close").click()
    assert not viewer.is_visible()


@pytest.mark.parametrize(
    ("button", "key", "end"), [("Next image", "ArrowLeft", 23), ("Previous image", "ArrowRight", 0)]
)
def test_the_last_image_that_a_button_turns_to_keeps_the_focus(opened: Opened, button: str, key: str, end: int) -> None:
    paths = catalogue_of(made_report()).paths
    rows = shown_in(opened, "#wrong")
    opened.page.locator("#wrong [data-open]").nth(22 if end else 1).click()
    viewer = opened.page.locator("dialog.viewer")
    for _ in range(3):
        viewer.get_by_label(button).press("Enter")
    assert paths[rows[end]] in viewer.inner_text()
    assert opened.value("document.activeElement.getAttribute('aria-label')") == button
    opened.page.keyboard.press(key)
    assert paths[rows[22 if end else 1]] in viewer.inner_text()


def test_arrow_keys_turn_also_after_a_click_beside_the_buttons(opened: Opened) -> None:
    opened.page.locator("#wrong [data-open]").first.click()
    opened.page.locator("dialog.viewer h2").click()
    opened.page.keyboard.press("ArrowRight")
    assert opened.page.locator("[data-at]").inner_text() == "2 of 24"


def test_what_changed_turns_through_its_images_and_shows_their_paths(browser: Browser, tmp_path: Path) -> None:
    report = with_changes(made_report())
    write_page(report, tmp_path / "changes.html", made_pictures(report, 6, 32))
    opened = Opened(browser, tmp_path / "changes.html")
    won = opened.page.locator("#changes ul.cards").first
    paths = [image.path for image in list(report.images.values())[:4]]
    assert won.locator(".path").all_inner_texts() == paths
    won.locator("[data-open]").first.click()
    for _ in range(5):
        opened.page.keyboard.press("ArrowRight")
    assert opened.page.locator("[data-at]").inner_text() == "4 of 4"
    assert paths[3] in opened.page.locator("dialog.viewer").inner_text()
    assert opened.serious() == []
    assert opened.errors == []
    opened.context.close()


def test_of_a_sample_the_gallery_and_the_cells_say_so(browser: Browser, tmp_path: Path) -> None:
    report = made_report()
    report = replace(changed(report, classes={"repeats": 3}), catalogue=replace(catalogue_of(report), n_in_all=120_000))
    write_page(report, tmp_path / "sample.html")
    opened = Opened(browser, tmp_path / "sample.html")
    for place in ("[data-gallery]", "[data-cell]"):
        text = opened.page.locator(f"{place} [role=status]").inner_text()
        assert ", in a sample of 400 of all 120,000" in text
    assert "By the mean of the repeats" in opened.page.locator("[data-cell]").inner_text()
    opened.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_what_a_click_shows(
    browser: Browser, folder: Path, scheme: Literal["light", "dark"]
) -> None:
    opened = Opened(browser, folder / "small.html", color_scheme=scheme)
    opened.page.locator("#wrong [data-open]").nth(2).click()
    assert opened.serious() == []
    opened.page.keyboard.press("Escape")
    opened.page.locator("#suspects input[type=checkbox]").first.check()
    opened.page.locator("[data-gallery] [data-by=kind]").select_option("all")
    assert opened.serious() == []
    opened.context.close()


def test_the_gallery_filters_by_kind_class_and_model_and_finds_by_name(opened: Opened) -> None:
    report = made_report()
    known = catalogue_of(report)
    assert known.said is not None
    gallery = opened.page.locator("[data-gallery]")
    status = gallery.locator("[role=status]")

    def says(n: int) -> None:
        assert status.inner_text() == ("1 image" if n == 1 else f"{n:,} images")

    wrong = known.said.codes != known.true
    says(int(wrong.sum()))
    gallery.locator("[data-by=label]").select_option("2")
    says(int((wrong & (known.true == 2)).sum()))
    gallery.locator("[data-by=taken]").select_option("3")
    says(int((wrong & (known.true == 2) & (known.said.codes == 3)).sum()))
    name, vote = next(iter(known.votes.items()))
    gallery.locator("[data-by=model]").select_option(name)
    says(int(((known.true == 2) & (vote.codes == 3)).sum()))
    gallery.locator("[data-by=taken]").select_option("")
    for row, text in zip(
        shown_in(opened, "[data-gallery]"), gallery.locator("li p:nth-of-type(2)").all_inner_texts(), strict=True
    ):
        assert vote.probability is not None
        assert text == f"taken for {known.classes[vote.codes[row]]} {100 * vote.probability[row]:.0f}% by {name}"
    for field in ("label", "taken", "model"):
        gallery.locator(f"[data-by={field}]").select_option("")
    gallery.locator("[data-by=kind]").select_option("label")
    says(len(record_of(report, CheckRecord).suspects))
    gallery.locator("[data-by=kind]").select_option("all")
    says(400)
    gallery.get_by_label("File name").fill("PHOTOS/0031")
    says(10)
    assert set(shown_in(opened, "[data-gallery]")) == set(range(310, 320))
    gallery.get_by_label("File name").fill("no such name")
    says(0)


def test_more_of_a_gallery_is_shown_on_demand(opened: Opened) -> None:
    gallery = opened.page.locator("[data-gallery]")
    gallery.locator("[data-by=kind]").select_option("all")
    assert len(shown_in(opened, "[data-gallery]")) == 24
    gallery.get_by_role("button", name="Show more of 400").press("Enter")
    assert len(shown_in(opened, "[data-gallery]")) == 48
    assert (
        opened.value("[...document.querySelectorAll('[data-gallery] [data-open]')].indexOf(document.activeElement)")
        == 24
    )


def test_labels_to_check_are_narrowed_ticked_changed_and_downloaded(opened: Opened) -> None:
    report = made_report()
    suspects = record_of(report, CheckRecord).suspects
    section = opened.page.locator("#check")
    button = section.locator("[data-download]")
    assert button.is_disabled()
    first, second, *_ = section.locator("#suspects > li").all()
    first.get_by_role("checkbox").check()
    second.locator("input[type=text]").fill("something else")
    assert second.get_by_role("checkbox").is_checked(), "who changes a label means it"
    with opened.page.expect_download() as downloading:
        button.click()
    text = Path(downloading.value.path()).read_text(encoding="utf-8")
    paths = catalogue_of(report).paths
    assert downloading.value.suggested_filename == "corrections.csv"
    assert list(csv.reader(io.StringIO(text))) == [
        ["path", "label", "was"],
        [paths[suspects[0].row], suspects[0].likeliest, suspects[0].label],
        [paths[suspects[1].row], "something else", suspects[1].label],
    ]
    label = suspects[2].label
    section.locator("[data-filter=label]").select_option(label)
    of_it = [each for each in suspects if each.label == label]
    assert shown_in(opened, "#suspects") == [each.row for each in of_it]
    section.get_by_role("button", name="Tick all").click()
    assert {each.row for each in of_it} <= set(opened.value(TICKED))


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("=1+1.jpg", "@cmd"),
        ('a "quoted", name.jpg', "+x"),
        ("two\nlines.jpg", "-5"),
        ("<b>&amp;.jpg", "\uff1dx"),
        ("-a\r.jpg", "é,"),
    ],
)
def test_hostile_names_come_out_as_the_tool_writes_them(
    browser: Browser, tmp_path: Path, path: str, label: str
) -> None:
    report = made_report(names=[label, "plain"])
    known = catalogue_of(report)
    suspect = replace(record_of(report, CheckRecord).suspects[0], label=label, likeliest="plain")
    row = next(each for each in report.images if known.labels[each] == label)
    suspect = replace(suspect, row=row)
    paths = [path if each == row else name for each, name in enumerate(known.paths)]
    images = {each: replace(image, file=ListedFile("/made", paths[each], b"")) for each, image in report.images.items()}
    report = replace(
        changed(report, check={"suspects": [suspect]}), images=images, catalogue=replace(known, paths=paths)
    )
    write_page(report, tmp_path / "hostile.html", made_pictures(report, 2, 32))
    opened = Opened(browser, tmp_path / "hostile.html")
    opened.page.locator("#suspects input[type=checkbox]").check()
    with opened.page.expect_download() as downloading:
        opened.page.locator("[data-download]").click()
    assert Path(downloading.value.path()).read_bytes().decode() == csv_lines(
        [["path", "label", "was"], [path, "plain", label]]
    )
    assert opened.errors == []
    opened.context.close()


@pytest.mark.parametrize(("way", "sizes"), [("error", 2), ("prediction", 6), ("split", 2)])
def test_the_map_colours_by_error_prediction_and_split(opened: Opened, way: str, sizes: int) -> None:
    opened.show("map_pca_resnet50")
    opened.page.locator("[data-color]").select_option(way)
    drawn: list[int] = opened.value("document.querySelector('[data-figure^=map]').data.map((trace) => trace.x.length)")
    known = catalogue_of(made_report())
    assert known.said is not None
    wrong = int((known.said.codes != known.true).sum())
    of_class = [int((known.said.codes == code).sum()) for code in range(6)]
    assert drawn == {"error": [0, 400 - wrong, wrong], "split": [0, 100, 300], "prediction": [0, *of_class]}[way]
    assert opened.page.locator('[data-class][aria-pressed="true"]:visible').count() == sizes
    opened.page.locator("[data-color]").select_option("class")
    assert opened.page.locator('[data-class][aria-pressed="true"]:visible').count() == 6


@pytest.mark.parametrize(("way", "code"), [("error", 1), ("split", 1), ("class", 3), ("prediction", 5)])
def test_what_is_chosen_alone_keeps_its_look(opened: Opened, way: str, code: int) -> None:
    opened.show("map_pca_resnet50")
    opened.page.locator("[data-color]").select_option(way)
    chip = opened.page.locator(f"[data-class='{code}']:visible")
    look = chip.locator("path")
    before = [look.get_attribute(name) for name in ("d", "fill")]
    chip.click()
    assert opened.page.locator('[data-class][aria-pressed="true"]:visible').count() == 1
    assert [look.get_attribute(name) for name in ("d", "fill")] == before


def test_the_map_colours_by_the_clusters_of_the_backbone_it_shows(opened: Opened) -> None:
    first, second = record_of(made_report(), MapRecord).maps[:2]
    assert first.clusters is not None
    assert second.clusters is not None
    drawn = "document.querySelector('[data-figure^=map]').data.map((trace) => trace.x)"
    opened.show("map_pca_resnet50")
    opened.page.locator("[data-color]").select_option("cluster")
    chips = opened.page.locator("[data-class]:visible").all_inner_texts()
    assert [each.strip()[:3] for each in chips] == [f"{number}: " for number in range(1, 7)]
    xs = first.projection.points[:, 0]
    assert opened.value(drawn) == [[], *(xs[first.clusters == code].tolist() for code in range(6))]
    opened.page.locator("[data-map]").select_option("map_pca_vit_base")
    xs = second.projection.points[:, 0]
    assert opened.value(drawn) == [[], *(xs[second.clusters == code].tolist() for code in range(6))]
    opened.page.locator("[data-map]").select_option("map_pca_resnet50")
    opened.page.locator("[data-color]").select_option("class")


def test_every_point_of_the_map_has_its_path_and_enlarges(opened: Opened) -> None:
    report = made_report()
    known = catalogue_of(report)
    opened.show("map_pca_resnet50")
    row = next(each for each in range(400) if each not in report.images)
    x, y = opened.place_of("map_pca_resnet50", row)
    opened.page.mouse.move(x - 30, y - 30)
    opened.page.mouse.move(x, y, steps=4)
    opened.page.locator(".tooltip").filter(has_text=known.paths[row]).wait_for(state="visible")
    opened.page.mouse.click(x, y)
    assert known.paths[row] in opened.page.locator("dialog.viewer").inner_text()


def test_the_table_of_models_sorts_by_keyboard(opened: Opened) -> None:
    table = opened.page.locator("table.models")

    def column() -> list[float]:
        return [float(each) for each in table.locator("tbody td:nth-child(2)").all_inner_texts()]

    button = table.get_by_role("button", name="accuracy")
    button.press("Enter")
    assert column() == sorted(column())
    button.press(" ")
    assert column() == sorted(column(), reverse=True)
    assert table.locator('th[aria-sort="descending"]').inner_text().startswith("accuracy")
    table.get_by_role("button", name="log-loss").click()
    losses = table.locator("tbody td:nth-child(5)").all_inner_texts()
    assert losses == sorted(losses, key=lambda each: (each != "-", each)), "what is not known comes first"
