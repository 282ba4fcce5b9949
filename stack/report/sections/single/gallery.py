"""All images, found by name, class, and what the models say of them; the page's script lists them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from stackbone.stack.report.blocks import Page, image_list, join_all, search_field
from stackbone.stack.report.context import Context
from stackbone.stack.report.markup import Markup, element
from stackbone.stack.report.section import Section


@dataclass(frozen=True)
class GalleryRecord:
    """What the section shows: classes by code, the model that the page is about, and the backbones that vote."""

    classes: list[str]
    model: str
    backbones: list[str]


class Gallery(Section[GalleryRecord]):
    """Finds images."""

    name = "images"
    title = "Images"
    order = 44

    def collect(self, context: Context) -> GalleryRecord:
        """Return by what images can be found."""
        votes = list(context.answers.votes) if context.answers else []
        return GalleryRecord(context.classes, context.experiment.called, votes)

    def html(self, record: GalleryRecord, page: Page) -> Markup:
        """Return the fields, and the place of the list."""
        classes = [("", "any"), *((str(code), name) for code, name in enumerate(record.classes))]
        models = [("", record.model), *((name, name) for name in record.backbones)]
        fields = [
            _choice("Show", "kind", _kinds(record)),
            _choice("Labelled", "label", classes),
            _choice("Taken for", "taken", classes),
            _choice("By", "model", models),
        ]
        controls = element(
            "div",
            fields if record.classes else None,
            search_field("File name", data_by="name"),
            class_="controls",
            role="group",
            aria_label="Which images to show",
        )
        return element(
            "div",
            join_all(controls, element("p", role="status", class_="quiet"), image_list("Images that were found")),
            data_gallery=True,
        )


SECTION = Gallery()


def _kinds(record: GalleryRecord) -> list[tuple[str, str]]:
    kinds = [("wrong", "wrong answers"), ("right", "right answers"), ("label", "labels to check")]
    if len(record.backbones) > 1:
        kinds += [("against", "all backbones against the label"), ("overruled", "all backbones overruled")]
    return [*kinds, ("all", "all images")]


def _choice(title: str, field: str, options: Iterable[tuple[str, str]]) -> Markup:
    shown = [element("option", text, value=value) for value, text in options]
    return element("label", f"{title} ", element("select", shown, data_by=field))
