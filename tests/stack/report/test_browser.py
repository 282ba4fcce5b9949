"""The report in a real browser: it draws, answers to mouse and keyboard, and lets nothing in or out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from made_report import made_regression, made_report, record_of
from stackbone.stack.report.page import write_page
from stackbone.stack.report.report import Report
from stackbone.stack.report.sections.classes import ClassesRecord
from stackbone.stack.report.sections.map import MapRecord
from stackbone.stack.report.sections.provenance import ProvenanceRecord
from tests.made.opened_page import NASTY, Opened, box_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow

FIGURES = (
    "scores",
    "confusion",
    "ablation",
    "overlap",
    "cost",
    "weights",
    "calibration",
    "confidence",
    "learning_curve",
)


def codes_of(report: Report) -> list[int]:
    """Return the class code of each point of the first map."""
    codes = record_of(report, MapRecord).maps[0].codes
    assert codes is not None
    return [int(code) for code in codes]


def test_the_page_opens_before_its_figures_are_drawn(shared: Opened) -> None:
    assert shared.page.locator("h1").inner_text().startswith("stack:oof (0.861) beats")
    assert shared.page.locator('[data-figure="map_pca_resnet50"] .main-svg').count() == 0


def test_every_figure_is_drawn_once_it_comes_into_view(shared: Opened) -> None:
    for name in (*FIGURES, "map_pca_resnet50"):
        box = box_of(shared.show(name).locator(".main-svg"))
        assert box["width"] > 300, name
        assert box["height"] > 200, name
    assert shared.errors == []


def test_nothing_is_asked_for_outside_the_file(shared: Opened, folder: Path) -> None:
    outside = [url for url in shared.requests if not url.startswith(("data:", "blob:"))]
    assert outside == [(folder / "small.html").as_uri()]


def test_pictures_are_decoded_where_they_come_near_the_screen(browser: Browser, folder: Path) -> None:
    opened = Opened(browser, folder / "small.html", viewport={"width": 1280, "height": 900})
    opened.page.wait_for_timeout(300)
    images = "[...document.querySelectorAll('img[data-image]:not(.later *), img[data-attention]')]"
    assert opened.value(f"{images}.some((image) => !image.src)"), "those far below wait"
    for name in ("errors", "check", "images", "attention"):
        opened.page.locator(f"#{name}").scroll_into_view_if_needed()
        opened.page.evaluate(f"scrollTo(0, document.getElementById('{name}').offsetTop)")
        shown = f"[...document.querySelectorAll('#{name} img')].filter((image) => image.offsetTop - scrollY < 900)"
        opened.page.wait_for_function(f"{shown}.every((image) => !image.offsetParent || image.naturalWidth > 0)")
    opened.context.close()


def test_resting_on_a_point_shows_its_image_and_label(shared: Opened) -> None:
    shared.show("map_pca_resnet50")
    row, image = list(made_report().images.items())[5]  # points of the made maps are rows of the made dataset
    x, y = shared.place_of("map_pca_resnet50", row)
    shared.page.mouse.move(x - 40, y - 40)
    shared.page.mouse.move(x, y, steps=4)
    tooltip = shared.page.locator(".tooltip")
    tooltip.filter(has_text=image.path).wait_for(state="visible")
    assert image.label in tooltip.inner_text()
    source = tooltip.locator("img").get_attribute("src")
    assert source == shared.page.locator(f'img[data-image="{row}"]').first.get_attribute("src")
    shared.page.mouse.move(5, 5)
    tooltip.wait_for(state="hidden")


def test_the_confusion_matrix_zooms_by_button_by_mouse_and_to_a_class(shared: Opened) -> None:
    canvas = shared.show("confusion")
    figure = shared.page.locator("#figure-confusion")
    whole = shared.range_of("confusion")
    figure.get_by_label("Zoom in").click()
    near = shared.range_of("confusion")
    assert near[1] - near[0] == pytest.approx(0.6 * (whole[1] - whole[0]))
    figure.get_by_label("Reset the zoom").click()
    assert shared.range_of("confusion") == pytest.approx(whole)

    canvas.scroll_into_view_if_needed()
    drag = box_of(canvas.locator(".nsewdrag"))
    shared.page.mouse.move(drag["x"] + 0.2 * drag["width"], drag["y"] + 0.3 * drag["height"])
    shared.page.mouse.down()
    shared.page.mouse.move(drag["x"] + 0.7 * drag["width"], drag["y"] + 0.7 * drag["height"], steps=4)
    shared.page.mouse.up()
    shared.page.wait_for_function(
        "(width) => { const [a, b] = document.querySelector('[data-figure=confusion]')._fullLayout.xaxis.range;"
        " return b - a < 0.8 * width }",
        arg=whole[1] - whole[0],
    )
    figure.get_by_label("Reset the zoom").click()
    assert shared.range_of("confusion") == pytest.approx(whole)

    name = record_of(made_report(), ClassesRecord).matrix.names[4]
    shared.page.locator("[data-jump]").select_option(label=name)
    place = shared.value("document.querySelector('[data-figure=confusion]').data[0].x").index(name)
    low, high = shared.range_of("confusion")
    assert low <= place <= high
    shared.page.locator("[data-jump]").select_option(label="all classes")
    assert shared.range_of("confusion") == pytest.approx(whole)


def test_the_confusion_matrix_takes_another_order(shared: Opened) -> None:
    shared.show("confusion")
    names = record_of(made_report(), ClassesRecord).matrix.names
    drawn = "document.querySelector('[data-figure=confusion]').data[0]"
    before = shared.value(f"[{drawn}.x, {drawn}.z]")
    shared.page.get_by_role("button", name="A to Z").click()
    x, z = shared.value(f"[{drawn}.x, {drawn}.z]")
    assert x == sorted(names)
    order = [before[0].index(name) for name in x]
    assert z == [[before[1][i][j] for j in order] for i in order]
    shared.page.get_by_role("button", name="by similarity").click()
    assert shared.value(f"[{drawn}.x, {drawn}.z]") == before


def test_choosing_classes_colors_them_alone(shared: Opened) -> None:
    shared.show("map_pca_resnet50")
    sizes = "document.querySelector('[data-figure^=map]').data.map((trace) => trace.x.length)"
    codes = codes_of(made_report())
    chips = shared.page.locator("[data-class]")
    chips.nth(2).click()
    assert shared.value(sizes) == [len(codes) - codes.count(2), codes.count(2)]
    chips.nth(4).click()
    assert shared.value(sizes) == [len(codes) - codes.count(2) - codes.count(4), codes.count(2), codes.count(4)]
    assert shared.page.locator('[data-class][aria-pressed="true"]').count() == 2
    chips.nth(2).click()
    chips.nth(4).click()
    assert shared.page.locator('[data-class][aria-pressed="true"]').count() == 6


def test_another_backbone_is_drawn_in_the_same_place(shared: Opened) -> None:
    shared.show("map_pca_resnet50")
    shared.page.locator("[data-map]").select_option("map_pca_vit_base")
    x = shared.value("document.querySelector('[data-figure^=map]').data.flatMap((trace) => trace.x)")
    assert sorted(x) == sorted(record_of(made_report(), MapRecord).maps[1].projection.points[:, 0])
    assert "vit_base" in (shared.page.locator("[data-figure^=map]").get_attribute("aria-label") or "")
    shared.page.locator("[data-map]").select_option("map_pca_resnet50")


def test_tables_sort_by_any_column_in_both_directions(shared: Opened) -> None:
    table = shared.page.locator("table.per-class")
    recall = [each.recall for each in record_of(made_report(), ClassesRecord).scored]

    def column() -> list[float]:
        return [float(text) for text in table.locator("tbody td:nth-child(4)").all_inner_texts()]

    button = table.get_by_role("button", name="recall")
    button.click()
    assert column() == pytest.approx(sorted(recall), abs=1e-3)
    button.click()
    assert column() == pytest.approx(sorted(recall, reverse=True), abs=1e-3)
    assert table.locator('th[aria-sort="descending"]').inner_text().startswith("recall")
    table.get_by_role("button", name="F1").click()


def test_figures_follow_the_theme(shared: Opened) -> None:
    shared.show("cost")
    paper = "getComputedStyle(document.body).backgroundColor"
    ink = "document.querySelector('[data-figure=cost]')._fullLayout.font.color"
    light = shared.value(f"[{paper}, {ink}]")
    button = shared.page.get_by_role("button", name="Dark")
    button.click()
    dark = shared.value(f"[{paper}, {ink}]")
    assert button.get_attribute("aria-pressed") == "true"
    assert light[0] == dark[1].replace("236, 234, 230", "253, 252, 250")  # dark ink is near light paper
    assert dark[0] == "rgb(20, 22, 26)"
    button.click()
    assert shared.value(f"[{paper}, {ink}]") == light


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(shared: Opened, scheme: Literal["light", "dark"]) -> None:
    for name in FIGURES:
        shared.show(name)
    shared.page.emulate_media(color_scheme=scheme)
    for details in shared.page.locator("details").all():
        details.evaluate("(each) => { each.open = true }")
    found = shared.serious()
    shared.page.emulate_media(color_scheme="light")
    assert found == []


@pytest.mark.parametrize("width", [360, 1280, 3840])
def test_no_width_scrolls_sideways(shared: Opened, width: int) -> None:
    shared.page.set_viewport_size({"width": width, "height": 900})
    for name in ("scores", "confusion", "calibration"):
        shared.show(name)
    shared.page.wait_for_timeout(300)  # figures are resized after the page
    assert shared.value("document.documentElement.scrollWidth") <= width
    type_size = shared.value("parseFloat(getComputedStyle(document.body).fontSize)")
    assert type_size == pytest.approx({360: 16, 1280: 16}.get(width, 28.8), abs=0.5)
    shared.page.set_viewport_size({"width": 1280, "height": 900})


def test_printing_draws_every_figure_on_white(browser: Browser, folder: Path, tmp_path: Path) -> None:
    opened = Opened(browser, folder / "small.html", color_scheme="dark")
    opened.page.locator(".main-svg").first.wait_for()
    opened.page.pdf(path=tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
    assert opened.page.locator("[data-figure]:not([data-live])").count() == 0
    assert opened.value("document.documentElement.dataset.theme") is None  # as it was before
    assert opened.errors == []
    opened.context.close()


def test_names_that_look_like_markup_stay_text(browser: Browser, folder: Path) -> None:
    opened = Opened(browser, folder / "nasty.html")
    for name in ("changes", "scores", "confusion", "map_pca_resnet50"):
        opened.show(name)
    changed = opened.page.locator('[data-figure="changes"] .ytick text').all_text_contents()
    assert len(changed) == len(NASTY)
    assert {NASTY[0], NASTY[1], NASTY[3]} < set(changed), "the longer one is shortened"
    labels = opened.page.locator('[data-figure="confusion"] .ytick text').all_text_contents()
    assert NASTY[0] in labels
    assert NASTY[3] in labels
    assert opened.page.locator("table.per-class tbody th").filter(has_text=NASTY[1]).count() == 1
    row = next(iter(made_report(names=NASTY).images))
    opened.page.mouse.move(*opened.place_of("map_pca_resnet50", row))
    assert opened.page.locator("script").count() == 4  # data, plotly.js packed and unpacked, our own
    assert opened.page.locator("[data-figure] a").count() == 0
    assert opened.value("typeof pwned") == "undefined"
    assert opened.errors == []
    opened.context.close()


def test_a_regression_shows_points_and_their_images(browser: Browser, folder: Path) -> None:
    opened = Opened(browser, folder / "regression.html")
    for name in ("fit", "residuals", "map_pca_resnet50"):
        opened.show(name)
    opened.show("fit")
    x, y = opened.place_of("fit", list(made_regression().images)[7])
    opened.page.mouse.move(x - 30, y)
    opened.page.mouse.move(x, y, steps=3)
    opened.page.locator(".tooltip").wait_for(state="visible")
    assert opened.errors == []
    opened.context.close()


def test_fifty_thousand_points_answer(browser: Browser, folder: Path) -> None:
    opened = Opened(browser, folder / "large.html")
    opened.show("map_pca_resnet50")
    row = list(made_report(50_000, 20).images)[3]
    opened.page.wait_for_timeout(200)
    x, y = opened.place_of("map_pca_resnet50", row)
    opened.page.mouse.move(x - 30, y - 30)
    opened.page.mouse.move(x, y, steps=3)
    opened.page.locator(".tooltip").wait_for(state="visible")
    opened.page.locator("[data-class]").nth(11).click()
    drawn = opened.value(
        "document.querySelector('[data-figure^=map]').data.map((trace) => [trace.type, trace.x.length])"
    )
    assert {kind for kind, _ in drawn} == {"scattergl"}
    assert sum(n for _, n in drawn) == 50_000
    assert opened.page.get_by_text("WebGL is not supported").count() == 0
    assert opened.errors == []
    opened.context.close()


def test_a_finger_scrolls_past_a_map_taps_a_point_and_moves_what_is_zoomed(browser: Browser, folder: Path) -> None:
    phone: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
    opened = Opened(browser, folder / "small.html", **phone)
    opened.show("map_pca_resnet50")
    is_taken = """() => {
        const target = document.querySelector('[data-figure^=map] .nsewdrag'), box = target.getBoundingClientRect();
        const touch = new Touch({ identifier: 1, target, clientX: box.x + 99, clientY: box.y + 99 });
        const fire = (type, touches) => {
            const event = new TouchEvent(type, { bubbles: true, cancelable: true, touches, changedTouches: [touch] });
            (document.querySelector('.dragcover') ?? target).dispatchEvent(event);
            return event.defaultPrevented;
        };
        const taken = fire('touchstart', [touch]);
        fire('touchend', []);
        return taken;
    }"""
    assert opened.page.evaluate(is_taken) is False
    x, y = opened.place_of("map_pca_resnet50", list(made_report().images)[5])
    opened.page.touchscreen.tap(x, y)
    opened.page.locator(".tooltip").wait_for(state="visible")
    zoom = opened.page.locator("#figure-map_pca_resnet50")
    zoom.get_by_label("Zoom in").tap()
    assert opened.page.evaluate(is_taken) is True
    zoom.get_by_label("Reset the zoom").tap()
    assert opened.page.evaluate(is_taken) is False
    assert opened.errors == []
    opened.context.close()


def test_more_errors_are_shown_on_demand_and_read_on_from_there(browser: Browser, tmp_path: Path) -> None:
    write_page(made_report(n_pictures=30), tmp_path / "many.html")
    opened = Opened(browser, tmp_path / "many.html")
    cards = opened.page.locator("#wrong > li")
    assert [each.is_visible() for each in cards.all()] == [True] * 24 + [False] * 6
    opened.page.get_by_role("button", name="Show all 30").press("Enter")
    assert all(each.is_visible() for each in cards.all())
    assert opened.value("[...document.querySelectorAll('#wrong > li')].indexOf(document.activeElement)") == 24
    opened.context.close()


def test_without_scripts_the_text_and_the_tables_are_there(browser: Browser, folder: Path) -> None:
    opened = Opened(browser, folder / "small.html", java_script_enabled=False)
    assert opened.page.locator("h1").inner_text().startswith("stack:oof (0.861) beats")
    assert opened.page.locator("table.models tbody tr").count() == 6
    opened.context.close()


def test_the_keyboard_skips_to_the_report_and_copies_its_commands(browser: Browser, folder: Path) -> None:
    opened = Opened(browser, folder / "small.html", permissions=["clipboard-read", "clipboard-write"])
    opened.page.keyboard.press("Tab")
    assert opened.value("document.activeElement.textContent") == "Skip to the report"
    opened.page.keyboard.press("Enter")
    assert opened.value("document.activeElement.id") == "main"
    opened.page.keyboard.press("Tab")
    assert opened.value("document.activeElement.closest('section').id") == "scores"
    opened.page.get_by_role("button", name="Copy").press("Enter")
    opened.page.get_by_role("button", name="Copied").wait_for()
    commands = record_of(made_report(), ProvenanceRecord).commands
    assert opened.value("navigator.clipboard.readText()") == "\n".join(commands)
    opened.context.close()
