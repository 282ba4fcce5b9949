"""Methods of models, relations, several tasks and adversaries against plain counterparts."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.linalg import orthogonal_procrustes
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression

from stackbone.stack.transfer.estimates.neighbours import nearest
from stackbone.stack.transfer.estimates.pseudo_labels import surest
from stackbone.stack.transfer.estimates.validation import first_near_best, fit_pooled
from stackbone.stack.transfer.method import HIDDEN, Domains
from stackbone.stack.transfer.methods.adversarial.dann import METHOD as DANN
from stackbone.stack.transfer.methods.model.l2sp import METHOD as L2SP
from stackbone.stack.transfer.methods.model.l2sp import learn_near
from stackbone.stack.transfer.methods.model.pace import METHOD as PACE
from stackbone.stack.transfer.methods.model.self_training import METHOD as SELF_TRAINING
from stackbone.stack.transfer.methods.multitask.shared_map import METHOD as MULTITASK
from stackbone.stack.transfer.methods.multitask.shared_map import fit_both
from stackbone.stack.transfer.methods.relation.label_propagation import METHOD as PROPAGATION
from stackbone.stack.transfer.methods.relation.label_propagation import join_neighbours, spread
from stackbone.stack.transfer.methods.relation.prototypes import class_means, turn
from stackbone.stack.transfer.registry import METHODS
from tests.made.domains import accuracy, changed, two_domains

pytestmark = pytest.mark.usefixtures("one_blas_thread", "one_torch_thread")

Doubles = NDArray[np.float64]


# L2-SP


@pytest.mark.parametrize("c", [1e-9, 0.01, 1.0])
def test_l2sp_minimises_its_objective(c: float) -> None:
    rng = np.random.default_rng(0)
    x, codes = rng.normal(size=(40, 4)).astype(np.float32), np.arange(40) % 3
    prior = rng.normal(size=(5, 3))

    def objective(flat: Doubles) -> float:
        v = flat.reshape(5, 3)
        logs = log_softmax(x @ v[:-1] + v[-1], axis=1)
        return float(-c * logs[np.arange(40), codes].sum() + np.square(v - prior).sum() / 2)

    expected = minimize(objective, np.zeros(15), method="BFGS", options={"gtol": 1e-7}).fun
    found = learn_near(x, codes, prior, prior, c)
    assert objective(found.ravel()) <= expected + 1e-5 * abs(expected) + 1e-9
    if c < 1e-6:
        np.testing.assert_allclose(found, prior, atol=1e-5)


@pytest.mark.parametrize("n", [5, 50])
def test_the_first_that_is_not_worse_beyond_chance_is_taken(n: int) -> None:
    rng = np.random.default_rng(0)
    best = rng.uniform(size=n)
    noisy = best + np.where(np.arange(n) % 2, 2.0, -2.0)
    noisy += best.mean() + 0.01 - noisy.mean()
    assert first_near_best([best + 1, noisy, best]) == 1
    assert first_near_best([best + 1, best + 0.5, best]) == 2
    assert first_near_best([best, best]) == 0


@pytest.mark.parametrize("shown", [2, 10, 60])
def test_l2sp_is_better_than_both_domains_alone_or_near_the_better(shown: int) -> None:
    domains, test, codes = two_domains(shown=shown, shift=1.0)
    alone = max(
        accuracy(METHODS[name].fit(domains).predict_proba(test), codes) for name in ("source-only", "target-only")
    )
    assert accuracy(L2SP.fit(domains).predict_proba(test), codes) > alone - 0.04


def test_l2sp_keeps_what_the_source_knows_of_a_class_without_target_labels() -> None:
    whole, test, codes = two_domains(shown=20, shift=0.0, stretch=1.0)
    domains = changed(whole, target_labels=np.where(whole.target_labels == 2, HIDDEN, whole.target_labels))
    found = L2SP.fit(domains).predict_proba(test)
    assert accuracy(found[codes == 2], codes[codes == 2]) > 0.6
    assert accuracy(found, codes) > 0.8


# Guessed labels


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_the_surest_of_every_guessed_class_are_taken(share: float) -> None:
    rng = np.random.default_rng(0)
    said = rng.dirichlet(np.ones(4), size=60)
    rows, codes = surest(said, share)
    guessed = said.argmax(axis=1)
    np.testing.assert_array_equal(codes, guessed[rows])
    for code in range(4):
        own = np.flatnonzero(guessed == code)
        taken = rows[codes == code]
        assert len(taken) == max(1, round(share * len(own)))
        left = np.setdiff1d(own, taken)
        assert len(left) == 0 or said[taken].max(axis=1).min() >= said[left].max(axis=1).max()


def test_nothing_is_taken_of_nothing() -> None:
    rows, codes = surest(np.empty((0, 3)), 0.5)
    assert len(rows) == len(codes) == 0


def test_self_training_takes_half_of_the_hidden_images_and_keeps_the_strength() -> None:
    domains, test, codes = two_domains(shown=5)
    fitted = SELF_TRAINING.fit(domains)
    assert fitted.chosen["guessed"] == pytest.approx((180 - 15) / 2, abs=3)
    assert fitted.chosen["C"] == fit_pooled(domains).strength
    assert accuracy(fitted.predict_proba(test), codes) >= accuracy(
        fit_pooled(domains).fitted.predict_proba(test), codes
    )


def test_pace_guesses_on_aligned_images() -> None:
    domains, test, codes = two_domains(shift=6.0)
    plain = accuracy(SELF_TRAINING.fit(domains).predict_proba(test), codes)
    assert accuracy(PACE.fit(domains).predict_proba(test), codes) > plain + 0.05


# Relations


@pytest.mark.parametrize(("n_classes", "dim"), [(3, 12), (8, 5), (2, 2)])
def test_prototypes_are_turned_as_procrustes_does(n_classes: int, dim: int) -> None:
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(2, n_classes, dim))
    weights = rng.uniform(0.5, 2, n_classes)
    root = np.sqrt(weights)[:, None]
    rotation, _ = orthogonal_procrustes(root * source, root * target)
    expected = source @ rotation
    found = turn(source, target, weights)
    mine, theirs = (float((weights * np.square(each - target).sum(axis=1)).sum()) for each in (found, expected))
    assert mine == pytest.approx(theirs, rel=1e-8)
    if n_classes <= dim:  # angles and lengths stay
        np.testing.assert_allclose(found @ found.T, source @ source.T, atol=1e-8)


def test_the_mean_of_no_image_is_nought() -> None:
    found = class_means(np.ones((2, 3), np.float32), np.array([[1.0, 0], [1, 0]]))
    np.testing.assert_array_equal(found, [[1, 1, 1], [0, 0, 0]])


@pytest.mark.parametrize("alpha", [0.2, 0.9])
def test_labels_spread_to_the_closed_form(alpha: float) -> None:
    rng = np.random.default_rng(0)
    dense = rng.uniform(size=(20, 20)) * (rng.uniform(size=(20, 20)) < 0.4)
    dense = np.maximum(dense, dense.T)
    np.fill_diagonal(dense, 0)
    labels = np.zeros((20, 3))
    labels[np.arange(6), np.arange(6) % 3] = 1
    root = 1 / np.sqrt(dense.sum(axis=1))
    system = np.eye(20) - alpha * root[:, None] * dense * root
    expected = np.linalg.solve(system, labels)
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(spread(csr_matrix(dense), labels, alpha), expected, atol=1e-4)


def test_an_image_without_neighbours_is_of_every_class() -> None:
    graph = csr_matrix(np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, 0]]))
    found = spread(graph, np.array([[1.0, 0], [0, 0], [0, 0]]), 0.9)
    np.testing.assert_allclose(found, np.array([[1, 0], [1, 0], [0.5, 0.5]]), atol=1e-6)


@pytest.mark.parametrize("same", [True, False])
def test_neighbours_are_the_nearest(same: bool) -> None:  # noqa: FBT001 - a parameter of the test
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(30, 5)).astype(np.float32), rng.normal(size=(20, 5)).astype(np.float32)
    a, b = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (a, b))
    others = a if same else b
    said = a @ others.T
    if same:
        np.fill_diagonal(said, -np.inf)
    neighbours, cosines = nearest(a, others, 4, same=same)
    np.testing.assert_array_equal(np.sort(neighbours), np.sort(np.argsort(-said, axis=1)[:, :4]))
    np.testing.assert_array_equal(cosines, np.take_along_axis(said, neighbours, axis=1))
    assert nearest(a, others, 99, same=same)[0].shape == (30, len(others) - same)


def test_the_graph_joins_the_domains_and_is_symmetric() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(30, 5)), 100 + rng.normal(size=(20, 5))
    unit = [(each / np.linalg.norm(each, axis=1, keepdims=True)).astype(np.float32) for each in (a, b)]
    graph = join_neighbours(unit[0], unit[1], 3).toarray()
    np.testing.assert_array_equal(graph, graph.T)
    assert (graph[:30, 30:] > 0).sum(axis=1).min() >= 3
    assert np.trace(graph) == 0


def test_propagation_answers_images_of_the_graph_by_their_neighbours() -> None:
    domains, _, _ = two_domains(shown=60, apart=6.0)
    found = PROPAGATION.fit(domains).predict_proba(domains.target)
    assert accuracy(found, domains.target_labels) > 0.95


# Two tasks


@pytest.mark.parametrize("c", [0.01, 0.1])
def test_two_tasks_with_a_coupling_of_one_are_augmented_features(c: float) -> None:
    """With k = 1 the problem is that of Daumé III: columns of both, of the source alone, of the target alone."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(90, 4)).astype(np.float32)
    codes = (x[:, 0] + 0.5 * rng.normal(size=90) > 0).astype(np.int64) + (x[:, 1] > 0.7)
    source, target = x[:60], x[60:]
    nought = np.zeros_like
    rows = np.vstack([np.hstack([source, source, nought(source)]), np.hstack([target, nought(target), target])])
    sides = np.repeat(
        [[1e3, 1.0, 0.0], [1e3, 0.0, 1.0]], [60, 30], axis=0
    )  # intercepts; the common one is all but free
    plain = LogisticRegression(C=c, fit_intercept=False, solver="newton-cg", max_iter=10_000, tol=1e-8)
    plain.fit(np.hstack([rows, sides]), codes)
    expected = plain.predict_proba(np.hstack([rows[60:], sides[60:]]))
    coef, intercept = fit_both(source, codes[:60], target, codes[60:], 3, c, 1.0)
    decision = target @ coef + intercept
    found = np.exp(decision) / np.exp(decision).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=0.005)


