"""A logistic regression of each label on the backbones' out-of-fold logits of it: images with any number of labels."""

from __future__ import annotations

from collections.abc import Sequence

from stackbone.stack.learners.labels.label_meta import fit_labels
from stackbone.stack.learners.learner import BaseScores, MetaLearner, Part
from stackbone.stack.learners.meta_model import MetaModel
from stackbone.stack.learners.options import MetaOptions


class LabelLogisticMeta(MetaLearner):
    """See the module."""

    name = "label-lr"
    tasks = ("multilabel",)
    what = "logistic regression of each label"
    place = 15

    def fit(self, scores: Sequence[BaseScores], part: Part, options: MetaOptions) -> MetaModel:
        """Choose each label's C and threshold, and fit; see `fit_labels`."""
        return fit_labels(scores, part, options)


LEARNER = LabelLogisticMeta()
