"""What both stacking estimators do as scikit-learn's do, and what users of its and mlxtend's stacks stumble over."""

from typing import Any

import numpy as np
import pytest
import sklearn
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_val_predict
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from stackbone.stack.estimator.estimator import StackedBackbones, StackedBackbonesRegressor
from stackbone.stack.estimator.ridge_regression import RidgeRegression
from tests.made.references import ModeratedScaler

pytestmark = pytest.mark.usefixtures("one_blas_thread")

Matrix = NDArray[np.float64]
BLOCKS: dict[str, Any] = {"left": slice(0, 24), "right": slice(40, 64)}


@pytest.fixture(scope="module")
def x() -> Matrix:
    features: Matrix = load_digits(n_class=3).data[:240] / 16
    return features


@pytest.fixture(scope="module")
def y() -> NDArray[Any]:
    labels: NDArray[Any] = np.array(["zero", "one", "two"])[load_digits(n_class=3).target[:240]]
    return labels


@pytest.fixture(scope="module")
def numbers(x: Matrix) -> Matrix:
    sums: Matrix = x @ np.random.default_rng(0).normal(size=64) + 10
    return sums


@parametrize_with_checks([RidgeRegression()])  # type: ignore[untyped-decorator]  # scikit-learn's own
def test_ridge_keeps_scikit_learns_conventions(estimator: Any, check: Any) -> None:  # noqa: ANN401
    check(estimator)


@pytest.mark.parametrize("alpha", [0.1, 10.0, 1e4])
def test_ridge_equals_standardise_then_ridge(x: Matrix, numbers: Matrix, alpha: float) -> None:
    plain = make_pipeline(ModeratedScaler(), Ridge(alpha=alpha)).fit(x, numbers)
    np.testing.assert_allclose(RidgeRegression(alpha).fit(x, numbers).predict(x), plain.predict(x), rtol=1e-8)


def test_the_regressor_predicts_as_scikit_learn(x: Matrix, numbers: Matrix) -> None:
    folds = list(KFold(5, shuffle=True, random_state=0).split(x))
    stack = StackedBackbonesRegressor(Ridge(), LinearRegression(), blocks=BLOCKS).fit(x, numbers)
    meta = np.column_stack([cross_val_predict(Ridge(), x[:, each], numbers, cv=folds) for each in BLOCKS.values()])
    np.testing.assert_allclose(stack.stacked_features_, meta, rtol=1e-9)
    final = LinearRegression().fit(meta, numbers)
    now = np.column_stack([Ridge().fit(x[:, each], numbers).predict(x[:, each]) for each in BLOCKS.values()])
    np.testing.assert_allclose(stack.predict(x), final.predict(now), rtol=1e-9)
    assert list(stack.get_feature_names_out()) == ["left", "right"]
    assert StackedBackbonesRegressor(blocks=BLOCKS).fit(x, numbers).score(x, numbers) > 0.5
    with pytest.raises(ValueError, match="a classifier: give a regressor"):
        StackedBackbonesRegressor(GaussianNB()).fit(x, numbers)
    with pytest.raises(ValueError, match=r"y has 2 columns.*MultiOutputRegressor"):
        StackedBackbonesRegressor().fit(x, np.column_stack([numbers, numbers]))


def test_groups_stay_together_in_a_regression(x: Matrix, numbers: Matrix) -> None:
    groups = np.arange(240) // 4
    stack = StackedBackbonesRegressor(Ridge(), cv=3).fit(x, numbers, groups=groups)
    folds = GroupKFold(3, shuffle=True, random_state=0).split(x, numbers, groups)
    meta = cross_val_predict(Ridge(), x, numbers, cv=list(folds))
    np.testing.assert_allclose(stack.stacked_features_[:, 0], meta, rtol=1e-9)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_set_output_works_alone_and_through_a_pipeline(x: Matrix, y: NDArray[Any], library: str) -> None:
    frames = pytest.importorskip(library)
    stack = StackedBackbones(GaussianNB(), LogisticRegression(), blocks=BLOCKS, cv=2)
    plain = clone(stack).fit(x, y)
    shown = stack.set_output(transform=library)
    honest = shown.fit_transform(x, y)
    assert isinstance(honest, frames.DataFrame)
    assert list(honest.columns) == list(plain.get_feature_names_out())
    np.testing.assert_array_equal(honest.to_numpy(), plain.stacked_features_)
    np.testing.assert_array_equal(shown.predict(x), plain.predict(x))  # warns of no feature names
    arrays = make_pipeline(StandardScaler(), clone(plain), LogisticRegression()).fit(x, y)
    pipeline = clone(arrays).set_output(transform=library).fit(x, y)
    np.testing.assert_array_equal(pipeline.predict(x), arrays.predict(x))
    assert list(pipeline[-1].feature_names_in_) == list(honest.columns)


