"""Pages that a real browser opens; each is written once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from made_report import made_pictures, made_regression, made_report, with_changes
from stackbone.stack.report.page import write_page
from tests.made.opened_page import NASTY, Opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, once."""
    playwright_api = pytest.importorskip("playwright.sync_api", reason="no playwright: run `pip install playwright`")
    found = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if found is None:
        pytest.skip("no Chromium or Chrome: install one (Debian and Ubuntu: `apt install chromium`)")
    with playwright_api.sync_playwright() as playwright:
        # The second gives WebGL to machines without a graphics card; older playwrights do not pass it themselves.
        arguments = ["--no-sandbox", "--enable-unsafe-swiftshader"]
        chromium = playwright.chromium.launch(executable_path=found, args=arguments)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the reports."""
    folder = tmp_path_factory.mktemp("reports")
    small = made_report()
    write_page(small, folder / "small.html", made_pictures(small, 24, 48, n_attention=1))
    for name, report, n_pictures in (
        ("nasty", with_changes(made_report(names=NASTY)), 2),
        ("regression", made_regression(), 24),
        ("large", made_report(50_000, 20), 24),
    ):
        write_page(report, folder / f"{name}.html", made_pictures(report, n_pictures, 48))
    return folder


@pytest.fixture(scope="module")
def shared(browser: Browser, folder: Path) -> Iterator[Opened]:
    """Return one page for many tests; each leaves it as it was."""
    opened = Opened(browser, folder / "small.html", viewport={"width": 1280, "height": 900}, color_scheme="light")
    yield opened
    opened.context.close()
