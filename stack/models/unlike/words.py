"""What people are told of images that are unlike all that a model was fitted on."""

from __future__ import annotations

import math
from collections.abc import Sequence

from stackbone.cache.text import counted
from stackbone.stack.models.answers import Answer
from stackbone.stack.models.model import StackModel
from stackbone.stack.models.unlike.find_novelty import FEWEST_CALIBRATED, NEIGHBOUR
from stackbone.stack.models.unlike.novelty import UNLIKE, Novelty


def about_unlike(answers: Sequence[Answer], model: StackModel) -> str | None:
    """Return in a sentence how many images are unlike all that a model was fitted on; None where none is.

    Parameters
    ----------
    answers
        What it says of images.
    model
        The model.
    """
    n_unlike = sum(each.unlike is True for each in answers)
    if not n_unlike or model.novelty is None:
        return None
    one = n_unlike == 1
    n = len(model.novelty.calibration)
    in_how_many = round((n + 1) / (n - math.ceil(UNLIKE * n) + 1))  # ranks of a new one among all that mark it
    return (
        f"{n_unlike:,} of {counted(len(answers), 'image')} {'is' if one else 'are'} unlike all that the model was "
        f"fitted on (see unlike): further away than {UNLIKE:.0%} of the training images are from the others, so that "
        f"what it says of {'it' if one else 'them'} may mean nothing. Of images that are like the training images, "
        f"about one in {in_how_many} is taken for unlike too"
    )


def about_kept(novelty: Novelty | None) -> str:
    """Return in a sentence what a model's file holds of its training images, and how large that is."""
    if novelty is None:
        return (
            "`predict` will not know images that are unlike these: it takes "
            f"{FEWEST_CALIBRATED} training images whose labels no steering saw, with {NEIGHBOUR} others each that are "
            "neither near copies nor of their group. Add such images, or a plain backbone"
        )
    return (
        f"it holds features of {counted(novelty.n_kept, 'training image')} ({novelty.n_bytes / 1e6:,.1f} MB), by which "
        "`predict` knows images that are unlike them; --save-without-features leaves them out"
    )
