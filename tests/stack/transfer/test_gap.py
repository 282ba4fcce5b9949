"""Numbers of the gap between domains, where it is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from stackbone.cache import StackError
from stackbone.stack.transfer.classifier import fit_classifier
from stackbone.stack.transfer.estimates.kernels import gaussian
from stackbone.stack.transfer.gap.class_gaps import class_gaps
from stackbone.stack.transfer.gap.distance import discrepancy, proxy_a_distance, squared_discrepancies
from stackbone.stack.transfer.gap.influence import influence, solve_hessian
from stackbone.stack.transfer.method import HIDDEN
from tests.made.domains import changed, two_domains

pytestmark = pytest.mark.usefixtures("one_blas_thread")


@pytest.mark.parametrize(
    ("shift", "stretch", "least", "most"), [(0.0, 1.0, 0.0, 0.45), (2.0, 1.0, 1.2, 2.0), (50.0, 1.0, 1.95, 2.0)]
)
def test_the_proxy_distance_grows_from_nought_to_two(shift: float, stretch: float, least: float, most: float) -> None:
    domains, _, _ = two_domains(shift=shift, stretch=stretch)
    assert least <= proxy_a_distance(domains) <= most


def test_a_domain_of_one_image_has_no_proxy_distance_to_speak_of() -> None:
    domains, _, _ = two_domains()
    one = changed(domains, target=domains.target[:1], target_labels=domains.target_labels[:1])
    assert proxy_a_distance(one) == 0
    with pytest.raises(ValueError, match="1 of the target"):
        discrepancy(one)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_discrepancy_of_like_domains_is_no_surprise(seed: int) -> None:
    domains, _, _ = two_domains(shift=0.0, stretch=1.0, seed=seed)
    found = discrepancy(domains)
    assert abs(found.squared) < 0.01
    assert found.p_value > 0.01


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_the_discrepancy_of_unlike_domains_is_one(shift: float) -> None:
    found = discrepancy(two_domains(shift=shift)[0])
    assert found.squared > 0.01
    assert found.p_value == pytest.approx(1 / 201)


def test_the_discrepancy_is_the_plain_sum() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(9, 2)).astype(np.float32)
    kernel = gaussian(x, x, 0.5).astype(np.float64)
    np.fill_diagonal(kernel, 0)
    own = np.zeros((9, 1))
    own[:4] = 1
    within = sum(kernel[i, j] for i in range(4) for j in range(4) if i != j) / 12
    among = sum(kernel[i, j] for i in range(4, 9) for j in range(4, 9) if i != j) / 20
    across = sum(kernel[i, j] for i in range(4) for j in range(4, 9)) / 20
    assert squared_discrepancies(kernel, own)[0] == pytest.approx(within + among - 2 * across)


# Classes


def test_the_class_that_moved_is_the_one_of_the_gap() -> None:
    domains, test, codes = two_domains(shift=0.0, stretch=1.0, n_test=3000)
    moved = test.copy()
    moved[codes == 1] += 4
    own, nearest = class_gaps(domains.source, domains.source_labels, moved, codes, 3)
    assert own.argmax() == 1
    assert own[1] > 5 * max(own[0], own[2])
    assert (nearest > 0).all()


def test_classes_that_a_domain_lacks_have_no_gap() -> None:
    domains, test, codes = two_domains(n_test=60)
    own, nearest = class_gaps(domains.source, domains.source_labels, test, np.where(codes == 2, HIDDEN, codes), 4)
    assert np.isnan(own).tolist() == [False, False, True, True]
    assert np.isnan(nearest).tolist() == [False, False, False, True]


def test_images_that_are_all_alike_have_no_gap_to_speak_of() -> None:
    own, nearest = class_gaps(
        np.ones((4, 3), np.float32), np.arange(4) % 2, np.ones((4, 3), np.float32), np.arange(4) % 2, 2
    )
    assert np.isnan(own).all()
    assert np.isnan(nearest).all()


# Influence


def test_the_hessian_is_that_of_all_coefficients() -> None:
    rng = np.random.default_rng(0)
    x, probabilities = rng.normal(size=(30, 4)), rng.dirichlet(np.ones(3), size=30)
    ridge, right = np.array([0.5, 1.0, 2.0, 0.1]), rng.normal(size=(4, 3))
    right -= right.mean(axis=1, keepdims=True)
    dense = np.diag(np.repeat(ridge, 3))
    for row, p in zip(x, probabilities, strict=True):
        dense += np.kron(np.outer(row, row), np.diag(p) - np.outer(p, p))
    expected = np.linalg.solve(dense, right.ravel()).reshape(4, 3)
    np.testing.assert_allclose(solve_hessian(x, probabilities, ridge, right), expected, atol=1e-4)


def test_images_with_wrong_labels_help_least() -> None:
    domains, test, codes = two_domains(shift=0.0, stretch=1.0)
    labels = domains.source_labels.copy()
    wrong = np.arange(0, 240, 12)
    labels[wrong] = (labels[wrong] + 1) % 3
    found = influence(domains.source, labels, test, codes, 3)
    worst = np.argsort(found)[: len(wrong)]
    assert len(np.intersect1d(worst, wrong)) >= 0.75 * len(wrong)  # of all images they are a twelfth
    assert (found[wrong] < 0).mean() > 0.9


def test_influence_on_images_without_a_label_is_refused() -> None:
    domains, test, codes = two_domains(shift=0.0, stretch=1.0)
    with pytest.raises(StackError, match=r"none of the [\d,]+ target images to judge by shows a label; one or more"):
        influence(domains.source, domains.source_labels, test, np.full_like(codes, HIDDEN), 3)


def test_influence_is_the_order_of_learning_again_without_the_image() -> None:
    domains, test, codes = two_domains(n_source=150, shift=0.5)
    c = 0.05

    def lost(rows: np.ndarray) -> float:
        fitted = fit_classifier(domains.source[rows], domains.source_labels[rows], 3, seed=0, c=c)
        return -float(np.log(fitted.predict_proba(test)[np.arange(len(codes)), codes]).mean())

    everything = np.arange(150)
    whole = lost(everything)
    without = np.array([lost(np.delete(everything, row)) - whole for row in range(40)])
    found = influence(domains.source, domains.source_labels, test, codes, 3, c=c)[:40]
    assert spearmanr(found, without).statistic > 0.9
    assert np.polyfit(without, found, 1)[0] == pytest.approx(1, abs=0.3)


def test_hidden_labels_take_no_part_in_influence() -> None:
    domains, test, codes = two_domains(n_source=60)
    some = np.where(np.arange(len(codes)) < 30, codes, HIDDEN)
    np.testing.assert_allclose(
        influence(domains.source, domains.source_labels, test, some, 3, c=0.1),
        influence(domains.source, domains.source_labels, test[:30], codes[:30], 3, c=0.1),
    )