@pytest.mark.parametrize("rubbish", [np.nan, np.inf, "text"])
def test_columns_outside_every_block_may_hold_anything(x: Matrix, y: NDArray[Any], rubbish: object) -> None:
    pandas = pytest.importorskip("pandas")
    blocks = {name: [f"p{i}" for i in np.arange(64)[each]] for name, each in BLOCKS.items()}
    frame = pandas.DataFrame(x, columns=[f"p{i}" for i in range(64)]).assign(p30=rubbish, p31=rubbish)
    stack = StackedBackbones(blocks=blocks, cv=2, passthrough=True).fit(frame, y)
    plain = StackedBackbones(blocks=BLOCKS, cv=2, passthrough=True).fit(x, y)
    np.testing.assert_array_equal(stack.predict(frame), plain.predict(x))
    assert list(stack.named_estimators_["left"].feature_names_in_) == blocks["left"]
    spoilt = frame.assign(p3=np.nan)
    with pytest.raises(ValueError, match="NaN"):
        stack.predict(spoilt)


@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csc_array, sparse.coo_array])
def test_sparse_blocks_give_what_dense_ones_give(x: Matrix, y: NDArray[Any], kind: Any) -> None:  # noqa: ANN401
    stack = StackedBackbones(LogisticRegression(), LogisticRegression(), blocks=BLOCKS, cv=2, passthrough=True)
    dense, thin = clone(stack).fit(x, y), clone(stack).fit(kind(x), y)
    np.testing.assert_allclose(thin.stacked_features_, dense.stacked_features_, atol=1e-3)
    assert thin.transform(kind(x)).format == kind(x).format
    np.testing.assert_array_equal(thin.predict(kind(x)), dense.predict(x))


@pytest.mark.parametrize(
    ("stack", "said"),
    [
        (StackedBackbones(cv=2), "SoftmaxRegression takes no sparse matrix: pass X.toarray.*LogisticRegression"),
        (StackedBackbones([("b", GaussianNB())], blocks={"b": [3, 5]}, cv=2), "GaussianNB takes no sparse matrix"),
        (StackedBackbones(LogisticRegression(), cv=2, passthrough=True), "LinearSVM takes no sparse matrix"),
        (StackedBackbonesRegressor(cv=2), "RidgeRegression takes no sparse matrix: pass X.toarray.*Ridge$"),
    ],
)
def test_who_takes_no_sparse_matrix_is_named_with_the_way_out(
    x: Matrix,
    y: NDArray[Any],
    stack: Any,  # noqa: ANN401
    said: str,
) -> None:
    targets = np.unique(y, return_inverse=True)[1]
    with pytest.raises(TypeError, match=said):
        stack.fit(sparse.csr_array(x), targets)
    assert len(stack.fit(sparse.csr_array(x).toarray(), targets).predict(x)) == len(x)
    is_regressor = isinstance(stack, StackedBackbonesRegressor)
    member, final = (Ridge(), Ridge()) if is_regressor else (LogisticRegression(), LogisticRegression())
    other = clone(stack).set_params(estimators=member, final_estimator=final)
    assert len(other.fit(sparse.csr_array(x), targets).predict(sparse.csr_array(x))) == len(x)


def test_a_dropped_block_is_as_if_it_were_not_there(x: Matrix, y: NDArray[Any]) -> None:
    pairs: list[tuple[str, Any]] = [("left", GaussianNB()), ("right", GaussianNB())]
    stack = StackedBackbones(pairs, blocks=BLOCKS, cv=2, passthrough=True).set_params(right="drop").fit(x, y)
    alone = StackedBackbones([("left", GaussianNB())], blocks={"left": BLOCKS["left"]}, cv=2, passthrough=True)
    np.testing.assert_array_equal(stack.transform(x), alone.fit(x, y).transform(x))
    assert stack.named_estimators_["right"] == "drop"
    assert len(stack.estimators_) == 1


def test_prefit_members_stay_as_they_are(x: Matrix, y: NDArray[Any]) -> None:
    member = GaussianNB().fit(x[:100, :24], y[:100])
    stack = StackedBackbones([("left", member)], blocks={"left": BLOCKS["left"]}, cv="prefit").fit(x[100:], y[100:])
    assert stack.estimators_ == [member]
    np.testing.assert_array_equal(stack.stacked_features_, member.predict_proba(x[100:, :24]))
    frozen = clone(StackedBackbones([("left", FrozenEstimator(member))], blocks={"left": BLOCKS["left"]}, cv="prefit"))
    np.testing.assert_array_equal(frozen.fit(x[100:], y[100:]).predict(x), stack.predict(x))
    with pytest.raises(NotFittedError):
        StackedBackbones([("a", GaussianNB())], cv="prefit").fit(x, y)
    some = GaussianNB().fit(x[y != "two"], y[y != "two"])
    with pytest.raises(ValueError, match="knows the classes"):
        StackedBackbones([("a", some)], cv="prefit").fit(x, y)


