"""The published recipe, to the letter: mlxtend's own StackingClassifier on raw features.

``StackingClassifier(use_probas=True, average_probas=True)`` of one ``LogisticRegression`` per backbone, each with its
own columns, under a ``LinearSVC`` (Raschka 2018, JOSS 3(24), 638). The meta-learner is fitted on in-sample
probabilities: that is the recipe. Defaults everywhere but for the iteration ceiling of ``LogisticRegression``, whose
default of 100 stops it short.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import config_context
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from stackbone.cache.progress import Progress
from stackbone.stack.fitting.fits import FitCounter, run_fits
from stackbone.stack.folds.fold import Fold
from stackbone.stack.learners.learner import BaseLearner, Part
from stackbone.stack.learners.meta_model import FinalFit, MetaModel
from stackbone.stack.learners.options import MetaOptions, StackOptions
from stackbone.stack.metrics.metric import Weights
from stackbone.stack.metrics.model_scores import Prediction
from stackbone.stack.metrics.temperature import fit_scale
from stackbone.stack.solvers.linear import LinearMap

_MAX_ITER = 10_000


class PublishedRecipe(BaseLearner):
    """See the module."""

    name = "published"
    task = "classification"
    what = "linear SVM on averaged in-sample probabilities"
    sees_all = True
    uses_inner_folds = False
    has_probabilities = False
    place = 2

    def settings(self, options: StackOptions, seed: int) -> dict[str, object]:
        """Return what decides its outcome, with the libraries that compute it: what they do is theirs to change."""
        return {"name": "published", "seed": seed, **{name: version(name) for name in ("mlxtend", "scikit-learn")}}

    def fit(self, features: Sequence[NDArray[np.float32]], part: Part, options: StackOptions, seed: int) -> Prediction:
        """Fit on the training part, and predict the test part."""
        train, test = [x[part.fitted_rows] for x in features], [x[part.fold.test] for x in features]
        decision = predict_published(train, part.y_fitted, test, seed, part.weight, part.fitted_weights)
        return Prediction(decision, probability=False)

    def fit_final(
        self,
        features: Sequence[NDArray[np.float32]],
        part: Part,
        seed: int,
        *,
        n_jobs: int | None = None,
        progress: Progress | None = None,
    ) -> FinalFit:
        """Fit on everything, and calibrate by what the recipe decides on inner folds that it did not see."""

        def decide(fold: Fold) -> NDArray[np.float32]:
            train, test = [x[fold.train] for x in features], [x[fold.test] for x in features]
            weights = None if part.row_weights is None else part.row_weights[fold.train]
            return predict_published(train, part.y_train[fold.train], test, seed, part.weight, weights)

        fits = {("stack:published", number): partial(decide, fold) for number, fold in enumerate(part.inner)}
        found = run_fits(fits, n_jobs, FitCounter(progress, len(fits)))
        decisions = np.concatenate([found["stack:published", number] for number in range(len(part.inner))])
        tested = np.concatenate([fold.test for fold in part.inner])
        learnt = features if part.fitted is None else [x[part.fitted_rows] for x in features]
        bases, meta = fit_published(learnt, part.y_fitted, seed, part.weight, part.fitted_weights)
        counts = None if part.row_weights is None else part.row_weights[tested]
        options = MetaOptions("svm", "probability", "average")
        return FinalFit(bases, MetaModel(options, None, meta, fit_scale(decisions, part.y_train[tested], counts)))


def predict_published(
    train: Sequence[NDArray[np.float32]],
    y_train: NDArray[np.int64],
    test: Sequence[NDArray[np.float32]],
    seed: int = 0,
    weight: float = 1.0,
    row_weights: Weights = None,
) -> NDArray[np.float32]:
    """Fit the published recipe and return what it decides.

    Parameters
    ----------
    train : sequence of NDArray[np.float32]
        One ``(n_train, dim)`` matrix per backbone.
    y_train : NDArray[np.int64]
        ``(n_train,)`` class codes, every class among them.
    test : sequence of NDArray[np.float32]
        One ``(n_test, dim)`` matrix per backbone, in the same order.
    seed : int
        Seed of liblinear, which only draws random numbers with more classes than rows.
    weight : float
        What each training row counts for: the C of every classifier, 1 in the recipe, is this.
    row_weights : NDArray[np.float64], optional
        ``(n_train,)`` what each row counts for beside `weight`, as scikit-learn's `sample_weight`.

    Returns
    -------
    NDArray[np.float32]
        ``(n_test, n_classes)`` decision values of the ``LinearSVC``.
    """
    model = _fit(train, y_train, seed, weight, row_weights)
    decision = model.meta_clf_.decision_function(model.predict_meta_features(np.hstack(test)))
    if decision.ndim == 1:
        decision = np.column_stack([-decision, decision])
    return decision.astype(np.float32)  # type: ignore[no-any-return]


def fit_published(
    train: Sequence[NDArray[np.float32]],
    y_train: NDArray[np.int64],
    seed: int = 0,
    weight: float = 1.0,
    row_weights: Weights = None,
) -> tuple[list[LinearMap], LinearMap]:
    """Fit the published recipe, to be saved.

    Parameters
    ----------
    train, y_train, seed, weight, row_weights
        As of `predict_published`.

    Returns
    -------
    bases : list of LinearMap
        Of each backbone, from raw features to ``n_classes`` logits.
    meta : LinearMap
        From the mean of the bases' probabilities to the decision values of `predict_published`.
    """
    model = _fit(train, y_train, seed, weight, row_weights)
    bases = [_linear_map(each[-1], first=0.0) for each in model.clfs_]
    return bases, _linear_map(model.meta_clf_, first=-1.0)


def _fit(
    train: Sequence[NDArray[np.float32]], y_train: NDArray[np.int64], seed: int, weight: float, row_weights: Weights
) -> Any:  # noqa: ANN401 - untyped
    from mlxtend.classifier import StackingClassifier
    from mlxtend.feature_selection import ColumnSelector

    ends = np.cumsum([block.shape[1] for block in train]).tolist()
    columns = [slice(end - block.shape[1], end) for end, block in zip(ends, train, strict=True)]
    # mlxtend hands weights to each pipeline by name, and a pipeline hands them on where scikit-learn routes them.
    with config_context(enable_metadata_routing=True):
        base = LogisticRegression(C=weight, max_iter=_MAX_ITER).set_fit_request(sample_weight=True)
        model = StackingClassifier(
            # A slice, where mlxtend documents a list: the selection is then a view and not a copy.
            classifiers=[make_pipeline(ColumnSelector(cols=cols), base) for cols in columns],
            meta_classifier=LinearSVC(C=weight, random_state=seed),
            use_probas=True,
            average_probas=True,
        )
        return model.fit(np.hstack(train), y_train, row_weights)


def _linear_map(classifier: LogisticRegression | LinearSVC, *, first: float) -> LinearMap:
    """Return a fitted classifier as a map; of two classes it has one output, and the first class gets a multiple."""
    coef, intercept = classifier.coef_, classifier.intercept_
    if len(coef) == 1:
        coef, intercept = np.vstack([first * coef, coef]), np.concatenate([first * intercept, intercept])
    return LinearMap(np.ascontiguousarray(coef.T, dtype=np.float32), intercept.astype(np.float32))


LEARNER = PublishedRecipe()
