"""StackedBackbones keeps scikit-learn's conventions, agrees with its and mlxtend's stacks, refuses what is unfair."""

from collections.abc import Iterator
from typing import Any, Literal

import mlxtend
import numpy as np
import pytest
import sklearn
from mlxtend.classifier import StackingClassifier as MlxtendStacking
from mlxtend.classifier import StackingCVClassifier as MlxtendStackingCV
from mlxtend.feature_selection import ColumnSelector
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier, StackingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, StratifiedKFold, cross_val_predict
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.fixes import parse_version

from stackbone.stack.estimator.classifiers import LinearSVM, SoftmaxRegression
from stackbone.stack.estimator.estimator import StackedBackbones, StackedBackbonesRegressor
from stackbone.stack.estimator.meta_classifier import MetaClassifier
from stackbone.stack.estimator.out_of_fold import LEAST_PROBABILITY

pytestmark = pytest.mark.usefixtures("one_blas_thread")

Matrix = NDArray[np.float64]
Labels = NDArray[np.str_]

BLOCKS: dict[str, slice | list[int]] = {"left": slice(0, 24), "middle": list(range(24, 44)), "right": slice(44, 64)}
TRAIN, TEST = slice(0, 200), slice(200, 320)


@pytest.fixture(scope="module")
def x() -> Matrix:
    features: Matrix = load_digits(n_class=4).data[:320] / 16
    return features


@pytest.fixture(scope="module")
def y() -> Labels:
    labels: Labels = np.array(["zero", "one", "two", "three"])[load_digits(n_class=4).target[:320]]
    return labels


def mlxtend_bases(base: BaseEstimator) -> list[Any]:
    columns = [np.arange(64)[block].tolist() for block in BLOCKS.values()]
    return [make_pipeline(ColumnSelector(cols=each), clone(base)) for each in columns]


# scikit-learn's own conventions


OUT_OF_FOLD = "fit_transform returns out-of-fold scores, transform those of classifiers refitted on all rows"
EXCLUDED = {"check_transformer_general": OUT_OF_FOLD, "check_transformer_data_not_an_array": OUT_OF_FOLD}


def excluded(stack: StackedBackbones | StackedBackbonesRegressor) -> dict[str, str]:
    return {} if stack.cv == "in-sample" else EXCLUDED  # in sample, the two are the same


# The checks of scikit-learn 1.6 fit ten rows, of which a class has four.
@pytest.mark.filterwarnings("ignore:The least populated class in y has only 4 members:UserWarning")
@parametrize_with_checks(  # type: ignore[untyped-decorator]  # scikit-learn has no types
    [
        StackedBackbones(),
        StackedBackbones(cv="in-sample", combine="average", stack_method="log-probability"),
        StackedBackbonesRegressor(),
    ],
    expected_failed_checks=excluded,
)
def test_scikit_learn_finds_its_conventions_kept(estimator: Any, check: Any) -> None:  # noqa: ANN401
    check(estimator)


def test_clones_are_equal_and_fit_changes_no_argument(x: Matrix, y: Labels) -> None:
    base, final = SoftmaxRegression(C=0.1), LogisticRegression()
    stack = StackedBackbones(base, final, blocks=BLOCKS, cv=2).fit(x, y)
    copied = clone(stack)
    assert repr(copied) == repr(stack)
    assert not hasattr(copied, "final_estimator_")
    assert not hasattr(base, "classes_")
    assert not hasattr(final, "classes_")
    np.testing.assert_array_equal(copied.fit(x, y).predict(x), stack.predict(x))


def test_parameters_of_named_classifiers_are_reachable() -> None:
    pairs = [("left", LogisticRegression(C=2.0)), ("right", GaussianNB())]
    stack = StackedBackbones(pairs, LinearSVM())
    assert stack.get_params()["left__C"] == 2.0
    assert stack.get_params(deep=False).keys() == StackedBackbones().get_params().keys()
    stack.set_params(left__C=3.0, final_estimator__C=5.0, right=LogisticRegression(), right__C=7.0)
    assert [classifier.C for _, classifier in stack.estimators] == [3.0, 7.0]
    assert stack.final_estimator.C == 5.0
    assert isinstance(pairs[1][1], GaussianNB)
    assert StackedBackbones(LogisticRegression()).set_params(estimators__C=4.0).estimators.C == 4.0
    with pytest.raises(ValueError, match="middle"):
        stack.set_params(middle__C=1.0)


