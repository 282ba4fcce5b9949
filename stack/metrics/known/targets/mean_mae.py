"""The mean over several numbers of the mean absolute error, each in its own unit."""

from __future__ import annotations

from stackbone.stack.metrics.known.mae import METRIC as OF_ONE
from stackbone.stack.metrics.several.targets import MeanOverTargets


class MeanOfMae(MeanOverTargets):
    """See the module."""

    name = "mean_mae"
    task = "multitarget"
    title = "mean MAE"
    place = 32
    aliases = ("mae", "neg_mean_absolute_error", "mean_absolute_error")
    least = 0.0
    lower_is_better = True
    note = "mean over the numbers, each in its own unit: those of large numbers outweigh the others"
    of_one = OF_ONE


METRIC = MeanOfMae()
