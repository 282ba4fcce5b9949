"""A page in a real browser, what it asked for and what it complained of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, FloatRect, Locator

NASTY = ["<script>pwned=1</script>", "<img src=x onerror=pwned=1>", "<a href='javascript:pwned=1'>x</a>", "plain"]


class Opened:
    """A page, what it asked for and what it complained of."""

    def __init__(self, browser: Browser, file: Path, **options: Any) -> None:  # noqa: ANN401 - playwright's own
        self.context = browser.new_context(reduced_motion="reduce", **options)
        self.page = self.context.new_page()
        self.requests: list[str] = []
        self.errors: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
        self.page.goto(file.as_uri())

    def show(self, figure: str) -> Locator:
        """Scroll to a figure and wait until it is drawn."""
        canvas = self.page.locator(f'[data-figure="{figure}"]')
        canvas.scroll_into_view_if_needed()
        canvas.locator(".main-svg").first.wait_for()
        return canvas

    def value(self, expression: str) -> Any:  # noqa: ANN401
        return self.page.evaluate(expression)

    def range_of(self, figure: str) -> list[float]:
        found: list[float] = self.value(f"document.querySelector('[data-figure=\"{figure}\"]')._fullLayout.xaxis.range")
        return found

    def place_of(self, figure: str, row: int) -> tuple[float, float]:
        """Return where a point of a map is on the screen."""
        script = """([figure, row]) => {
            const canvas = document.querySelector(`[data-figure="${figure}"]`), box = canvas.getBoundingClientRect();
            const trace = canvas.data.find((each) => each.customdata?.includes(row));
            const at = trace.customdata.indexOf(row), { xaxis, yaxis } = canvas._fullLayout;
            return [box.x + xaxis._offset + xaxis.l2p(trace.x[at]), box.y + yaxis._offset + yaxis.l2p(trace.y[at])];
        }"""
        x, y = self.page.evaluate(script, [figure, row])
        return x, y

    def serious(self) -> list[tuple[str, list[Any]]]:
        """Return what axe finds serious, with the first places of each."""
        package = pytest.importorskip("axe_core_python", reason="no axe: run `pip install axe-core-python`")
        self.page.evaluate((Path(package.__file__).parent / "axe.min.js").read_text(encoding="utf-8"))
        found = self.page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
        return [
            (each["id"], [node["target"] for node in each["nodes"]][:3])
            for each in found["violations"]
            if each["impact"] in ("serious", "critical")
        ]


def box_of(locator: Locator) -> FloatRect:
    box = locator.first.bounding_box()
    assert box is not None
    return box
