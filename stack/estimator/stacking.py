"""What every stack does, whatever it predicts: members out of fold, their scores to a final estimator.

Columns flow in, block by block to the members; their out-of-fold scores flow on to the final estimator.
`stack.estimator.estimator` says what differs between classes and numbers.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Bunch, TransformerTags, check_consistent_length, get_tags
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from stackbone.stack.estimator.arguments import DROPPED, Kind, is_dropped, named_pairs, read_arguments
from stackbone.stack.estimator.blocks import read_table, take_columns
from stackbone.stack.estimator.inner_folds import Split, split_rows
from stackbone.stack.estimator.out_of_fold import Matrix, Targets, fit_clone, fit_out_of_fold, score
from stackbone.stack.estimator.routing import make_router, refuse_unrouted, route_fit, route_predict


class Stacking(TransformerMixin, BaseEstimator, ABC):  # type: ignore[misc]  # scikit-learn has no types
    """The common part of `StackedBackbones` and `StackedBackbonesRegressor`."""

    # Where routing is on, whoever holds groups and calls `fit` hands them on without being told to.
    __metadata_request__fit: ClassVar[dict[str, bool]] = {"groups": True}

    _kind: ClassVar[Kind]

    estimators: Any
    final_estimator: Any
    blocks: Any
    cv: Any
    combine: str
    passthrough: bool
    random_state: Any
    n_jobs: int | None

    @abstractmethod
    def _read_targets(self, y: ArrayLike) -> Targets:
        """Return the targets, or raise a ValueError that says why they cannot be learnt."""

    @abstractmethod
    def _default(self) -> Any:  # noqa: ANN401
        """Return the member where none was given."""

    @abstractmethod
    def _final(self, folds: Sequence[Split] = ()) -> Any:  # noqa: ANN401
        """Return the final estimator, not fitted; the default may choose by these inner folds."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: FBT001, FBT002 - scikit-learn's signature
        """Return the parameters; if `deep`, those of named members too, as ``name`` and ``name__C``."""
        params: dict[str, Any] = super().get_params(deep=deep)
        for name, member in named_pairs(self.estimators) if deep else []:
            params[name] = member
            if hasattr(member, "get_params") and not isinstance(member, type):
                params |= {f"{name}__{key}": value for key, value in member.get_params().items()}
        return params

    def set_params(self, **params: Any) -> Self:  # noqa: ANN401
        """Set parameters, also of named members: ``name=estimator``, ``name="drop"`` or ``name__C=1.0``."""
        if "estimators" in params:
            self.estimators = params.pop("estimators")
        pairs = named_pairs(self.estimators)
        if any(name in params for name, _ in pairs):
            self.estimators = [(name, params.pop(name, member)) for name, member in pairs]
        super().set_params(**params)
        return self

    def fit(self, X: ArrayLike, y: ArrayLike, groups: ArrayLike | None = None, **fit_params: Any) -> Self:  # noqa: ANN401
        """Fit the members, out of fold and on everything, and the final estimator.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame
            ``(n_samples, n_features)``. Of the values only those in a block count, and these are judged by its member.
        y : array-like
            ``(n_samples,)`` class labels, numbers or strings; of a regression, numbers.
        groups : array-like, optional
            ``(n_samples,)``; rows of one group never train a member that scores another of them. With
            scikit-learn's metadata routing switched on, whoever calls `fit` (GridSearchCV, a pipeline)
            sends them on by itself.
        **fit_params : dict
            ``sample_weight``, ``(n_samples,)`` weights: without metadata routing all members and the final
            estimator get them (a pipeline's last step); with it, those that ask for it, and for anything else.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If X or y cannot be used, if arguments are wrong (all of them are named at once), if metadata need
            routing, or if the inner folds leave rows without out-of-fold scores, lack a class or split a group.
        TypeError
            If there are sample weights, and who is to be fitted takes none.
        NotFittedError
            If ``cv="prefit"`` and a member is not fitted.
        """
        owner = type(self).__name__
        refuse_unrouted(owner, fit_params)
        x = read_table(X)
        validate_data(self, x, y, skip_check_array=True)
        targets = self._read_targets(y)
        keys = None if groups is None else column_or_1d(groups)
        check_consistent_length(x, targets.values, keys, fit_params.get("sample_weight"))
        names = getattr(self, "feature_names_in_", None)
        params = self.get_params(deep=False)
        members = read_arguments(owner, self._kind, params, self._default(), x.shape[1], names)
        routed = route_fit(self, [(member.name, member.estimator) for member in members], keys, fit_params)
        by_class = targets.classes is not None
        folds = split_rows(x, targets.values, keys, self.cv, self.random_state, classes=by_class, metadata=routed.split)
        self.blocks_ = {member.name: member.columns for member in members}
        self.stack_method_ = [member.method for member in members]
        self.estimators_, scores = fit_out_of_fold(
            members,
            x,
            targets,
            folds,
            routed.members,
            prefit=isinstance(self.cv, str) and self.cv == "prefit",
            log=self._takes_logarithms(),
            n_jobs=self.n_jobs,
        )
        dropped = {name: DROPPED for name, member in named_pairs(self.estimators) if is_dropped(member)}
        self.named_estimators_ = Bunch(**dict(zip(self.blocks_, self.estimators_, strict=True)), **dropped)
        self._widths = [each.shape[1] for each in scores]
        self.stacked_features_ = self._combine(scores)
        meta = self._pass_through(self.stacked_features_, x)
        self.final_estimator_ = fit_clone(self._final(folds), meta, targets.values, routed.final)
        return self

    def fit_transform(
        self,
        X: ArrayLike,
        y: ArrayLike,
        groups: ArrayLike | None = None,
        **fit_params: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401 - also a sparse matrix, or by set_output a DataFrame
        """Fit, and return what the final estimator learnt from.

        Not ``fit(X, y).transform(X)``, whose scores are by members that learnt the very rows.

        Parameters
        ----------
        X, y, groups, **fit_params
            As for `fit`.

        Returns
        -------
        ndarray, sparse matrix or DataFrame
            ``(n_samples, n_columns)``; `stacked_features_`, and the passed columns if any.
        """
        self.fit(X, y, groups, **fit_params)
        return self._pass_through(self.stacked_features_, read_table(X))

    def transform(self, X: ArrayLike) -> Any:  # noqa: ANN401
        """Return what the final estimator sees: scores by the members fitted on all rows.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame
            ``(n_samples, n_features)``. For rows of the training part the scores are in-sample; their
            out-of-fold scores are `stacked_features_`.

        Returns
        -------
        ndarray, sparse matrix or DataFrame
            ``(n_samples, n_columns)``; the columns are named by `get_feature_names_out`. Sparse where sparse columns
            are passed through; a DataFrame where `set_output` asks for one.
        """
        return self._see(X)

    def predict(self, X: ArrayLike, **predict_params: Any) -> Any:  # noqa: ANN401 - with return_std, a tuple
        """Return the predictions of the final estimator.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame
            ``(n_samples, n_features)``.
        **predict_params : dict
            What the final estimator's `predict` takes beside, such as ``return_std``.

        Returns
        -------
        ndarray
            ``(n_samples,)`` labels or numbers.
        """
        meta = self._see(X)
        return self.final_estimator_.predict(meta, **route_predict(self, predict_params))

    def get_feature_names_out(self, input_features: Sequence[str] | None = None) -> NDArray[np.object_]:
        """Name the columns of `transform`.

        These are ``BLOCK_CLASS`` of scores (of two classes the second; of logarithms both), ``BLOCK`` of predictions,
        with ``mean`` for the block if averaged; then the passed columns, by `input_features`, by default those seen by
        `fit`, else ``x0``, ``x1``, ...; a ValueError says that `input_features` are not the columns seen by `fit`.
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
        described = list(zip(self.blocks_, self.stack_method_, self._widths, strict=True))
        if self.combine == "average":
            described = [("mean", *described[0][1:])]
        columns = [name for each in described for name in self._name_scores(*each)]
        if self.passthrough:
            columns.extend(names[self._passed_columns()])
        return np.array(columns, dtype=object)

    def get_metadata_routing(self) -> Any:  # noqa: ANN401
        """Return who gets metadata: members and the splitter in `fit`, the final estimator there and in `predict`."""
        return make_router(self, self._default(), getattr(self, "final_estimator_", self._final()))

    def __sklearn_tags__(self) -> Any:  # noqa: ANN401
        tags = super().__sklearn_tags__()
        tags.transformer_tags = TransformerTags(preserves_dtype=[])
        members = [each for each in self._members() if hasattr(each, "__sklearn_tags__") and not isinstance(each, type)]
        tags.input_tags.sparse = all(get_tags(member).input_tags.sparse for member in members)
        tags.input_tags.allow_nan = all(get_tags(member).input_tags.allow_nan for member in members)
        return tags

    def _members(self) -> list[Any]:
        """Return what is fitted on blocks, once each: not what is dropped."""
        if isinstance(self.estimators, list):
            return [member for _, member in named_pairs(self.estimators) if not is_dropped(member)]
        return [self._default() if self.estimators is None else self.estimators]

    def _takes_logarithms(self) -> bool:
        return False

    def _name_scores(self, block: str, method: str, width: int) -> list[str]:
        return [block] if width == 1 else [f"{block}_{i}" for i in range(width)]

    def _see(self, X: ArrayLike) -> Any:  # noqa: ANN401
        """Return what `transform` returns, before `set_output`: the final estimator was fitted on no DataFrame."""
        check_is_fitted(self, "final_estimator_")
        x = read_table(X)
        validate_data(self, x, reset=False, skip_check_array=True)
        classes, log = getattr(self, "classes_", None), self._takes_logarithms()
        members = zip(self.estimators_, self.blocks_.values(), self.stack_method_, strict=True)
        scores = [score(each, take_columns(x, columns), method, classes, log=log) for each, columns, method in members]
        return self._pass_through(self._combine(scores), x)

    def _combine(self, scores: Sequence[Matrix]) -> Matrix:
        if self.combine != "average":
            return np.hstack(scores)
        widths = {each.shape[1] for each in scores}
        if len(widths) > 1:
            msg = (
                f"combine='average' found scores of {sorted(widths)} columns, which have no mean: use "
                "combine='concat', or a stack_method that every block's estimator gives"
            )
            raise ValueError(msg)
        mean: Matrix = np.mean(scores, axis=0)
        return mean

    def _pass_through(self, scores: Matrix, x: Any) -> Any:  # noqa: ANN401
        if not self.passthrough:
            return scores
        passed = take_columns(x, self._passed_columns())
        return sparse.hstack([scores, passed], format=x.format) if sparse.issparse(x) else np.hstack([scores, passed])

    def _passed_columns(self) -> NDArray[np.intp]:
        places = np.arange(self.n_features_in_)
        return np.unique(np.concatenate([places[columns] for columns in self.blocks_.values()]))
