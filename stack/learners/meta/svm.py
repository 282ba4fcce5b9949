"""A linear SVM on the backbones' out-of-fold scores: the meta-learner of the ``oof`` recipe."""

from __future__ import annotations

from collections.abc import Sequence

from stackbone.stack.learners.learner import BaseScores, MetaLearner, Part
from stackbone.stack.learners.linear_meta import fit_linear
from stackbone.stack.learners.meta_model import MetaModel
from stackbone.stack.learners.options import MetaOptions


class LinearSVMMeta(MetaLearner):
    """See the module."""

    name = "svm"
    tasks = ("classification",)
    what = "linear SVM"
    place = 0

    def fit(self, scores: Sequence[BaseScores], part: Part, options: MetaOptions) -> MetaModel:
        """Choose C, fit and calibrate; see `fit_linear`."""
        return fit_linear(scores, part, options, "squared_hinge")


LEARNER = LinearSVMMeta()
