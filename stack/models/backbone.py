"""One backbone of a saved model: the feature sets that it takes."""

from __future__ import annotations

from dataclasses import dataclass

from stackbone.cache import FeatureSpec


@dataclass(frozen=True)
class ModelBackbone:
    """One backbone of a model.

    Attributes
    ----------
    name
        Key of its features in `StackModel.log_probabilities`; unique in the model.
    feature_set
        ``NAME-XXXXXXXXXXXX``, the identity of the features that the model takes.
    spec
        What that identity stands for.
    others
        Feature sets of other views of the images, with what they stand for: the model takes the mean of all.
    """

    name: str
    feature_set: str
    spec: FeatureSpec
    others: tuple[tuple[str, FeatureSpec], ...] = ()

    @property
    def specs(self) -> dict[str, FeatureSpec]:
        """Every feature set that it takes, with what it stands for."""
        return {self.feature_set: self.spec, **dict(self.others)}
