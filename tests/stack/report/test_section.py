"""Sections are found by listing their folder, and those of other people's packages by entry points."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stackbone.cache import FeatureStore
from stackbone.stack.report.section import SECTIONS
from tests.made.commands import run_command
from tests.made.plugin import install_plugin

MADE = """
from dataclasses import dataclass

from stackbone.stack.report.blocks import figure, join_all
from stackbone.stack.report.figures.style import Figure
from stackbone.stack.report.markup import element
from stackbone.stack.report.section import Section


@dataclass(frozen=True)
class Sizes:
    classes: dict[str, int]


class ClassSizes(Section[Sizes]):
    name = "sizes"
    title = "Class sizes"
    order = 35
    tasks = frozenset({"classification"})

    def collect(self, context):
        labels = context.experiment.joined.labels.tolist()
        return Sizes({name: labels.count(name) for name in context.classes})

    def figures(self, record):
        bars = {"type": "bar", "x": list(record.classes), "y": list(record.classes.values())}
        return {"class_sizes": Figure([bars], {"height": 300})}

    def html(self, record, page):
        return join_all(
            figure(page, "class_sizes", says="Bars of the images of each class.", title="Images of each class"),
            element("p", ", ".join(f"{name}: {n}" for name, n in record.classes.items())),
        )


SECTION = ClassSizes()
"""


def test_the_report_has_these_sections_in_this_order() -> None:
    assert list(SECTIONS) == [
        *(
            "scores",
            "changes",
            "fit",
            "numbers",
            "classes",
            "labels",
            "errors",
            "check",
            "images",
            "backbones",
            "layers",
        ),
        *("confidence", "learning", "map", "attention", "data", "provenance"),
    ]
    assert {name: sorted(each.tasks) for name, each in SECTIONS.items() if each.tasks} == {
        "fit": ["regression"],
        "numbers": ["multitarget"],
        "classes": ["classification"],
        "labels": ["multilabel"],
        "check": ["classification"],
        "confidence": ["classification"],
    }
    assert all(each.title and each.name == name for name, each in SECTIONS.items())


def test_a_section_of_another_package_is_on_the_page(tmp_path: Path, make_cache: Callable[..., FeatureStore]) -> None:
    make_cache(tmp_path / "features", [f"<kind> {i % 3}" for i in range(45)], noise=4.0)
    folder = install_plugin(tmp_path / "site", "made_section", MADE, {"stackbone.sections": "SECTION"})
    page = tmp_path / "report.html"
    stack = ("stack", "--recipe", "oof", "--c", "0.1", "--cache", tmp_path / "features")
    done = run_command(*stack, "--report", page, "--projection", "pca", cwd=tmp_path, path=folder)
    assert done.returncode == 0, done.stderr
    text = page.read_text(encoding="utf-8")
    places = [text.index(f'<section id="{name}"') for name in ("classes", "sizes", "errors")]
    assert places == sorted(places)
    assert '<a href="#sizes">Class sizes</a>' in text
    assert "&lt;kind&gt; 0: 15, &lt;kind&gt; 1: 15, &lt;kind&gt; 2: 15" in text
    assert 'data-figure="class_sizes"' in text
    assert '"class_sizes":{"data":[{"type":"bar"' in text


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("import nothing_of_that_name", "cannot be imported"),
        ("SECTION = 'a section'", "expected one stackbone.stack.report.section.Section"),
        (MADE.replace('"sizes"', '"classes"'), "a name that Stackbone itself has already"),
    ],
)
def test_a_section_that_cannot_be_used_is_named_with_its_package(
    tmp_path: Path, make_cache: Callable[..., FeatureStore], source: str, problem: str
) -> None:
    make_cache(tmp_path / "features", [f"kind {i % 3}" for i in range(45)])
    folder = install_plugin(tmp_path / "site", "made_section", source, {"stackbone.sections": "SECTION"})
    stack = ("stack", "--recipe", "oof", "--c", "0.1", "--cache", tmp_path / "features")
    done = run_command(*stack, "--report", tmp_path / "report.html", "--projection", "pca", cwd=tmp_path, path=folder)
    assert done.returncode == 1, done.stderr
    shown = " ".join(done.stderr.split())
    assert "the package made_section adds" in shown
    assert problem in shown
    assert "pip uninstall made_section" in shown
    assert not (tmp_path / "report.html").exists()
