"""The stack as a scikit-learn estimator, for features that lie side by side in one matrix.

Columns flow in, block by block to the base classifiers; their out-of-fold scores flow on to the final
classifier. `stack.evaluate` judges recipes and chooses C by itself; here every hyper-parameter is the
caller's, or GridSearchCV's.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils import Bunch, TransformerTags, check_consistent_length
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from stack.arguments import named_pairs, read_arguments, split_rows
from stack.classifiers import LinearSVM, SoftmaxRegression
from stack.out_of_fold import Matrix, fit_out_of_fold, score

BASE_C = 0.01
"""C of the default base classifier: what suits standardised backbone features, of 500 columns and more."""


def _final_has(method: str) -> Any:  # noqa: ANN401 - scikit-learn has no types to name
    def check(stack: "StackedBackbones") -> bool:
        fitted = getattr(stack, "final_estimator_", None)
        getattr(stack._final() if fitted is None else fitted, method)  # its own AttributeError says who lacks what
        return True

    return available_if(check)


class StackedBackbones(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
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
        None: any names, and each sees all columns). By default
        ``SoftmaxRegression(C=0.01)`` on standardised features: `stack.evaluate` chooses C inside the
        training part, this class leaves that to GridSearchCV or to the classifiers given here.
    final_estimator : classifier, optional
        Learns from the scores. By default ``LinearSVM()``.
    blocks : mapping of str to columns, optional
        Block name to its columns: a slice, a list of indices, or a list of a DataFrame's column names.
        Blocks may overlap; columns in no block are not used. By default one block ``features`` with
        all columns.
    cv : int, splitter, iterable of (train, test) or "in-sample"
        Inner folds. A number: stratified and shuffled by `random_state`, and with groups no group is
        on both sides. "in-sample": none; the final classifier learns from scores of rows that the base
        classifiers were fitted on, as mlxtend's StackingClassifier does. That flatters the base
        classifier that overfits most; it is there to be compared with.
    stack_method : {"probability", "log-probability", "decision"}
        Scores: ``predict_proba``, its natural logarithm (from -87.3 to 0), or ``decision_function``
        (the one value d of two classes: as -d and d).
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
    final_estimator_ : classifier
        The fitted final classifier.
    stacked_features_ : ndarray
        ``(n_samples, n_blocks * n_classes)``, or ``n_classes`` columns if averaged: the scores it learnt
        from, in the order of the rows.
    n_features_in_, feature_names_in_ : int, ndarray
        Number of columns seen by `fit`; their names, where X was a DataFrame with names.

    Examples
    --------
    >>> stack = StackedBackbones(blocks={"resnet50": slice(0, 2048), "vit_base": slice(2048, 2816)})
    >>> stack.fit(x, y, groups=photographers).predict(x_new)  # doctest: +SKIP
    """

    def __init__(
        self,
        estimators: Any = None,  # noqa: ANN401
        final_estimator: Any = None,  # noqa: ANN401
        *,
        blocks: Mapping[str, slice | Sequence[int] | Sequence[str]] | None = None,
        cv: Any = 5,  # noqa: ANN401
        stack_method: Literal["probability", "log-probability", "decision"] = "probability",
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

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: FBT001, FBT002 - scikit-learn's signature
        """Return the parameters; if `deep`, those of named classifiers too, as ``name`` and ``name__C``."""
        params: dict[str, Any] = super().get_params(deep=deep)
        for name, classifier in named_pairs(self.estimators) if deep else []:
            params[name] = classifier
            if hasattr(classifier, "get_params") and not isinstance(classifier, type):
                params |= {f"{name}__{key}": value for key, value in classifier.get_params().items()}
        return params

    def set_params(self, **params: Any) -> Self:  # noqa: ANN401
        """Set parameters, also of named classifiers: ``name=classifier`` or ``name__C=1.0``."""
        if "estimators" in params:
            self.estimators = params.pop("estimators")
        pairs = named_pairs(self.estimators)
        if any(name in params for name, _ in pairs):
            self.estimators = [(name, params.pop(name, classifier)) for name, classifier in pairs]
        super().set_params(**params)
        return self

    def fit(self, X: ArrayLike, y: ArrayLike, groups: ArrayLike | None = None) -> Self:
        """Fit the base classifiers, out of fold and on everything, and the final classifier.

        Parameters
        ----------
        X : array-like
            ``(n_samples, n_features)`` finite features, of any scale; float32 stays float32.
        y : array-like
            ``(n_samples,)`` class labels, numbers or strings.
        groups : array-like, optional
            ``(n_samples,)``; rows of one group never train a classifier that scores another of them.
            They reach the inner folds. To send them through GridSearchCV too, switch on scikit-learn's
            metadata routing and call ``set_fit_request(groups=True)``.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If X or y cannot be used, if arguments are wrong (all of them are named at once), or if the
            inner folds leave rows without out-of-fold scores, lack a class or split a group.
        """
        x, labels = validate_data(self, X, y, dtype=(np.float64, np.float32))
        check_classification_targets(labels)
        check_consistent_length(labels, groups)
        classifiers, self.blocks_ = read_arguments(
            self.get_params(deep=False),
            SoftmaxRegression(C=BASE_C),
            x.shape[1],
            getattr(self, "feature_names_in_", None),
        )
        self.classes_ = np.unique(labels)
        if len(self.classes_) < 2:
            msg = f"y holds 1 class ({self.classes_[0]}); a classifier needs at least 2: check the labels"
            raise ValueError(msg)
        folds = split_rows(x, labels, None if groups is None else np.asarray(groups), self.cv, self.random_state)
        bases = [(classifiers[name], x[:, columns]) for name, columns in self.blocks_.items()]
        self.estimators_, scores = fit_out_of_fold(bases, labels, folds, self.stack_method, self.n_jobs)
        self.named_estimators_ = Bunch(**dict(zip(self.blocks_, self.estimators_, strict=True)))
        self.stacked_features_ = self._combine(scores)
        self.final_estimator_ = clone(self._final()).fit(self._pass_through(self.stacked_features_, x), labels)
        return self

    def fit_transform(self, X: ArrayLike, y: ArrayLike, groups: ArrayLike | None = None) -> Matrix:
        """Fit, and return what the final classifier learnt from.

        Not ``fit(X, y).transform(X)``, whose scores are by classifiers that learnt the very rows.

        Parameters
        ----------
        X, y, groups : array-like
            As for `fit`.

        Returns
        -------
        Matrix
            ``(n_samples, n_columns)``; `stacked_features_`, and the passed columns if any.
        """
        self.fit(X, y, groups)
        x = validate_data(self, X, dtype=(np.float64, np.float32), reset=False)
        return self._pass_through(self.stacked_features_, x)

    def transform(self, X: ArrayLike) -> Matrix:
        """Return what the final classifier sees: scores by the base classifiers fitted on all rows.

        Parameters
        ----------
        X : array-like
            ``(n_samples, n_features)`` features. For rows of the training part the scores are
            in-sample; their out-of-fold scores are `stacked_features_`.

        Returns
        -------
        Matrix
            ``(n_samples, n_columns)``; the columns are named by `get_feature_names_out`.
        """
        check_is_fitted(self, "final_estimator_")
        x = validate_data(self, X, dtype=(np.float64, np.float32), reset=False)
        bases = zip(self.estimators_, self.blocks_.values(), strict=True)
        scores = [score(base, x[:, columns], self.stack_method) for base, columns in bases]
        return self._pass_through(self._combine(scores), x)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the ``(n_samples,)`` predicted labels of ``(n_samples, n_features)`` features."""
        meta = self.transform(X)
        labels: NDArray[Any] = self.final_estimator_.predict(meta)
        return labels

    @_final_has("decision_function")  # type: ignore[untyped-decorator]
    def decision_function(self, X: ArrayLike) -> Matrix:
        """Return the final classifier's decision: ``(n_samples, n_classes)``, ``(n_samples,)`` for two classes."""
        meta = self.transform(X)
        decision: Matrix = self.final_estimator_.decision_function(meta)
        return decision

    @_final_has("predict_proba")  # type: ignore[untyped-decorator]
    def predict_proba(self, X: ArrayLike) -> Matrix:
        """Return the final classifier's ``(n_samples, n_classes)`` probabilities, 0 to 1."""
        meta = self.transform(X)
        probabilities: Matrix = self.final_estimator_.predict_proba(meta)
        return probabilities

    def get_feature_names_out(self, input_features: Sequence[str] | None = None) -> NDArray[np.object_]:
        """Name the columns of `transform`: ``BLOCK_CLASS`` or ``mean_CLASS``, then the passed columns' names.

        These are `input_features`, by default those seen by `fit`, else ``x0``, ``x1``, ...; a ValueError says that
        `input_features` are not the columns seen by `fit`.
        """
        check_is_fitted(self, "final_estimator_")
        seen = getattr(self, "feature_names_in_", None)
        names = seen if seen is not None else np.array([f"x{i}" for i in range(self.n_features_in_)])
        if input_features is not None and (
            len(input_features) != len(names) or (seen is not None and list(input_features) != list(seen))
        ):
            msg = f"input_features is not equal to feature_names_in_: expected the {len(names)} names of fit"
            raise ValueError(msg)
        names = np.asarray(names if input_features is None else input_features, dtype=object)
        blocks = ["mean"] if self.combine == "average" else list(self.blocks_)
        columns = [f"{block}_{label}" for block in blocks for label in self.classes_]
        if self.passthrough:
            columns.extend(names[self._passed_columns()])
        return np.array(columns, dtype=object)

    def __sklearn_tags__(self) -> Any:  # noqa: ANN401
        tags = super().__sklearn_tags__()
        tags.transformer_tags = TransformerTags(preserves_dtype=[])
        return tags

    def _final(self) -> Any:  # noqa: ANN401
        return LinearSVM() if self.final_estimator is None else self.final_estimator

    def _combine(self, scores: Sequence[Matrix]) -> Matrix:
        return np.mean(scores, axis=0) if self.combine == "average" else np.hstack(scores)

    def _pass_through(self, scores: Matrix, x: Matrix) -> Matrix:
        return np.hstack([scores, x[:, self._passed_columns()]]) if self.passthrough else scores

    def _passed_columns(self) -> NDArray[np.intp]:
        places = np.arange(self.n_features_in_)
        return np.unique(np.concatenate([places[columns] for columns in self.blocks_.values()]))
