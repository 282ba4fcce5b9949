"""The top of the report: the verdict, what it was measured on, and every model beside the others."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from stackbone.stack.report.blocks import Report, Section, figure, join_all, number, scrolled
from stackbone.stack.report.figures.style import chief_name
from stackbone.stack.report.markup import Child, Markup, element, table

_METRICS = {
    "macro_f1": "macro-F1",
    "top5": "top-5",
    "log_loss": "log-loss",
    "calibration_error": "cal. error",
    "mae": "MAE",
    "rmse": "RMSE",
}
_LEFT_OUT = {
    "conflicting": "conflicting copies",
    "doubles": "copies",
    "failed": "unreadable",
    "near_copies": "near copies",
}


def hero(report: Report) -> Markup:
    """Return the head of the page: score, verdict and facts."""
    data = report.data
    model = next(each for each in data["models"] if each["about"])
    headline, _, rest = data["verdict"].partition(". ")
    created = datetime.fromisoformat(data["created"])
    return element(
        "header",
        element(
            "p",
            element("span", "Stackbone report"),
            element("span", data["dataset"]),
            element("time", f"{created.day} {created:%B %Y, %H:%M} UTC", datetime=data["created"]),
            class_="eyebrow",
        ),
        element(
            "div",
            element(
                "p",
                element("span", number(model["mean"]), class_="value"),
                element("span", f"± {model['std']:.3f}", class_="spread") if report.n_folds > 1 else None,
                element("span", _what(model), class_="what"),
                class_="score",
            ),
            element(
                "div",
                element("h1", headline + ("." if rest else "")),
                element("p", rest, class_="rest") if rest else None,
            ),
            class_="headline",
        ),
        _facts(report),
        class_="hero",
    )


def _what(model: Mapping[str, Any]) -> str:
    return f"{chief_name(model['chief'])} of {model['name']}, the model that this page is about"


def _facts(report: Report) -> Markup:
    facts = report.data["facts"]
    shown = {
        "images": f"{facts['n_images']:,}",
        "classes": f"{facts['n_classes']:,}" if facts["n_classes"] else None,
        "groups": f"{facts['n_groups']:,}" if facts["n_groups"] else None,
        "evaluation": facts["how"],
        "left out": ", ".join(f"{n:,} {_LEFT_OUT.get(why, why)}" for why, n in facts["left_out"].items() if n) or None,
    }
    pairs = [element("div", element("dt", name), element("dd", value)) for name, value in shown.items() if value]
    notes = element("ul", [element("li", note) for note in facts["notes"]], class_="notes") if facts["notes"] else None
    return join_all(element("dl", pairs, class_="facts"), notes)


def scores(report: Report) -> Section:
    """Compare all models."""
    models = report.data["models"]
    best = next(each for each in models if each["best"])
    chief = chief_name(best["chief"])
    metrics = [name for name in _METRICS if any(name in each["metrics"] for each in models)]
    folds = report.n_folds if 1 < report.n_folds <= 5 else 0
    header = ["model", chief, *(["± std"] if report.n_folds > 1 else []), *(_METRICS[name] for name in metrics)]
    header += [f"fold {i + 1}" for i in range(folds)] + ["what it is"]
    rows = []
    for each in models:
        name = element("span", each["name"], class_=f"model {each['kind']}")
        cells: list[Child] = [element("strong", name) if each["best"] else name, number(each["mean"])]
        cells += [number(each["std"])] if report.n_folds > 1 else []
        cells += [number(each["metrics"].get(metric)) for metric in metrics]
        cells += [number(each["folds"][i]) for i in range(folds)]
        rows.append([*cells, each["what"]])
    says = f"Dot plot of the {chief} of {len(models)} models; the best is {best['name']} with {best['mean']:.3f}."
    lessons = report.data["lessons"]
    return Section(
        "scores",
        "Scores",
        join_all(
            figure(report, "models", says=says, title="Every model on the same folds", note=_legend(report)),
            scrolled(table(header, rows, caption="Scores of all models", class_="models"), "Scores of all models"),
            element("h3", "What else it teaches") if lessons else None,
            element("ul", [_lesson(each) for each in lessons], class_="lessons") if lessons else None,
        ),
    )


def _legend(report: Report) -> str:
    parts = ["Filled: the mean."]
    if report.n_folds > 1:
        parts.append("Open: single folds.")
    if any(each["interval"] for each in report.data["models"]):
        parts.append("Pale: 95% interval of the mean; it is wide where folds are few.")
    return " ".join(parts)


def _lesson(line: str) -> Markup:
    what, colon, rest = line.partition(": ")
    return element("li", element("b", what), " ", rest) if colon else element("li", line)