def test_a_strong_coupling_gives_one_classifier_and_a_weak_one_the_target_s_own() -> None:
    domains, test, codes = planted_opposites()
    source, target = domains.source, domains.target[domains.seen]
    labels = domains.target_labels[domains.seen]
    right = []
    for k in (1e-3, 1e3):
        coef, intercept = fit_both(source, domains.source_labels, target, labels, 3, 0.1, k)
        right.append(float(((test @ coef + intercept).argmax(axis=1) == codes).mean()))
    assert right[0] > right[1] + 0.1
    assert MULTITASK.fit(domains).chosen["coupling"] == 0.3


def planted_opposites() -> tuple[Domains, NDArray[np.float32], NDArray[np.int64]]:
    """Return a source whose labels mean other classes than the target's, which has labels."""
    domains, test, codes = two_domains(shown=40, shift=0.0, stretch=1.0)
    return changed(domains, source_labels=(domains.source_labels + 1) % 3), test, codes


# The adversary


def test_an_adversarial_head_is_the_same_by_seed_and_leaves_torch_s_random_numbers_alone() -> None:
    import torch

    domains, test, codes = two_domains(n_source=90, n_target=60)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = DANN.fit(domains).predict_proba(test)
    np.testing.assert_array_equal(torch.rand(3).numpy(), expected.numpy())
    np.testing.assert_array_equal(DANN.fit(changed(domains)).predict_proba(test), first)
    assert (DANN.fit(changed(domains, seed=1)).predict_proba(test) != first).any()
    assert accuracy(first, codes) > 0.6


@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0])
def test_gradients_are_reversed(scale: float) -> None:
    import torch

    from stackbone.stack.transfer.adversarial.training import reverse_gradient

    x = torch.tensor([1.0, -2.0], requires_grad=True)
    y = reverse_gradient(x, scale)
    np.testing.assert_array_equal(y.detach().numpy(), [1, -2])
    (slope,) = torch.autograd.grad((y * torch.tensor([3.0, 4.0])).sum(), x)
    np.testing.assert_allclose(slope.numpy(), [-3 * scale, -4 * scale])


def test_an_adversary_helps_where_a_column_tells_the_domains() -> None:
    domains, test, codes = two_domains(shift=6.0, n_source=480, n_target=480)
    alone = accuracy(METHODS["source-only"].fit(domains).predict_proba(test), codes)
    assert accuracy(DANN.fit(domains).predict_proba(test), codes) > alone


def test_methods_load_torch_only_where_the_adversary_is_trained() -> None:
    code = (
        "import sys; from stackbone.stack.transfer.registry import METHODS; list(METHODS.our_names); "
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
