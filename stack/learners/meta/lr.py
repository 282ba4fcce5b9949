"""A multinomial logistic regression on the backbones' out-of-fold scores."""

from __future__ import annotations

from collections.abc import Sequence

from stackbone.stack.learners.learner import BaseScores, MetaLearner, Part
from stackbone.stack.learners.linear_meta import fit_linear
from stackbone.stack.learners.meta_model import MetaModel
from stackbone.stack.learners.options import MetaOptions


class LogisticMeta(MetaLearner):
    """See the module."""

    name = "lr"
    tasks = ("classification",)
    what = "logistic regression"
    place = 1

    def fit(self, scores: Sequence[BaseScores], part: Part, options: MetaOptions) -> MetaModel:
        """Choose C, fit and calibrate; see `fit_linear`."""
        return fit_linear(scores, part, options, "log")


LEARNER = LogisticMeta()