def test_a_grid_search_reaches_base_and_final_classifiers_and_blocks(x: Matrix, y: Labels) -> None:
    stack = StackedBackbones(SoftmaxRegression(C=0.1), LinearSVM(), blocks=BLOCKS, cv=2)
    grid = {
        "stack__final_estimator__C": [1e-6, 1.0],
        "stack__estimators__C": [0.1],
        "stack__blocks": [BLOCKS, {"left": BLOCKS["left"]}],
    }
    search = GridSearchCV(make_pipeline(StandardScaler(), stack), {}, cv=2)
    search.estimator.steps[-1] = ("stack", stack)
    search.set_params(param_grid=grid).fit(x[TRAIN], y[TRAIN])
    assert search.best_params_["stack__final_estimator__C"] == 1.0
    assert search.best_params_["stack__blocks"] == BLOCKS
    assert search.score(x[TEST], y[TEST]) > 0.8


# The same answers as the field's own stacks


@pytest.mark.skipif(
    parse_version(mlxtend.__version__) < parse_version("0.24")
    and parse_version(sklearn.__version__) >= parse_version("1.6"),
    reason="mlxtend's StackingCVClassifier before 0.24 cannot be fitted with scikit-learn 1.6: no reference",
)
@pytest.mark.parametrize("final", [LinearSVC(dual=False), LogisticRegression()], ids=["svm", "lr"])
def test_it_predicts_as_mlxtend_on_out_of_fold_probabilities(x: Matrix, y: Labels, final: BaseEstimator) -> None:
    base = LogisticRegression(max_iter=1000)
    reference = MlxtendStackingCV(
        mlxtend_bases(base), final, use_probas=True, cv=3, random_state=0, store_train_meta_features=True
    ).fit(x[TRAIN], y[TRAIN])
    stack = StackedBackbones(base, final, blocks=BLOCKS, cv=3, random_state=0).fit(x[TRAIN], y[TRAIN])
    np.testing.assert_allclose(stack.stacked_features_, reference.train_meta_features_, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(stack.transform(x[TEST]), reference.predict_meta_features(x[TEST]), rtol=1e-9)
    np.testing.assert_array_equal(stack.predict(x[TEST]), reference.predict(x[TEST]))
    assert stack.score(x[TEST], y[TEST]) > 0.8


@pytest.mark.parametrize("combine", ["concat", "average"])
def test_it_predicts_as_mlxtend_on_in_sample_probabilities(
    x: Matrix, y: Labels, combine: Literal["concat", "average"]
) -> None:
    base, final = LogisticRegression(max_iter=1000), LinearSVC(dual=False)
    reference = MlxtendStacking(
        mlxtend_bases(base),
        final,
        use_probas=True,
        average_probas=combine == "average",
        store_train_meta_features=True,
    ).fit(x[TRAIN], y[TRAIN])
    stack = StackedBackbones(base, final, blocks=BLOCKS, cv="in-sample", combine=combine).fit(x[TRAIN], y[TRAIN])
    np.testing.assert_allclose(stack.stacked_features_, reference.train_meta_features_, rtol=1e-9)
    np.testing.assert_array_equal(stack.predict(x[TEST]), reference.predict(x[TEST]))


@pytest.mark.parametrize("passthrough", [False, True])
@pytest.mark.parametrize("method", ["probability", "decision"])
def test_it_predicts_as_scikit_learn_on_all_columns(
    x: Matrix,
    y: Labels,
    method: Literal["probability", "decision"],
    passthrough: bool,  # noqa: FBT001 - parametrised
) -> None:
    pairs = [("lr", LogisticRegression(max_iter=1000)), ("weak", LogisticRegression(C=1e-3))]
    final, cv = LogisticRegression(max_iter=5000), StratifiedKFold(3, shuffle=True, random_state=1)
    reference = StackingClassifier(
        pairs,
        final,
        cv=cv,
        passthrough=passthrough,
        stack_method={"probability": "predict_proba", "decision": "decision_function"}[method],
    ).fit(x[TRAIN], y[TRAIN])
    stack = StackedBackbones(pairs, final, cv=cv, stack_method=method, passthrough=passthrough).fit(x[TRAIN], y[TRAIN])
    np.testing.assert_allclose(stack.transform(x[TEST]), reference.transform(x[TEST]), rtol=1e-9)
    np.testing.assert_allclose(stack.predict_proba(x[TEST]), reference.predict_proba(x[TEST]), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(stack.decision_function(x[TEST]), reference.decision_function(x[TEST]), atol=1e-6)
    np.testing.assert_array_equal(stack.predict(x[TEST]), reference.predict(x[TEST]))


def test_the_default_is_softmax_regressions_under_the_command_lines_meta_classifier(x: Matrix, y: Labels) -> None:
    stack = StackedBackbones(blocks=BLOCKS).fit(x[TRAIN], y[TRAIN])
    folds = list(StratifiedKFold(5, shuffle=True, random_state=0).split(x[TRAIN], y[TRAIN]))
    bases = [SoftmaxRegression(C=0.01) for _ in BLOCKS]
    columns = [x[TRAIN][:, block] for block in BLOCKS.values()]
    by_hand = np.hstack(
        [
            cross_val_predict(base, each, y[TRAIN], cv=folds, method="predict_proba")
            for base, each in zip(bases, columns, strict=True)
        ]
    )
    np.testing.assert_allclose(stack.stacked_features_, by_hand, rtol=1e-4, atol=1e-6)
    meta = MetaClassifier(cv=folds).fit(by_hand, y[TRAIN])
    assert meta.C_ == stack.final_estimator_.C_
    np.testing.assert_allclose(stack.final_estimator_.coef_, meta.coef_, rtol=1e-2, atol=1e-3)
    assert stack.score(x[TEST], y[TEST]) > 0.8


@pytest.mark.parametrize(
    ("arguments", "final"),
    [
        ({}, MetaClassifier),
        ({"combine": "average"}, MetaClassifier),
        ({"cv": "in-sample"}, MetaClassifier),
        ({"stack_method": "predict_proba"}, MetaClassifier),
        ({"passthrough": True}, LinearSVM),
        ({"stack_method": "decision"}, LinearSVM),
        ({"stack_method": "log-probability"}, LinearSVM),
        ({"stack_method": "predict"}, LinearSVM),
        ({"estimators": LinearSVC()}, LinearSVM),
    ],
    ids=str,
)
def test_the_default_final_classifier_is_shrunk_where_there_is_a_mean_to_stay_near(
    x: Matrix, y: Labels, arguments: dict[str, Any], final: type
) -> None:
    stack = StackedBackbones(**{"blocks": BLOCKS, "cv": 2, **arguments})
    shrunk = final is MetaClassifier
    assert hasattr(stack, "predict_proba") is shrunk  # said before the fit as after it
    stack.fit(x[TRAIN], y[TRAIN])
    assert type(stack.final_estimator_) is final
    assert hasattr(stack, "predict_proba") is shrunk
    if shrunk:
        np.testing.assert_allclose(stack.predict_proba(x[TEST]).sum(axis=1), 1)
        assert (stack.classes_[stack.predict_proba(x[TEST]).argmax(axis=1)] == stack.predict(x[TEST])).all()


def test_log_probabilities_are_logarithms_with_a_floor(x: Matrix, y: Labels) -> None:
    forest = RandomForestClassifier(5, random_state=0)
    plain, logs = (
        StackedBackbones(forest, blocks=BLOCKS, cv=2, stack_method=method).fit(x, y).stacked_features_
        for method in ("probability", "log-probability")
    )
    assert (plain == 0).any()
    np.testing.assert_allclose(logs, np.log(np.maximum(plain, LEAST_PROBABILITY)))
    assert logs.min() == pytest.approx(-87.3, abs=0.1)


def test_fit_transform_hands_on_out_of_fold_scores(x: Matrix, y: Labels) -> None:
    stack = StackedBackbones(GaussianNB(), blocks=BLOCKS, cv=2, passthrough=True)
    handed = stack.fit_transform(x, y)
    np.testing.assert_array_equal(handed, np.hstack([stack.stacked_features_, x]))
    assert not np.allclose(handed, stack.transform(x))
    top = make_pipeline(clone(stack), LinearSVM()).fit(x, y)
    np.testing.assert_array_equal(top[-1].coef_, LinearSVM().fit(handed, y).coef_)


def test_averaging_is_the_mean_over_blocks(x: Matrix, y: Labels) -> None:
    both = {
        combine: StackedBackbones(GaussianNB(), blocks={"a": slice(1, 9), "b": slice(9, 30)}, cv=2, combine=combine)
        for combine in ("concat", "average")
    }
    side_by_side = both["concat"].fit(x, y).stacked_features_
    np.testing.assert_allclose(
        both["average"].fit(x, y).stacked_features_, (side_by_side[:, :4] + side_by_side[:, 4:]) / 2
    )
    assert list(both["average"].get_feature_names_out()) == ["mean_one", "mean_three", "mean_two", "mean_zero"]


def test_fits_side_by_side_give_the_same(x: Matrix, y: Labels) -> None:
    alone, beside = (StackedBackbones(blocks=BLOCKS, cv=3, n_jobs=n).fit(x, y) for n in (None, 2))
    np.testing.assert_allclose(alone.stacked_features_, beside.stacked_features_, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(alone.predict(x), beside.predict(x))


# What comes in


def test_two_classes_have_the_column_that_says_all(x: Matrix, y: Labels) -> None:
    two = np.flatnonzero((y == "one") | (y == "zero"))
    stack = StackedBackbones(blocks=BLOCKS, cv=2, stack_method="decision").fit(x[two], y[two])
    assert stack.stacked_features_.shape == (len(two), 3)
    logs = StackedBackbones(blocks=BLOCKS, cv=2, stack_method="log-probability").fit(x[two], y[two])
    assert logs.stacked_features_.shape == (len(two), 6)  # of two logarithms neither follows by a line from the other
    assert list(logs.get_feature_names_out()[:2]) == ["left_one", "left_zero"]
    assert stack.decision_function(x[two]).shape == (len(two),)
    assert stack.score(x[two], y[two]) > 0.95
    assert list(stack.get_feature_names_out()[:2]) == ["left_zero", "middle_zero"]


def test_columns_of_a_data_frame_are_taken_by_name(x: Matrix, y: Labels) -> None:
    pandas = pytest.importorskip("pandas")
    names = [f"pixel {i}" for i in range(64)]
    frame = pandas.DataFrame(x, columns=names)
    by_name = {name: [names[i] for i in np.arange(64)[block]] for name, block in BLOCKS.items()}
    named = StackedBackbones(blocks=by_name, cv=2, passthrough=True).fit(frame, pandas.Series(y))
    plain = StackedBackbones(blocks=BLOCKS, cv=2, passthrough=True).fit(x, y)
    np.testing.assert_array_equal(named.predict(frame), plain.predict(x))
    assert list(named.feature_names_in_) == names
    assert list(named.get_feature_names_out()[12:]) == names
    assert list(plain.get_feature_names_out()[10:14]) == ["right_two", "right_zero", "x0", "x1"]
    with pytest.raises(ValueError, match="feature names should match"):
        named.predict(frame[names[::-1]])
    with pytest.raises(ValueError, match=r"block 'left' names 1 column.*did you mean 'pixel 3'\?"):
        StackedBackbones(blocks={"left": ["pixel 0", "pixle 3"]}).fit(frame, y)


def test_columns_in_no_block_are_neither_used_nor_passed_through(x: Matrix, y: Labels) -> None:
    blocks: dict[str, slice | list[int]] = {"first": slice(0, 30), "overlapping": [33, 20, -1]}
    stack = StackedBackbones(blocks=blocks, cv=2, passthrough=True).fit(x, y)
    spoilt = x.copy()
    spoilt[:, 40:50] = 1e6
    np.testing.assert_array_equal(stack.transform(spoilt), stack.transform(x))
    assert list(stack.get_feature_names_out()[8:]) == [f"x{i}" for i in [*range(30), 33, 63]]
    np.testing.assert_array_equal(stack.transform(x)[:, 8:], x[:, [*range(30), 33, 63]])


def test_each_block_has_its_own_classifier_by_name(x: Matrix, y: Labels) -> None:
    pairs = [("right", GaussianNB()), ("left", LogisticRegression()), ("middle", SoftmaxRegression())]
    stack = StackedBackbones(pairs, blocks=BLOCKS, cv=2).fit(x, y)
    assert list(stack.named_estimators_) == ["left", "middle", "right"]
    assert isinstance(stack.named_estimators_["right"], GaussianNB)
    assert stack.named_estimators_["right"].n_features_in_ == 20
    np.testing.assert_array_equal(stack.transform(x)[:, 8:], stack.estimators_[2].predict_proba(x[:, 44:]))


def test_probabilities_are_there_where_the_final_classifier_has_them(x: Matrix, y: Labels) -> None:
    svm = StackedBackbones(blocks=BLOCKS, cv=2, final_estimator=LinearSVM())
    bayes = StackedBackbones(blocks=BLOCKS, cv=2, final_estimator=GaussianNB())
    for _ in range(2):  # before and after fit
        assert hasattr(svm, "decision_function")
        assert not hasattr(svm, "predict_proba")
        assert not hasattr(bayes, "decision_function")
        assert hasattr(bayes, "predict_proba")
        svm.fit(x, y)
        bayes.fit(x, y)
    np.testing.assert_allclose(bayes.predict_proba(x).sum(axis=1), 1)


# Groups and folds


class Witness(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Notes, in `overlaps`, how many groups (its first column) it is asked about that it has learnt."""

    overlaps: list[int] = []  # noqa: RUF012 - clones must share it

    def fit(self, x: Matrix, y: Labels) -> "Witness":
        self.classes_, counts = np.unique(y, return_counts=True)
        self.shares_ = counts / len(y)
        self.groups_ = x[:, 0]
        return self

    def predict_proba(self, x: Matrix) -> Matrix:
        self.overlaps.append(len(np.intersect1d(self.groups_, x[:, 0])))
        return np.tile(self.shares_, (len(x), 1))


@pytest.fixture
def overlaps() -> Iterator[list[int]]:
    Witness.overlaps.clear()
    yield Witness.overlaps
    Witness.overlaps.clear()


def grouped() -> tuple[Matrix, Labels, NDArray[np.int64]]:
    groups = np.repeat(np.arange(24), 4)
    y = np.array(["cat", "dog"])[groups // 2 % 2]
    return np.column_stack([groups, np.arange(len(groups))]).astype(float), y, groups


def test_groups_reach_the_inner_folds(overlaps: list[int]) -> None:
    x, y, groups = grouped()
    StackedBackbones(Witness(), cv=3).fit(x, y)
    assert len(overlaps) == 3
    assert min(overlaps) > 0
    overlaps.clear()
    StackedBackbones(Witness(), cv=3).fit(x, y, groups=groups)
    assert overlaps == [0, 0, 0]
    overlaps.clear()
    StackedBackbones(Witness(), cv=GroupKFold(4)).fit(x, y, groups=groups.astype(str))
    assert overlaps == [0, 0, 0, 0]


def test_groups_reach_the_inner_folds_of_a_grid_search(overlaps: list[int]) -> None:
    x, y, groups = grouped()
    with sklearn.config_context(enable_metadata_routing=True):
        stack = StackedBackbones(Witness(), cv=2).set_fit_request(groups=True)
        GridSearchCV(stack, {"combine": ["concat"]}, cv=GroupKFold(2), refit=False).fit(x, y, groups=groups)
    assert overlaps == [0] * 6  # of each outer fold: two inner folds, and the score of its test part


def test_groups_that_folds_would_split_are_refused() -> None:
    x, y, groups = grouped()
    with pytest.raises(ValueError, match=r"inner fold 1 of 3 has \d+ groups? on both sides"):
        StackedBackbones(cv=list(KFold(3, shuffle=True, random_state=0).split(x))).fit(x, y, groups=groups)
    with pytest.raises(ValueError, match="makes no folds to keep them together"):
        StackedBackbones(cv="in-sample").fit(x, y, groups=groups)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        StackedBackbones().fit(x, y, groups=groups[1:])


def test_scores_of_given_folds_keep_the_order_of_the_rows(x: Matrix, y: Labels) -> None:
    rows = np.random.default_rng(0).permutation(len(y))
    folds = [(np.setdiff1d(rows, test), test) for test in np.array_split(rows, 4)]
    stack = StackedBackbones(GaussianNB(), cv=iter(folds)).fit(x, y)
    for train, test in folds:
        by_hand = GaussianNB().fit(x[train], y[train]).predict_proba(x[test])
        np.testing.assert_array_equal(stack.stacked_features_[test], by_hand)


# Bad data


def test_scores_that_are_not_one_per_class_are_refused(x: Matrix, y: Labels) -> None:
    pairwise = SVC(kernel="linear", decision_function_shape="ovo")
    with pytest.raises(ValueError, match="SVC gave 6 scores per row for 4 classes"):
        StackedBackbones(pairwise, cv=2, stack_method="decision").fit(x, y)


def test_unusable_data_are_refused(x: Matrix, y: Labels) -> None:
    with pytest.raises(ValueError, match=r"y holds 1 class \(zero\)"):
        StackedBackbones().fit(x[y == "zero"], y[y == "zero"])
    spoilt = x.copy()
    spoilt[3, 3] = np.nan
    with pytest.raises(ValueError, match="contains NaN"):
        StackedBackbones().fit(spoilt, y)
    stack = StackedBackbones(blocks=BLOCKS, cv=2).fit(x, y)
    with pytest.raises(ValueError, match="contains NaN"):
        stack.predict(spoilt)
    with pytest.raises(ValueError, match="expecting 64 features"):
        stack.predict(x[:, :60])
    with pytest.raises(ValueError, match="not equal to feature_names_in_"):
        stack.get_feature_names_out(["one", "two"])
    with pytest.raises(NotFittedError):
        StackedBackbones().predict(x)
