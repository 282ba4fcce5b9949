"""The sections that a classification alone has: classes, errors and confidence.

Names, labels and paths go through `stack.report.markup.element`, which escapes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from stackbone.stack.report.blocks import (
    SHOWN_AT_FIRST,
    Report,
    Section,
    bar,
    figure,
    join_all,
    more_button,
    number,
    path,
    picture,
    scrolled,
    zoom_buttons,
)
from stackbone.stack.report.markup import Child, Markup, element, table

_WHOLE_MATRIX = 20  # classes; of more, the numbers are those of the most frequent confusions
_LISTED = 100
_NAMED = 10
_PAIRS_AT_FIRST = 9


def classes(report: Report) -> Section | None:
    """Show what is taken for what."""
    if "confusion" not in report.figures:
        return None
    data = report.data
    model = data["confusion"]["model"]
    names = [each["name"] for each in data["classes"]]
    says = f"Heat map of the confusions of {model} among {len(names)} classes; its numbers are in the table below."
    note = "Colour is the share of the true class, on a square-root scale so that rare confusions show. Empty: none."
    return Section(
        "classes",
        "Classes",
        join_all(
            figure(
                report,
                "confusion",
                says=says,
                title=f"What {model} takes for what",
                note=f"{note} Drag to zoom, double-click to zoom out.",
                numbers=_confusions(report),
                controls=_matrix_controls(names),
            ),
            element("h3", "Class by class"),
            scrolled(_per_class(report), "Scores of each class"),
            _never_tested(report),
            _pairs(report),
        ),
    )


def _matrix_controls(names: list[str]) -> Markup:
    orders = [
        element("button", title, type="button", data_order=order, aria_pressed="true" if i == 0 else "false")
        for i, (order, title) in enumerate((("similarity", "by similarity"), ("alphabetical", "A to Z")))
    ]
    jump = element(
        "label",
        "Go to ",
        element(
            "select",
            element("option", "all classes", value=""),
            [element("option", name, value=i) for i, name in sorted(enumerate(names), key=lambda each: each[1])],
            data_jump=True,
        ),
    )
    ordered = element("span", element("span", "Order", class_="legend"), orders, class_="buttons")
    return element(
        "div", ordered, zoom_buttons(), jump, class_="controls", role="group", aria_label="Order and zoom of the matrix"
    )


def _confusions(report: Report) -> Markup:
    counts, names = report.data["confusion"]["counts"], [each["name"] for each in report.data["classes"]]
    if len(names) <= _WHOLE_MATRIX:
        rows: Iterable[list[Child]] = ([name, *map(str, row)] for name, row in zip(names, counts, strict=True))
        return table(["true \\ predicted", *names], rows, caption="Confusion matrix: rows are true classes")
    cells = [(n, i, j) for i, row in enumerate(counts) for j, n in enumerate(row) if n and i != j]
    cells.sort(key=lambda cell: (-cell[0], cell[1], cell[2]))
    listed = [[names[i], names[j], str(n), f"{n / sum(counts[i]):.1%}"] for n, i, j in cells[:_LISTED]]
    caption = f"The {len(listed)} most frequent confusions"
    return table(["true class", "taken for", report.counted, "of the true class"], listed, caption=caption)


def _per_class(report: Report) -> Markup:
    rows = [
        [
            report.class_name(each["class"]),
            f"{each['n']:,}",
            bar(each["precision"]),
            bar(each["recall"]),
            bar(each["f1"]),
        ]
        for each in sorted(report.data["per_class"], key=lambda each: each["f1"])
        if each["n"]
    ]
    header = ["class", report.counted, "precision", "recall", "F1"]
    return table(header, rows, caption="Scores of each class, the weakest first", class_="sortable per-class")


def _never_tested(report: Report) -> Markup | None:
    names = [report.class_name(each["class"]) for each in report.data["per_class"] if not each["n"]]
    if not names:
        return None
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    listed = ", ".join(names[:_NAMED])
    return element("p", f"No image of these classes was tested, so they have no score: {listed}{more}.", class_="quiet")


def _pairs(report: Report) -> Markup | None:
    if not report.data["confused_pairs"]:
        return None
    cards = [
        element(
            "li",
            element(
                "p",
                element("b", report.class_name(each["true"])),
                " taken for ",
                element("b", report.class_name(each["predicted"])),
                class_="pair",
            ),
            element("p", f"{each['n']:,} {report.counted}, {each['share']:.1%} of the class", class_="quiet"),
            element("div", [picture(report, i, 88) for i in each["examples"]], class_="strip"),
            class_="later" if position >= _PAIRS_AT_FIRST else None,
        )
        for position, each in enumerate(report.data["confused_pairs"])
    ]
    return join_all(
        element("h3", "Most often confused"),
        element("ul", cards, class_="cards pairs", id="pairs"),
        more_button(len(cards), _PAIRS_AT_FIRST, "pairs"),
    )


def errors(report: Report) -> Section | None:
    """Show the images that the stack is surely wrong about, and copies whose labels conflict."""
    wrong, conflicts = report.data["wrong"], report.data["conflicts"]
    if not wrong and not conflicts:
        return None
    parts: list[Child] = []
    if wrong:
        lead = (
            "Test images that the model was most sure of, and wrong about. Where all backbones agree against the "
            "label, look at the label first."
        )
        cards = [_wrong_card(report, number, each) for number, each in enumerate(wrong)]
        parts += [element("h3", "Surely wrong, or wrongly labelled"), element("p", lead, class_="lead")]
        parts.append(element("ul", cards, class_="cards wrong", id="wrong"))
        parts.append(more_button(len(wrong), SHOWN_AT_FIRST, "wrong"))
    if conflicts:
        lead = "The same bytes, under different labels: at most one of them is right."
        cards = [
            element(
                "li",
                element("div", picture(report, each["images"][0], 112), class_="thumbnail"),
                [
                    [
                        element("p", "labelled ", element("b", report.data["images"][i]["label"] or "not at all")),
                        path(report, i),
                    ]
                    for i in each["images"]
                ],
            )
            for each in conflicts
        ]
        parts += [element("h3", "Copies with conflicting labels"), element("p", lead, class_="lead")]
        parts.append(element("ul", cards, class_="cards conflicts"))
    return Section("errors", "Errors", join_all(*parts))


def _wrong_card(report: Report, position: int, each: Mapping[str, Any]) -> Markup:
    votes = each["votes"]
    agree = len(votes) > 1 and all(vote["predicted"] == each["predicted"] for vote in votes)
    rows = [
        element(
            "div",
            element("dt", vote["backbone"]),
            element(
                "dd",
                report.class_name(vote["predicted"]),
                _sure(vote["probability"], 0),
                class_="right" if vote["predicted"] == each["true"] else None,
            ),
        )
        for vote in votes
    ]
    return element(
        "li",
        element("div", picture(report, each["image"]), class_="thumbnail"),
        element("p", "labelled ", element("b", report.class_name(each["true"]))),
        element("p", "taken for ", element("b", report.class_name(each["predicted"])), _sure(each["probability"], 1)),
        element("p", "all backbones agree", class_="badge") if agree else None,
        element("dl", rows, class_="votes") if rows else None,
        path(report, each["image"]),
        class_="later" if position >= SHOWN_AT_FIRST else None,
    )


def _sure(probability: float | None, digits: int) -> str:
    return "" if probability is None else f" {probability:.{digits}%}"


def confidence(report: Report) -> Section | None:
    """Show whether probabilities can be taken at their word."""
    if not {"calibration", "scores"} & set(report.figures):
        return None
    data = report.data
    error = data["calibration_error"]
    bins = [
        [
            f"{each['low']:.2f} to {each['high']:.2f}",
            number(each["confidence"]),
            number(each["accuracy"]),
            f"{each['n']:,}",
        ]
        for each in data["calibration"] or ()
    ]
    histogram = data["scores"] or {"edges": [], "right": [], "wrong": []}
    spans = [
        [f"{low:.2f} to {high:.2f}", f"{right:,}", f"{wrong:,}"]
        for (low, high), right, wrong in zip(
            pairwise(histogram["edges"]), histogram["right"], histogram["wrong"], strict=True
        )
    ]
    says = "" if error is None else f" Expected calibration error {error:.3f}."
    figures = join_all(
        figure(
            report,
            "calibration",
            says=f"Share of right predictions against their probability.{says}",
            title="Is it as often right as it is sure?",
            note=f"Below the line: surer than it should be.{says}{_counts(data['calibration'], report.counted)}",
            numbers=table(["probability", "mean", "right", report.counted], bins, caption="Calibration, bin by bin"),
        ),
        figure(
            report,
            "scores",
            says="Histogram of the probability of the predicted class, of right and of wrong predictions.",
            title="How sure it is, right and wrong",
            numbers=table(["probability", "right", "wrong"], spans, caption="Right and wrong predictions"),
        ),
    )
    return Section("confidence", "Confidence", element("div", figures, class_="pair-of-figures"))


def _counts(bins: Sequence[Mapping[str, Any]] | None, counted: str) -> str:
    counts = [each["n"] for each in bins or () if each["n"]]
    if not counts:
        return ""
    n = f"{min(counts):,}" if min(counts) == max(counts) else f"{min(counts):,} to {max(counts):,}"
    return f" Each point: {n} {counted}; pale: their range of probabilities."
