"""The mean over several numbers of the root mean squared error, each in its own unit."""

from __future__ import annotations

from stackbone.stack.metrics.known.rmse import METRIC as OF_ONE
from stackbone.stack.metrics.several.targets import MeanOverTargets


class MeanOfRmse(MeanOverTargets):
    """See the module."""

    name = "mean_rmse"
    task = "multitarget"
    title = "mean RMSE"
    place = 33
    aliases = ("rmse", "neg_root_mean_squared_error", "root_mean_squared_error")
    least = 0.0
    lower_is_better = True
    of_one = OF_ONE


METRIC = MeanOfRmse()
