"""Pictures of a report for the documentation, taken in headless Chromium.

Photographs are grey in them: they are those of whoever took them.
``python bench/report_pictures.py REPORT.html [DIR]`` writes ``report-top.png``, ``report-classes.png`` (dark) and
``report-map.png`` to DIR (``docs`` by default). It needs playwright and a Chromium or Chrome.
"""

from __future__ import annotations

import shutil
import sys
from io import BytesIO
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WIDTH, HEIGHT = 1280, 1040
_COLORS = 256  # of the files: flat areas and a few hues need no more


def take(browser: Browser, report: Path, file: Path, scheme: Literal["light", "dark"], figure: str | None) -> None:
    """Write what a reader sees at the top of the page, or with a figure scrolled to."""
    context = browser.new_context(
        viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=scheme, reduced_motion="reduce"
    )
    page = context.new_page()
    page.goto(report.resolve().as_uri())
    page.add_style_tag(content="img { filter: contrast(0) opacity(0.4) }")
    if figure is not None:
        page.locator(figure).first.evaluate("(each) => each.scrollIntoView()")
    page.locator(f"{figure or '#figure-scores'} .main-svg").first.wait_for()
    page.wait_for_timeout(500)  # points on the graphics card come a moment later
    picture = Image.open(BytesIO(page.screenshot())).convert("RGB")
    picture.quantize(_COLORS, dither=Image.Dither.NONE).save(file, optimize=True)
    context.close()
    print(f"{file}: {file.stat().st_size / 1000:.0f} kB")


def main() -> int:
    """Take all pictures."""
    if len(sys.argv) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return 2
    report, folder = Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) == 3 else "docs")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        print("no Chromium or Chrome: install one (Debian and Ubuntu: `apt install chromium`)", file=sys.stderr)
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        take(browser, report, folder / "report-top.png", "light", None)
        take(browser, report, folder / "report-classes.png", "dark", "#figure-confusion")
        take(browser, report, folder / "report-map.png", "light", '[id^="figure-map"]')
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
