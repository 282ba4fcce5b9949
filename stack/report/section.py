"""What a section of the report is, and which sections there are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from stackbone.cache.plugins import Plugins
from stackbone.stack.report.blocks import Page
from stackbone.stack.report.context import Context
from stackbone.stack.report.figures.style import Figure
from stackbone.stack.report.markup import Markup

R = TypeVar("R")
"""A section's own record: a frozen dataclass of what it shows."""


class Shown(ABC, Generic[R]):
    """A part of a page: it draws the figures of a record and writes its HTML.

    Attributes
    ----------
    name : str
        Its id on the page, unlike that of any other section.
    title : str
        Its heading, which the navigation shows too.
    plots : tuple of (str, str)
        What `Experiment.plot` calls each of its figures, and the figure's name; of figures whose names begin alike,
        one for each backbone, what they begin with. By default none.
    """

    name: str
    title: str
    plots: tuple[tuple[str, str], ...] = ()

    def figures(self, record: R) -> dict[str, Figure]:
        """Return the section's figures by name; what the record does not hold is left out. By default none."""
        return {}

    def script(self, record: R, page: Page) -> Mapping[str, object]:
        """Return what the page's script needs beside the figures, as entries of its JSON object. By default none."""
        return {}

    @abstractmethod
    def html(self, record: R, page: Page) -> Markup:
        """Return the section below its heading; empty, and the page leaves it out.

        Names, labels and paths go through `stack.report.markup.element`, which escapes them.
        """


class Section(Shown[R]):
    """A part of the report of an experiment, which collects its record too.

    Attributes
    ----------
    order : int
        Its place: sections follow each other by ascending order.
    tasks : frozenset of str
        Names of the tasks that it is for; all tasks where it names none.
    """

    order: int
    tasks: frozenset[str] = frozenset()

    @abstractmethod
    def collect(self, context: Context) -> R | None:
        """Return the section's record, or None where the experiment has nothing for it to show.

        All that takes computing happens here. Images that the section shows are added to ``context.images``.
        """


SECTIONS: Plugins[Section[Any]] = Plugins(
    Section,  # type: ignore[type-abstract]  # what each must be an instance of; it is not made
    "stackbone.sections",
    "stackbone.stack.report.sections",
    "SECTION",
    order=lambda section: (section.order, section.name),
)
"""The report's sections by name, in the order of the page."""
