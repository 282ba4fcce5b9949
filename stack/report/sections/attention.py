"""Where steered backbones look."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import FeatureSpec
from stackbone.stack.experiments.subsets import sample_rows
from stackbone.stack.report.blocks import Page, join_all, path
from stackbone.stack.report.context import Context
from stackbone.stack.report.markup import Markup, element
from stackbone.stack.report.section import Section

_MOST_IMAGES = 12  # of each steered backbone
_MOST_ERRORS = 6  # of these


@dataclass(frozen=True)
class Look:
    """An image, by its row in the dataset's index, and a steered backbone whose attention to it is to be pictured."""

    row: int
    backbone: str


@dataclass(frozen=True)
class AttentionRecord:
    """What the section shows, once it is drawn.

    Attributes
    ----------
    looks : list of Look
        Backbone after backbone.
    specs : dict of str to FeatureSpec
        Of the features of each steered backbone, those of the first fold.
    """

    looks: list[Look]
    specs: dict[str, FeatureSpec]


class Attention(Section[AttentionRecord]):
    """Shows where a steered backbone looks, in images that the steering of the first fold never saw."""

    name = "attention"
    title = "Attention"
    order = 90

    def collect(self, context: Context) -> AttentionRecord | None:
        """Choose images that are worth a picture, where there are steered backbones."""
        specs = {used.name: used.of_fold(0).header().spec for used in context.features if used.per_fold}
        if not specs:
            return None
        wrong = [each.row for each in context.answers.wrong] if context.answers else []
        test, seed = context.experiment.folds[0].test, context.experiment.seed
        rows = context.images.add(choose_images(context.rows[test], context.codes[test], wrong, seed))
        return AttentionRecord([Look(row, name) for name in specs for row in rows], specs)

    def html(self, record: AttentionRecord, page: Page) -> Markup:
        """Return a card for each image of which there are pictures."""
        by_image = defaultdict(list)
        for number, look in enumerate(record.looks):
            if number in page.pictures.attention:
                by_image[look.row].append((number, look.backbone))
        if not by_image:
            return Markup()
        cards = [
            element(
                "li",
                [element("img", data_attention=i, alt=f"image and attention maps of {name}") for i, name in looks],
                element("p", element("b", page.images[row].label)),
                element("p", ", ".join(name for _, name in looks), class_="quiet"),
                path(page, row),
            )
            for row, looks in by_image.items()
        ]
        lead = (
            "Images that the steering never saw: where the plain network's last block looks, where the steered one "
            "does, and where the task was found."
        )
        return join_all(element("p", lead, class_="lead"), element("ul", cards, class_="cards attention"))


SECTION = Attention()


def choose_images(test: NDArray[np.int64], codes: NDArray[np.int64], wrong: Sequence[int], seed: int) -> list[int]:
    """Choose images that the steering never saw: a few errors, then others spread over the classes.

    Parameters
    ----------
    test : NDArray[np.int64]
        ``(n_test,)`` rows of the dataset's index of the test part.
    codes : NDArray[np.int64]
        ``(n_test,)`` class codes; all equal where labels are not classes.
    wrong : sequence of int
        Rows of images that the model is wrong about, the surest first.
    seed : int
        Of the draw.
    """
    unseen = set(test.tolist())
    errors = [row for row in wrong if row in unseen][:_MOST_ERRORS]
    spread = test[sample_rows(codes, _MOST_IMAGES, seed)].tolist()
    return list(dict.fromkeys([*errors, *spread]))[:_MOST_IMAGES]
