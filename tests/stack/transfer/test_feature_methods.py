"""Feature methods against plain formulas, and against skada and POT where these are installed."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.linalg import eigh, sqrtm
from sklearn.decomposition import PCA

from stackbone.stack.transfer.estimates.alignment import Alignment
from stackbone.stack.transfer.estimates.kernels import gaussian, median_gamma, squared_distances
from stackbone.stack.transfer.estimates.moments import DomainMap, Spectrum, moments, standardise
from stackbone.stack.transfer.estimates.validation import BY_BOTH, BY_IMPORTANCE, fit_validated
from stackbone.stack.transfer.methods.feature.coral import METHOD as CORAL
from stackbone.stack.transfer.methods.feature.coral import coral_map, correlate
from stackbone.stack.transfer.methods.feature.linear_ot import METHOD as LINEAR_OT
from stackbone.stack.transfer.methods.feature.linear_ot import MongeMaps
from stackbone.stack.transfer.methods.feature.standardising import METHOD as STANDARDISE
from stackbone.stack.transfer.methods.feature.subspace import METHOD as SUBSPACE
from stackbone.stack.transfer.methods.feature.tca import components
from tests.made.domains import two_domains

pytestmark = pytest.mark.usefixtures("one_blas_thread")

Floats = NDArray[np.float32]


def centred(n: int, dim: int, seed: int) -> Floats:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, dim)) @ rng.normal(size=(dim, dim))
    rows: Floats = (x - x.mean(axis=0)).astype(np.float32)
    return rows


def covariance(z: Floats) -> NDArray[np.float64]:
    return np.cov(z.astype(np.float64).T, bias=True)


# The covariances


@pytest.mark.parametrize(("n", "dim"), [(200, 8), (8, 20), (20, 20)])
@pytest.mark.parametrize("exponent", [-0.5, 0.5, 1.0])
def test_powers_of_a_covariance_are_those_of_the_whole_matrix(n: int, dim: int, exponent: float) -> None:
    z = centred(n, dim, 0)
    values, vectors = np.linalg.eigh(covariance(z) + 0.3 * np.eye(dim))
    expected = (vectors * values**exponent) @ vectors.T
    np.testing.assert_allclose(Spectrum.of(z).power(exponent, 0.3), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("n", "dim"), [(200, 8), (30, 60)])
def test_coral_gives_the_source_the_target_s_covariance(n: int, dim: int) -> None:
    z, t = centred(n, dim, 0), centred(n + 10, dim, 1)
    turned = coral_map(Spectrum.of(z), Spectrum.of(t), 1e-3)
    moved = turned.T @ (covariance(z) + 1e-3 * np.eye(dim)) @ turned
    np.testing.assert_allclose(moved, covariance(t) + 1e-3 * np.eye(dim), rtol=1e-3, atol=1e-3)


def test_coral_s_map_is_the_paper_s_formula() -> None:
    z, t = centred(100, 6, 0), centred(80, 6, 1)
    expected = np.linalg.inv(sqrtm(covariance(z) + np.eye(6))) @ sqrtm(covariance(t) + np.eye(6))
    np.testing.assert_allclose(coral_map(Spectrum.of(z), Spectrum.of(t), 1.0), expected.real, rtol=1e-4, atol=1e-5)


def test_the_linear_transport_gives_the_target_s_covariance_and_moves_less_than_coral() -> None:
    z, t = centred(300, 6, 0), centred(250, 6, 1)
    mapped = MongeMaps(Spectrum.of(z), Spectrum.of(t)).matrix(1e-4)
    np.testing.assert_allclose(mapped, mapped.T, atol=1e-5)
    own = covariance(z) + 1e-4 * np.eye(6)
    np.testing.assert_allclose(mapped @ own @ mapped, covariance(t) + 1e-4 * np.eye(6), rtol=1e-3, atol=1e-3)
    turned = coral_map(Spectrum.of(z), Spectrum.of(t), 1e-4)
    assert np.square(z @ mapped - z).sum() < np.square(z @ turned - z).sum()


@pytest.mark.parametrize(("n", "n_target", "dim"), [(60, 50, 9), (8, 50, 12), (6, 5, 20), (50, 6, 12)])
def test_the_linear_transport_is_the_formula_whichever_domain_has_fewer_images_than_columns(
    n: int, n_target: int, dim: int
) -> None:
    z, t = centred(n, dim, 0), centred(n_target, dim, 1)
    own, other = (covariance(each) + 0.5 * np.eye(dim) for each in (z, t))
    root = sqrtm(own).real
    expected = z @ (np.linalg.inv(root) @ sqrtm(root @ other @ root).real @ np.linalg.inv(root))
    moved = z @ MongeMaps(Spectrum.of(z), Spectrum.of(t)).matrix(0.5)
    np.testing.assert_allclose(moved, expected, rtol=2e-3, atol=2e-3 * float(np.abs(expected).max()))


def test_pot_finds_the_same_transport() -> None:
    ot = pytest.importorskip("ot")
    z, t = centred(300, 6, 0), centred(250, 6, 1)
    expected, _ = ot.gaussian.empirical_bures_wasserstein_mapping(z.astype(np.float64), t.astype(np.float64), reg=0.1)
    # POT divides by n - 1.
    scaled = Spectrum.of(z), Spectrum.of(t)
    z_own, t_own = (
        Spectrum(each.values * n / (n - 1), each.vectors) for each, n in zip(scaled, (300, 250), strict=True)
    )
    mapped = MongeMaps(z_own, t_own).matrix(0.1)
    np.testing.assert_allclose(mapped, expected, rtol=1e-3, atol=1e-3)


def test_skada_finds_the_same_correlation_alignment(skada: ModuleType) -> None:
    z, t = centred(300, 6, 0).astype(np.float64), centred(250, 6, 1).astype(np.float64)
    sides = np.r_[np.ones(len(z)), -np.ones(len(t))]
    moved = skada.CORALAdapter(reg=None).fit_transform(np.vstack([z, t]), sample_domain=sides)[: len(z)]
    n, m = len(z), len(t)
    ours = z @ coral_map(Spectrum.of(z.astype(np.float32)), Spectrum.of(t.astype(np.float32)), 1e-9)
    same = {bias: ours * np.sqrt(ratio) for bias, ratio in (("n", 1.0), ("n - 1", (n - 1) / n * m / (m - 1)))}
    assert min(np.abs(moved - each).max() for each in same.values()) < 1e-3 * np.abs(moved).max()


# The subspaces


def test_subspaces_are_aligned_as_in_the_paper() -> None:
    domains, _, _ = two_domains(dim=30)
    both = moments(domains)
    aligned = list(SUBSPACE.align(domains))
    assert [each.settings["directions"] for each in aligned] == [20.0, 30.0]
    z = standardise(domains.source, both.source_mean, both.scale)
    t = standardise(domains.target, both.target_mean, both.scale)
    own, other = (PCA(20).fit(each.astype(np.float64)).components_.T for each in (z, t))
    expected = (z @ own) @ (own.T @ other)
    found = aligned[0].source.apply(domains.source)
    signs = np.sign(np.einsum("nk,nk->k", expected, found))  # an eigenvector's sign is free
    np.testing.assert_allclose(found * signs, expected, atol=2e-3)
    np.testing.assert_allclose(np.abs(aligned[0].target.apply(domains.target)), np.abs(t @ other), atol=2e-3)


# Transfer components


@pytest.mark.parametrize("mu", [0.1, 1.0, 10.0])
def test_transfer_components_solve_the_paper_s_eigenproblem(mu: float) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 5)).astype(np.float32)
    kernel = gaussian(x, x, 0.2).astype(np.float64)
    e = np.r_[np.full(25, 1 / 25), np.full(15, -1 / 15)]
    centring = np.eye(40) - 1 / 40
    _, vectors = eigh(kernel @ centring @ kernel, kernel @ np.outer(e, e) @ kernel + mu * np.eye(40))
    found = components(kernel, 25, 5, mu)
    for k in range(5):
        expected = vectors[:, -1 - k]
        np.testing.assert_allclose(found[:, k] * np.sign(found[:, k] @ expected), expected, atol=1e-6)


def test_skada_finds_the_same_transfer_components(skada: ModuleType) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 5))
    sides = np.r_[np.ones(25), -np.ones(15)]
    adapter = skada.TransferComponentAnalysisAdapter(kernel="rbf", n_components=3, mu=1.0)
    theirs = adapter.fit_transform(x, sample_domain=sides)
    kernel = gaussian(x.astype(np.float32), x.astype(np.float32), 1 / 5).astype(np.float64)
    ours = kernel @ components(kernel, 25, 3, 1.0)
    # It takes the matrix, which is not symmetric, for a symmetric one: the spaces are near, and not the same.
    left, right = (np.linalg.qr(each - each.mean(axis=0))[0] for each in (theirs, ours))
    assert np.linalg.svd(left.T @ right)[1].min() > 0.9


def test_the_kernel_s_width_is_the_median_distance() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(30, 4)).astype(np.float32), rng.normal(size=(20, 4)).astype(np.float32)
    everything = np.vstack([a, b])
    squares = [np.square(x - y).sum() for i, x in enumerate(everything) for y in everything[:i]]
    assert median_gamma(a, b, 0) == pytest.approx(1 / np.median(squares), rel=1e-5)
    assert median_gamma(np.ones_like(a), np.ones_like(b), 0) == 1.0
    assert squared_distances(a, a).min() >= 0


# Standardising, and what all of them share


def test_each_domain_is_standardised_by_itself() -> None:
    domains, _, _ = two_domains(n_source=20_000, n_target=20_000, dim=3, n_test=1)
    (aligned,) = STANDARDISE.align(domains)
    for rows in (aligned.source.apply(domains.source), aligned.target.apply(domains.target)):
        np.testing.assert_allclose(rows.mean(axis=0), 0, atol=1e-4)
        np.testing.assert_allclose(rows.std(axis=0), 1, atol=2e-3)  # moderated: 50 rows of the median


@pytest.mark.parametrize("method", [CORAL, SUBSPACE, LINEAR_OT, STANDARDISE])
def test_what_is_learnt_of_aligned_images_is_told_of_cached_features(method: Alignment) -> None:
    """The composed map says of raw features what the classifier says of mapped ones."""
    domains, test, _ = two_domains(shown=3)
    fitted = method.fit(domains)
    said = []
    for aligned in method.align(domains):
        inner = fit_validated(aligned.labelled(domains), domains).fitted
        said.append(inner.predict_proba(aligned.target.apply(test)))
    close = [np.abs(each - fitted.predict_proba(test)).max() for each in said]
    assert min(close) < 1e-4


def test_the_setting_of_the_least_validated_loss_is_taken() -> None:
    domains, _, _ = two_domains(dim=40, n_classes=4)
    losses = {
        each.settings["directions"]: fit_validated(each.labelled(domains), domains).loss
        for each in SUBSPACE.align(domains)
    }
    assert SUBSPACE.fit(domains).chosen["directions"] == min(losses, key=lambda k: losses[k])


@pytest.mark.parametrize(("shown", "by"), [(0, BY_IMPORTANCE), (3, BY_BOTH)])
def test_the_criterion_is_named(shown: int, by: str) -> None:
    domains, _, _ = two_domains(shown=shown)
    assert CORAL.fit(domains).chosen["by"] == by


def test_a_target_map_without_scale_leaves_a_column_out() -> None:
    mapped = DomainMap(np.array([1.0, 2.0]), np.array([2.0, np.inf])).apply(np.array([[3, 9]], np.float32))
    np.testing.assert_array_equal(mapped, [[1, 0]])


def test_aligned_source_and_target_have_nearer_covariances() -> None:
    domains, _, _ = two_domains(n_source=2000, n_target=2000, shift=3.0)
    aligned = correlate(domains)
    both = moments(domains)
    before = covariance(standardise(domains.source, both.source_mean, both.scale))
    wanted = covariance(aligned.target.apply(domains.target))
    assert (
        np.abs(covariance(aligned.source.apply(domains.source)) - wanted).max() < 0.7 * np.abs(before - wanted).max()
    )  # the ridge of 1 stays
