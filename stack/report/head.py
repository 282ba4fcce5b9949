"""The head of the page: the score, the verdict and what it was measured on. It stands above every section."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from stackbone.cache.text import counted
from stackbone.stack.fitting.fit_warnings import in_words
from stackbone.stack.report.blocks import join_all, number
from stackbone.stack.report.context import Context
from stackbone.stack.report.markup import Markup, element
from stackbone.stack.tables.metric_names import primary_metric
from stackbone.stack.tables.verdict import Verdict, verdict

_LEFT_OUT = {
    "conflicting": ("conflicting copy", "conflicting copies"),
    "doubles": ("copy", "copies"),
    "failed": ("unreadable", "unreadable"),
    "near_copies": ("near copy", "near copies"),
    "other_splits": ("of another split", "of other splits"),
    "same_group": ("of a training group", "of training groups"),
    "steered_on": ("that a steering saw", "that a steering saw"),
    "trained_on": ("training image", "training images"),
    "training_copies": ("near copy of a training image", "near copies of training images"),
    "unknown": ("of an unknown class", "of unknown classes"),
    "unlabelled": ("unlabelled", "unlabelled"),
}


NO_CLEAR_DIFFERENCE = "No clear difference from the best single backbone."
"""The headline where the interval of the difference spans zero."""


@dataclass(frozen=True)
class Facts:
    """What an experiment was measured on.

    Attributes
    ----------
    n_images, n_classes : int
        Images that took part, and classes among them; 0 of the latter where labels are not classes.
    classes_are : str
        What these are called, in the plural.
    n_groups : int, optional
        Groups among the images; None where they are not grouped.
    how : str
        How the images were divided.
    left_out : dict of str to int
        Images that took no part, by the reason.
    notes : list of str
        What else there is to know: notes of the join, warnings of the solvers.
    """

    n_images: int
    n_classes: int
    n_groups: int | None
    how: str
    left_out: dict[str, int]
    notes: list[str]
    classes_are: str = "classes"


class PageHead(Protocol):
    """What stands above every section of a page."""

    @property
    def title(self) -> str:
        """What the page is called."""

    def html(self) -> Markup:
        """Return the head of the page."""


@dataclass(frozen=True)
class Head:
    """What the head of the page shows.

    Attributes
    ----------
    dataset : str
        Its name.
    created : datetime
        When the report was made, in UTC.
    model, metric : str
        The model that the page is about, and the name of its primary metric.
    mean : float
        Of that metric over folds.
    std : float, optional
        Its spread; None on a single split.
    verdict : Verdict
        The experiment in a sentence or two.
    facts : Facts
        What it was measured on.
    about : str
        What the model is, after its name.
    interval : tuple of float, optional
        95% interval of the mean; None where there is no spread to judge it by.
    """

    dataset: str
    created: datetime
    model: str
    metric: str
    mean: float
    std: float | None
    verdict: Verdict
    facts: Facts
    about: str = "the model that this page is about"
    interval: tuple[float, float] | None = None

    @property
    def title(self) -> str:
        """What the page is called."""
        return f"{self.dataset}: Stackbone report"

    def html(self) -> Markup:
        """Return the head of the page."""
        return element(
            "header",
            eyebrow(self.dataset, self.created),
            element("div", self._score(), _verdict(self.verdict), class_="headline"),
            _facts_html(self.facts),
            class_="hero",
        )

    def _score(self) -> Markup:
        interval = None if self.interval is None else "95% interval {:.3f} to {:.3f}".format(*self.interval)
        return element(
            "p",
            element("span", number(self.mean), class_="value"),
            None if self.std is None else element("span", f"± {self.std:.3f}", class_="spread"),
            element("span", interval, class_="interval") if interval else None,
            element("span", f"{self.metric} of {self.model}, {self.about}", class_="what"),
            class_="score",
        )


def collect_head(context: Context) -> Head:
    """Collect what the head of the page shows."""
    experiment = context.experiment
    joined, score = experiment.joined, experiment.evaluation.score(experiment.model_name)
    return Head(
        dataset=experiment.dataset,
        created=datetime.now(UTC),
        model=experiment.called,
        metric=primary_metric(experiment).name,
        mean=score.mean,
        std=score.std if context.n_folds > 1 else None,
        verdict=verdict(experiment),
        facts=Facts(
            n_images=experiment.n_images,
            n_classes=len(experiment.truth.columns),
            n_groups=joined.n_groups,
            how=experiment.how,
            left_out=joined.left_out,
            notes=[*joined.notes, *in_words(experiment.evaluation.warnings)],
            classes_are=experiment.kind.classes_are[1],
        ),
        interval=experiment.interval(experiment.model_name),
    )


def eyebrow(dataset: str, created: datetime, kind: str = "report") -> Markup:
    """Return the line above a page's headline."""
    time = f"{created.day} {created:%B %Y, %H:%M} UTC"
    return element(
        "p",
        element("span", f"Stackbone {kind}"),
        element("span", dataset),
        element("time", time, datetime=created.isoformat(timespec="seconds")),
        class_="eyebrow",
    )


def _verdict(said: Verdict) -> Markup:
    """Return the verdict; what may be chance is no headline."""
    below = [None if said.is_clear else said.comparison, said.certainty, said.beside]
    return element(
        "div",
        element("h1", said.comparison if said.is_clear else NO_CLEAR_DIFFERENCE),
        [element("p", each, class_="rest") for each in below if each],
    )


def _facts_html(facts: Facts) -> Markup:
    shown = {
        "images": f"{facts.n_images:,}",
        facts.classes_are: f"{facts.n_classes:,}" if facts.n_classes else None,
        "groups": f"{facts.n_groups:,}" if facts.n_groups else None,
        "evaluation": facts.how,
        "left out": ", ".join(counted(n, *_LEFT_OUT[why]) for why, n in facts.left_out.items() if n) or None,
    }
    pairs = [element("div", element("dt", name), element("dd", value)) for name, value in shown.items() if value]
    notes = element("ul", [element("li", note) for note in facts.notes], class_="notes") if facts.notes else None
    return join_all(element("dl", pairs, class_="facts"), notes)
