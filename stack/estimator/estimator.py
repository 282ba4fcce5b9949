"""The stack as scikit-learn estimators, for features that lie side by side in one matrix.

`stack.evaluation.evaluate` judges recipes and chooses C by itself; here every hyper-parameter is the caller's, or
GridSearchCV's. What both classes do is in `stack.estimator.stacking`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils import assert_all_finite, check_array
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from stackbone.stack.estimator.classifiers import LinearSVM, SoftmaxRegression
from stackbone.stack.estimator.inner_folds import Split
from stackbone.stack.estimator.meta_classifier import MetaClassifier
from stackbone.stack.estimator.out_of_fold import Matrix, Targets
from stackbone.stack.estimator.ridge_regression import RidgeRegression
from stackbone.stack.estimator.routing import asking_for_weights
from stackbone.stack.estimator.stacking import Stacking

BASE_C = 0.01
"""C of the default base classifier: what suits standardised backbone features, of 500 columns and more."""

BASE_ALPHA = 100.0
"""Alpha of the default base regressor, for the same features: 1 / C."""

Blocks = Mapping[str, slice | Sequence[int] | Sequence[str]]


def _final_has(method: str) -> Any:  # noqa: ANN401 - scikit-learn has no types to name
    def check(stack: "StackedBackbones") -> bool:
        fitted = getattr(stack, "final_estimator_", None)
        getattr(stack._final() if fitted is None else fitted, method)  # its own AttributeError says who lacks what
        return True

    return available_if(check)


class StackedBackbones(ClassifierMixin, Stacking):  # type: ignore[misc]  # scikit-learn has no types
    """Stack one classifier per block of columns under a final classifier.

    The final classifier learns from scores of rows that the scoring classifier never saw: stacked
    generalization (Wolpert 1992, Neural Networks 5(2), 241-259), on class probabilities (Ting & Witten
    1999, JAIR 10, 271-289). The base classifiers are then refitted on all rows for `predict`.
    `fit_transform` returns the out-of-fold scores, as scikit-learn's TargetEncoder does: whatever learns from
    them in a pipeline learns from honest ones.

    Parameters
    ----------
    estimators : classifier or list of (str, classifier), optional
        One classifier, cloned for every block; or one per block, by the block's name (where `blocks` is
        None: any names, and each sees all columns); ``"drop"`` in place of one leaves its block out. A regressor
        learns the classes' codes. By default ``SoftmaxRegression(C=0.01)`` on standardised features:
        `stack.evaluation.evaluate` chooses C inside the training part, this class leaves that to GridSearchCV or to the
        classifiers given here.
    final_estimator : classifier, optional
        Learns from the scores. By default, where these are class probabilities (side by side or averaged), what the
        command line has: `MetaClassifier`, which stays near the mean of the members' probabilities and leaves it only
        as far as the labels carry, with C chosen, and probabilities calibrated, on the inner folds. Decision values,
        logarithms, predictions and, with `passthrough`, columns of X have no mean that is a decision to stay near:
        there the default is ``LinearSVM()``, which needs hundreds of rows and has no probabilities.
    blocks : mapping of str to columns, or "auto", optional
        Block name to its columns: a slice, a list of indices, or a list of a DataFrame's column names.
        Blocks may overlap; columns in no block are not used, nor looked at. ``"auto"``: the names of a DataFrame's
        columns say it, ``NAME_0``, ``NAME_1``, ... being the block NAME, as `ImageEmbedder` names them. By default one
        block ``features`` with all columns.
    cv : int, None, splitter, iterable of (train, test), "in-sample" or "prefit"
        Inner folds. A number (None: 5): stratified and shuffled by `random_state`, and with groups no group is
        on both sides. "in-sample": none; the final classifier learns from scores of rows that the base
        classifiers were fitted on, as mlxtend's StackingClassifier does. That flatters the base
        classifier that overfits most; it is there to be compared with. "prefit": the base classifiers are fitted
        already, and stay as they are; give `fit` rows that they never saw.
    stack_method : str
        Scores: "probability", "log-probability" (natural, from -87.3 to 0) or "decision", as the command line has
        them, or by the names of scikit-learn's methods "predict_proba", "decision_function", "predict" (the
        codes of the classes named). "auto": the first of these three that a classifier has.
    combine : {"concat", "average"}
        All blocks' scores side by side, or their mean over blocks.
    passthrough : bool
        Whether the final classifier also sees the blocks' columns, each once, after the scores.
    random_state : int, RandomState or None
        Seed of the inner folds.
    n_jobs : int, optional
        Fits at a time, in threads that share the features, one core each; negative numbers as in
        joblib. By default one after the other, each on all cores that BLAS takes.

    Attributes
    ----------
    classes_ : ndarray
        ``(n_classes,)`` class labels, ascending.
    blocks_ : dict of str to slice or ndarray
        Columns by base classifier.
    estimators_, named_estimators_ : list, Bunch
        Base classifiers fitted on all rows, in the order of `blocks_`, and by its names.
    stack_method_ : list of str
        The method that gives the scores of each.
    final_estimator_ : classifier
        The fitted final classifier.
    stacked_features_ : ndarray
        ``(n_samples, n_columns)`` scores it learnt from, in the order of the rows. A block has a column per class;
        of two classes one, the second's, since the other's follows from it (both of log-probabilities); one of
        predictions. As many for all blocks together if averaged.
    n_features_in_, feature_names_in_ : int, ndarray
        Number of columns seen by `fit`; their names, where X was a DataFrame with names.

    Examples
    --------
    >>> stack = StackedBackbones(blocks={"resnet50": slice(0, 2048), "vit_base": slice(2048, 2816)})
    >>> stack.fit(x, y, groups=photographers).predict(x_new)  # doctest: +SKIP
    """

    _kind = "classifier"

    def __init__(
        self,
        estimators: Any = None,  # noqa: ANN401
        final_estimator: Any = None,  # noqa: ANN401
        *,
        blocks: Blocks | Literal["auto"] | None = None,
        cv: Any = 5,  # noqa: ANN401
        stack_method: str = "auto",
        combine: Literal["concat", "average"] = "concat",
        passthrough: bool = False,
        random_state: int | np.random.RandomState | None = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.estimators = estimators
        self.final_estimator = final_estimator
        self.blocks = blocks
        self.cv = cv
        self.stack_method = stack_method
        self.combine = combine
        self.passthrough = passthrough
        self.random_state = random_state
        self.n_jobs = n_jobs

    @_final_has("decision_function")  # type: ignore[untyped-decorator]
    def decision_function(self, X: ArrayLike) -> Matrix:
        """Return the final classifier's decision: ``(n_samples, n_classes)``, ``(n_samples,)`` for two classes."""
        meta = self._see(X)
        decision: Matrix = self.final_estimator_.decision_function(meta)
        return decision

    @_final_has("predict_proba")  # type: ignore[untyped-decorator]
    def predict_proba(self, X: ArrayLike) -> Matrix:
        """Return the final classifier's ``(n_samples, n_classes)`` probabilities, 0 to 1."""
        meta = self._see(X)
        probabilities: Matrix = self.final_estimator_.predict_proba(meta)
        return probabilities

    def _read_targets(self, y: ArrayLike) -> Targets:
        labels = np.asarray(y)
        if labels.ndim == 2 and labels.shape[1] > 1:
            msg = (
                f"y has {labels.shape[1]} columns; StackedBackbones predicts one label per row; for several, wrap it "
                "in sklearn.multioutput.MultiOutputClassifier"
            )
            raise ValueError(msg)
        labels = column_or_1d(y, warn=True)
        assert_all_finite(labels, input_name="y")
        check_classification_targets(labels)
        self.classes_ = np.unique(labels)
        if len(self.classes_) < 2:
            found = f" ({self.classes_[0]})" if len(self.classes_) else ""
            msg = f"y holds {len(self.classes_)} class{found}; a classifier needs at least 2: check the labels"
            raise ValueError(msg)
        return Targets(labels, self.classes_)

    def _default(self) -> SoftmaxRegression:
        default: SoftmaxRegression = asking_for_weights(SoftmaxRegression(C=BASE_C))
        return default

    def _final(self, folds: Sequence[Split] = ()) -> Any:  # noqa: ANN401
        if self.final_estimator is not None:
            return self.final_estimator
        if not self._sees_probabilities():
            return asking_for_weights(LinearSVM())
        return asking_for_weights(MetaClassifier(cv=list(folds)) if folds else MetaClassifier())

    def _sees_probabilities(self) -> bool:
        """Return whether the final classifier sees class probabilities, and nothing else."""
        if self.passthrough or self.stack_method not in ("auto", "probability", "predict_proba"):
            return False
        return all(hasattr(member, "predict_proba") for member in self._members())

    def _takes_logarithms(self) -> bool:
        return self.stack_method == "log-probability"

    def _name_scores(self, block: str, method: str, width: int) -> list[str]:
        if method == "predict":
            return super()._name_scores(block, method, width)
        return [f"{block}_{label}" for label in self.classes_[-width:]]