def test_predictions_of_named_classes_and_of_regressors_are_codes(x: Matrix, y: NDArray[Any]) -> None:
    pairs = [("bayes", GaussianNB()), ("ridge", Ridge())]
    stack = StackedBackbones(pairs, GaussianNB(), cv=3, stack_method="predict").fit(x, y)
    assert set(stack.stacked_features_[:, 0]) == {0, 1, 2}
    assert stack.stack_method_ == ["predict", "predict"]
    assert list(stack.get_feature_names_out()) == ["bayes", "ridge"]
    assert stack.score(x, y) > 0.9


def test_several_labels_a_row_are_refused_with_the_way_out(x: Matrix, y: NDArray[Any]) -> None:
    both = np.column_stack([y, y == "one"]).astype(str)
    with pytest.raises(ValueError, match=r"y has 2 columns.*MultiOutputClassifier"):
        StackedBackbones().fit(x, both)
    assert MultiOutputClassifier(StackedBackbones(blocks=BLOCKS, cv=2)).fit(x, both).predict(x).shape == both.shape


# Sample weights and routing


@pytest.mark.parametrize("estimators", [None, GaussianNB(), make_pipeline(StandardScaler(), LogisticRegression())])
def test_sample_weights_reach_members_folds_and_final_estimator(
    x: Matrix,
    y: NDArray[Any],
    estimators: Any,  # noqa: ANN401
) -> None:
    """Also through pipelines: scikit-learn/scikit-learn#29454; also the folds': #16537."""
    weights = np.where(y == "one", 0.01, 1.0)
    stack = StackedBackbones(estimators, blocks=BLOCKS, cv=2)
    plain = clone(stack).fit(x, y)
    same = clone(stack).fit(x, y, sample_weight=np.ones(len(y)))
    weighted = clone(stack).fit(x, y, sample_weight=weights)
    np.testing.assert_allclose(same.stacked_features_, plain.stacked_features_, rtol=1e-6, atol=1e-9)
    column = list(plain.get_feature_names_out()).index("left_one")
    assert weighted.stacked_features_[:, column].mean() < plain.stacked_features_[:, column].mean()
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        clone(stack).fit(x, y, sample_weight=weights[1:])


def test_routing_sends_each_what_it_asks_for(x: Matrix, y: NDArray[Any]) -> None:
    weights, groups = np.where(y == "one", 0.01, 1.0), np.arange(len(y)) // 3
    with sklearn.config_context(enable_metadata_routing=True):
        search = GridSearchCV(
            GaussianNB().set_fit_request(sample_weight=True).set_score_request(sample_weight=False),
            {},
            cv=GroupKFold(2),
        )
        search.set_params(estimator__var_smoothing=1e-3)
        final = LogisticRegression().set_fit_request(sample_weight=False)
        stack = StackedBackbones(search, final, blocks=BLOCKS, cv=2)
        routed = stack.fit(x, y, groups=groups, sample_weight=weights)  # the search's own folds need the groups
        with pytest.raises(ValueError, match="not explicitly set as requested"):
            StackedBackbones(GaussianNB(), cv=2).fit(x, y, sample_weight=weights)
        middle = make_pipeline(clone(stack), LogisticRegression().set_fit_request(sample_weight=False))
        passed = middle.fit(x, y, groups=groups, sample_weight=weights)[0]
    np.testing.assert_array_equal(passed.stacked_features_, routed.stacked_features_)
    by_hand = GaussianNB(var_smoothing=1e-3).fit(x[:, :24], y, sample_weight=weights)
    np.testing.assert_allclose(routed.estimators_[0].predict_proba(x[:, :24]), by_hand.predict_proba(x[:, :24]))
    with pytest.raises(ValueError, match="only supported if enable_metadata_routing=True"):
        StackedBackbones().fit(x, y, colour="red")


def test_groups_go_through_a_grid_search_without_being_asked_for(x: Matrix, y: NDArray[Any]) -> None:
    groups = np.arange(len(y)) // 3
    with sklearn.config_context(enable_metadata_routing=True):
        search = GridSearchCV(StackedBackbones(GaussianNB(), blocks=BLOCKS, cv=2), {}, cv=GroupKFold(2))
        found = search.fit(x, y, groups=groups).best_estimator_
    direct = StackedBackbones(GaussianNB(), blocks=BLOCKS, cv=2).fit(x, y, groups=groups)
    np.testing.assert_array_equal(found.stacked_features_, direct.stacked_features_)


def test_members_may_weigh_classes_by_name(x: Matrix, y: NDArray[Any]) -> None:
    member = LogisticRegression(class_weight={"zero": 1, "one": 100, "two": 1})
    stack = StackedBackbones(member, blocks=BLOCKS, cv=2).fit(x, y)
    assert set(stack.named_estimators_["left"].predict(x[:, :24])) <= set(y)
