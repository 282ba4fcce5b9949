"""The mean over several numbers of R², the share of each one's variance that is explained."""

from __future__ import annotations

from stackbone.stack.metrics.known.r2 import METRIC as OF_ONE
from stackbone.stack.metrics.several.targets import MeanOverTargets


class MeanR2(MeanOverTargets):
    """See the module."""

    name = "mean_r2"
    task = "multitarget"
    title = "mean R²"
    place = 31
    aliases = ("r2", "r2_score")
    most = 1.0
    note = "mean over the numbers; 1 is perfect, 0 what the mean of each would score"
    of_one = OF_ONE


METRIC = MeanR2()
