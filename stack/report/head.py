"""The head of the page: the score, the verdict and what it was measured on. It stands above every section."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

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
    )


def head_html(head: Head) -> Markup:
    """Return the head of the page."""
    created = head.created
    return element(
        "header",
        element(
            "p",
            element("span", "Stackbone report"),
            element("span", head.dataset),
            element(
                "time",
                f"{created.day} {created:%B %Y, %H:%M} UTC",
                datetime=created.isoformat(timespec="seconds"),
            ),
            class_="eyebrow",
        ),
        element(
            "div",
            element(
                "p",
                element("span", number(head.mean), class_="value"),
                None if head.std is None else element("span", f"± {head.std:.3f}", class_="spread"),
                element("span", f"{head.metric} of {head.model}, {head.about}", class_="what"),
                class_="score",
            ),
            element(
                "div",
                element("h1", head.verdict.comparison),
                element("p", head.verdict.certainty, class_="rest") if head.verdict.certainty else None,
            ),
            class_="headline",
        ),
        _facts_html(head.facts),
        class_="hero",
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
