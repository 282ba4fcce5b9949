"""The confusion matrix counts every prediction once; similar classes become neighbours."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from stackbone.stack.report.figures.confusion_matrix import count_confusions, similarity_order


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_counts_agree_with_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, predicted = rng.integers(0, 4, 240), rng.integers(0, 4, 240)
    found = count_confusions(truth, predicted, list("abcd"))
    np.testing.assert_array_equal(found.counts, confusion_matrix(truth, predicted))
    assert found.counts.sum() == 240
    assert found.names == list("abcd")


def test_a_class_that_is_neither_tested_nor_predicted_has_its_place() -> None:
    found = count_confusions(np.array([0, 2]), np.array([2, 2]), list("abc"))
    assert found.counts.tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 1]]
    assert sorted(found.order.tolist()) == [0, 1, 2]


def test_classes_taken_for_one_another_are_neighbours() -> None:
    counts = 50 * np.eye(6, dtype=np.int64)
    for a, b in ((0, 3), (3, 5), (1, 4), (4, 2)):  # two chains, whose middles are 3 and 4
        counts[a, b] = counts[b, a] = 20
    order = similarity_order(counts).tolist()
    assert sorted(order) == list(range(6))
    for a, b in ((0, 3), (3, 5), (1, 4), (4, 2)):
        assert abs(order.index(a) - order.index(b)) == 1


@pytest.mark.parametrize("n", [1, 2, 3, 450])
def test_any_number_of_classes_has_an_order_also_without_a_confusion_or_an_image(n: int) -> None:
    assert sorted(similarity_order(np.zeros((n, n), np.int64)).tolist()) == list(range(n))
    assert sorted(similarity_order(np.eye(n, dtype=np.int64)).tolist()) == list(range(n))


def test_a_large_class_does_not_outweigh_a_small_one() -> None:
    counts = np.diag([10_000, 10, 10, 10_000])
    counts[0, 3], counts[1, 2] = 100, 9
    order = similarity_order(counts).tolist()
    assert abs(order.index(1) - order.index(2)) == 1
