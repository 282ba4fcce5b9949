"""The sections on what the scores rest on: backbones, training images, single points, and how it all was made."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from stackbone.stack.report.blocks import (
    Report,
    Section,
    figure,
    join_all,
    number,
    path,
    scrolled,
    zoom_buttons,
)
from stackbone.stack.report.figures.style import chief_name
from stackbone.stack.report.markup import Child, Markup, element, table

_FEW = 24  # classes; more of them are searched by name


def backbones(report: Report) -> Section | None:
    """Show what each backbone adds and costs."""
    data = report.data
    chief = chief_name(data["models"][0]["chief"])
    unit = 1 if chief == "R²" else 100
    overlap = data["overlap"] or {"models": [], "matrix": []}
    shares = [[name, *map(number, row)] for name, row in zip(overlap["models"], overlap["matrix"], strict=True)]
    lost = [
        [each["without"], *(_scaled(each[key], unit) for key in ("mean_difference", "low", "high"))]
        for each in data["ablation"]
    ]
    costs = [
        [
            each["backbone"],
            f"{each['dim']:,}",
            number(each["megabytes"], 1),
            number(each["images_per_s"], 1),
            number(each["accuracy"]),
        ]
        for each in data["cost"]
    ]
    weights = [[each["backbone"], f"{each['share']:.1%}"] for each in data["weights"] or ()]
    figures = join_all(
        figure(
            report,
            "ablation",
            says="Dot plot of what the stack loses without each backbone, with intervals.",
            title="What each adds",
            note="Right of zero: the stack is worse without it. A line that crosses zero may be chance.",
            numbers=table(
                ["without", f"{chief} lost{', points' if unit == 100 else ''}", "low", "high"],
                lost,
                caption="Loss without each backbone",
            ),
        ),
        figure(
            report,
            "overlap",
            says="Heat map of the share of errors that two backbones have in common.",
            title="Errors they share",
            note="Of the images that either gets wrong, the share that both do. A stack can mend what is not shared.",
            numbers=table(["", *overlap["models"]], shares, caption="Shared errors"),
        ),
        figure(
            report,
            "cost",
            says=f"Scatter plot of {chief} against cost, a point for each backbone.",
            title="What each costs",
            numbers=table(
                ["backbone", "dimensions", "MB", "images/s", chief], costs, caption="Cost and score of each backbone"
            ),
        ),
        figure(
            report,
            "weights",
            says="Bars of the share that each backbone has in the meta-classifier's weights.",
            title="Whom the stack listens to",
            numbers=table(["backbone", "share"], weights, caption="Shares of the meta-classifier's weights"),
        ),
    )
    if not figures:
        return None
    return Section("backbones", "Backbones", element("div", figures, class_="pair-of-figures"))


def _scaled(value: float | None, unit: int) -> str:
    return number(None if value is None else unit * value, 2 if unit == 100 else 4)


def learning(report: Report) -> Section | None:
    """Show what more images would bring."""
    curves = report.data["learning_curve"]
    if not curves:
        return None
    rows = [
        [each["model"], f"{n:,}", number(mean), number(std)]
        for each in curves
        for n, mean, std in zip(each["n"], each["mean"], each["std"], strict=True)
    ]
    drawn = figure(
        report,
        "learning_curve",
        says=f"Score against the number of training images, of {', '.join(each['model'] for each in curves)}.",
        title="Would more images help?",
        note="Still rising at the right end: yes. The same test images at every size.",
        numbers=table(["model", "training images", "mean", "± std"], rows, caption="Learning curve"),
    )
    return Section("learning", "Learning", drawn)


def maps(report: Report) -> Section | None:
    """Show all images as points, near each other where a backbone finds them alike."""
    names = [name for name in report.figures if name.startswith("map_")]
    if not names:
        return None
    found = report.data["maps"]
    options = [
        element("option", f"{each['backbone']} ({each['method']})", value=name, data_says=_map_says(each))
        for name, each in zip(names, found, strict=True)
    ]
    select = element("label", "Backbone ", element("select", options, data_map=True))
    controls = element(
        "div", select, zoom_buttons(), class_="controls", role="group", aria_label="Backbone and zoom of the map"
    )
    classes = [each["name"] for each in report.data["classes"]]
    chips = [
        element(
            "button",
            element("span", class_="swatch", aria_hidden="true"),
            name,
            type="button",
            data_class=code,
            aria_pressed="false",
        )
        for code, name in enumerate(classes)
    ]
    find = element("label", "Find a class ", element("input", type="search", data_find=True, autocomplete="off"))
    legend = element(
        "div",
        find if len(classes) > _FEW else None,
        element("div", chips, class_="chips many" if len(classes) > _FEW else "chips"),
        element("p", class_="quiet", role="status", data_chosen=True),
        class_="map-legend",
        role="group",
        aria_label="Classes in colour",
    )
    note = "Near: alike to the backbone. Rest on a point to see its image; drag to zoom, double-click to zoom out."
    if len({len(each["x"]) for each in found}) > 1:
        note += " A steered backbone's map holds only images that its steering never saw."
    content = figure(
        report,
        names[0],
        says=_map_says(found[0]),
        title="The images as the backbones see them",
        note=note,
        numbers=_neighbours(found[0], classes) if found[0]["class"] else None,
        controls=join_all(controls, legend if found[0]["class"] else None),
    )
    return Section("map", "Map", content)


def _map_says(points: Mapping[str, Any]) -> str:
    n, name = len(points["x"]), points["backbone"]
    return f"Map of {n:,} images in two dimensions, near each other where {name} finds them alike."


def _neighbours(points: Mapping[str, Any], classes: list[str]) -> Markup:
    """Tell which class lies nearest to each, by their mean positions on the first map."""
    codes = np.asarray(points["class"])
    present = np.unique(codes)
    xy = np.column_stack([points["x"], points["y"]])
    centres = np.array([xy[codes == code].mean(axis=0) for code in present])
    apart = np.linalg.norm(centres[:, None] - centres[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    rows = [
        [
            classes[code],
            f"{int((codes == code).sum()):,}",
            classes[present[apart[i].argmin()]] if len(present) > 1 else "-",
        ]
        for i, code in enumerate(present)
    ]
    caption = f"Classes on the map of {points['backbone']}"
    return table(["class", "points", "nearest class"], rows, caption=caption)


def attention(report: Report) -> Section | None:
    """Show where a steered backbone looks."""
    by_image = defaultdict(list)
    for number_, each in enumerate(report.data["attention"]):
        if number_ in report.attention:
            by_image[each["image"]].append((number_, each["backbone"]))
    if not by_image:
        return None
    cards = [
        element(
            "li",
            [element("img", data_attention=i, alt=f"image and attention maps of {name}") for i, name in looks],
            element("p", element("b", report.data["images"][image]["label"])),
            element("p", ", ".join(name for _, name in looks), class_="quiet"),
            path(report, image),
        )
        for image, looks in by_image.items()
    ]
    lead = (
        "Images that the steering never saw: where the plain network's last block looks, where the steered one does, "
        "and where the task was found."
    )
    return Section(
        "attention",
        "Attention",
        join_all(element("p", lead, class_="lead"), element("ul", cards, class_="cards attention")),
    )


def provenance(report: Report) -> Section:
    """Tell how to repeat it, and everything it was made of."""
    found = report.data["provenance"]
    commands = "\n".join(found["commands"])
    copy = element("button", "Copy", type="button", data_copy="commands")
    repeat = element(
        "div", element("pre", element("code", commands, id="commands"), tabindex="0"), copy, class_="commands"
    )
    rest: list[Child] = [
        _more("Versions", found["versions"]),
        _more("Options", {"seed": found["seed"], "folds": found["folds"], **found["options"]}),
    ]
    rest += [
        _more(f"Features of {name}", {"id": each["id"], **each["spec"], **_prefixed(each["provenance"])})
        for name, each in found["feature_sets"].items()
    ]
    return Section("provenance", "Provenance", join_all(element("h3", "To repeat it"), repeat, *rest))


def _prefixed(provenance: Mapping[str, Any]) -> dict[str, Any]:
    return {f"made: {name}": value for name, value in provenance.items()}


def _more(title: str, values: Mapping[str, Any]) -> Markup:
    rows = [[name, _value(value)] for name, value in values.items()]
    content = scrolled(table(["", "value"], rows, caption=title, class_="plain"), title)
    return element("details", element("summary", title), content)


def _value(value: object) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