class StackedBackbonesRegressor(RegressorMixin, Stacking):  # type: ignore[misc]  # scikit-learn has no types
    """Stack one regressor per block of columns under a final regressor.

    As `StackedBackbones`, for numbers: the final regressor learns from predictions of rows that the predicting
    regressor never saw (stacked regressions: Breiman 1996, Machine Learning 24, 49-64).

    Parameters
    ----------
    estimators : regressor or list of (str, regressor), optional
        As of `StackedBackbones`. By default ``RidgeRegression(alpha=100)``, on standardised features.
    final_estimator : regressor, optional
        Learns from the predictions. By default ``RidgeRegression()``.
    blocks : mapping of str to columns, or "auto", optional
        As of `StackedBackbones`.
    cv : int, None, splitter, iterable of (train, test), "in-sample" or "prefit"
        As of `StackedBackbones`; folds are not stratified.
    combine : {"concat", "average"}
        All blocks' predictions side by side, or their mean over blocks.
    passthrough, random_state, n_jobs
        As of `StackedBackbones`.

    Attributes
    ----------
    blocks_, estimators_, named_estimators_, final_estimator_, n_features_in_, feature_names_in_
        As of `StackedBackbones`.
    stack_method_ : list of str
        ``predict`` for each.
    stacked_features_ : ndarray
        ``(n_samples, n_blocks)`` predictions that the final regressor learnt from, or ``(n_samples, 1)`` if averaged.

    Examples
    --------
    >>> stack = StackedBackbonesRegressor(blocks={"resnet50": slice(0, 2048), "vgg16": slice(2048, 2560)})
    >>> stack.fit(x, lengths, groups=animals).predict(x_new)  # doctest: +SKIP
    """

    _kind = "regressor"

    def __init__(
        self,
        estimators: Any = None,  # noqa: ANN401
        final_estimator: Any = None,  # noqa: ANN401
        *,
        blocks: Blocks | Literal["auto"] | None = None,
        cv: Any = 5,  # noqa: ANN401
        combine: Literal["concat", "average"] = "concat",
        passthrough: bool = False,
        random_state: int | np.random.RandomState | None = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.estimators = estimators
        self.final_estimator = final_estimator
        self.blocks = blocks
        self.cv = cv
        self.combine = combine
        self.passthrough = passthrough
        self.random_state = random_state
        self.n_jobs = n_jobs

    def _read_targets(self, y: ArrayLike) -> Targets:
        numbers = np.asarray(y)
        if numbers.ndim == 2 and numbers.shape[1] > 1:
            msg = (
                f"y has {numbers.shape[1]} columns; StackedBackbonesRegressor predicts one number per row; for "
                "several, wrap it in sklearn.multioutput.MultiOutputRegressor"
            )
            raise ValueError(msg)
        values: NDArray[Any] = check_array(column_or_1d(y, warn=True), ensure_2d=False, input_name="y")
        return Targets(values, None)

    def _default(self) -> RidgeRegression:
        default: RidgeRegression = asking_for_weights(RidgeRegression(alpha=BASE_ALPHA))
        return default

    def _final(self, folds: Sequence[Split] = ()) -> Any:  # noqa: ANN401 - its alpha is fixed
        return asking_for_weights(RidgeRegression()) if self.final_estimator is None else self.final_estimator
