"""Weights of source images against known densities, a quadratic programme, and a plain loop."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from scipy.optimize import minimize

from stackbone.stack.transfer.classifier import inner_folds
from stackbone.stack.transfer.estimates.density import DomainOdds, domain_odds, effective_number, importance
from stackbone.stack.transfer.estimates.kernels import gaussian
from stackbone.stack.transfer.estimates.validation import labelled, lacking
from stackbone.stack.transfer.method import HIDDEN, Domains
from stackbone.stack.transfer.methods.instance.importance import METHOD as IMPORTANCE
from stackbone.stack.transfer.methods.instance.kmm import BOUND, kmm_weights, match_means
from stackbone.stack.transfer.methods.instance.tradaboost import METHOD as TRADABOOST
from stackbone.stack.transfer.registry import METHODS
from tests.made.domains import accuracy, changed, two_domains

pytestmark = pytest.mark.usefixtures("one_blas_thread")


def covariate_shift(n: int = 1500) -> tuple[Domains, np.ndarray, np.ndarray]:
    """Return one column whose density is N(0, 1) in the source and N(1, 1) in the target: the odds are x - 1/2."""
    rng = np.random.default_rng(0)
    source, target, test = rng.normal(size=(n, 1)), rng.normal(1, 1, size=(n, 1)), rng.normal(1, 1, size=(n, 1))
    codes = [(np.abs(each[:, 0] - 0.5) > 1).astype(np.int64) for each in (source, test)]
    domains = Domains(source.astype(np.float32), codes[0], target.astype(np.float32), np.full(n, HIDDEN), 2, 0)
    return domains, test.astype(np.float32), codes[1]


# Ratios of densities


def test_domain_odds_are_those_of_the_densities() -> None:
    domains, _, _ = covariate_shift()
    odds = domain_odds(domains)
    expected = domains.source[:, 0] - 0.5
    assert np.abs(odds.source - expected).mean() < 0.15
    assert odds.target.mean() > 0.3 > -0.3 > odds.source.mean()


@pytest.mark.parametrize("ratio", [1, 3, 9])
def test_domain_odds_do_not_depend_on_how_many_images_each_domain_has(ratio: int) -> None:
    domains, _, _ = covariate_shift()
    fewer = changed(domains, target=domains.target[::ratio], target_labels=domains.target_labels[::ratio])
    assert domain_odds(fewer).source.mean() == pytest.approx(-0.5, abs=0.2)


def test_importance_is_the_relative_ratio_of_mean_one() -> None:
    domains, _, _ = covariate_shift()
    weights = importance(domains)
    ratio = np.exp(domain_odds(domains).source)
    relative = ratio / (0.1 * ratio + 0.9)
    np.testing.assert_allclose(weights, relative / relative.mean(), rtol=1e-6)
    assert weights.mean() == pytest.approx(1)
    assert (weights > 0).all()


def test_domains_that_nobody_could_mistake_give_finite_weights() -> None:
    domains, _, _ = two_domains(shift=500.0)
    weights = importance(domains)
    assert np.isfinite(weights).all()
    assert (weights > 0).all()
    assert weights.max() <= 10.1


@pytest.mark.parametrize(("mean", "spread"), [(-4.0, 2.0), (-12.0, 4.0), (-20.0, 5.0)])
def test_no_source_image_counts_for_more_than_ten(mean: float, spread: float) -> None:
    odds = np.random.default_rng(0).normal(mean, spread, 4000)
    domains, _, _ = two_domains(n_source=4000)
    domains.once_of_images("domain odds", lambda: DomainOdds(odds, np.zeros(180)))
    weights = importance(domains)
    assert weights.max() == pytest.approx(10, rel=1e-3)
    assert weights.mean() == pytest.approx(1)
    assert effective_number(weights) > 400
    order = np.argsort(odds)
    assert (np.diff(weights[order]) >= 0).all()


def test_the_effective_number_is_that_of_equal_weights() -> None:
    assert effective_number(np.ones(7)) == 7
    assert effective_number(np.array([1.0, 0, 0, 0])) == 1
    assert effective_number(3 * np.array([1.0, 1, 0, 0])) == 2


def test_validation_counts_source_images_for_their_effective_number() -> None:
    domains, _, _ = two_domains(shown=5)
    known = labelled(domains)
    weights = importance(domains)
    assert known.n_source == 240
    assert known.worth[:240].sum() == pytest.approx(effective_number(weights))
    np.testing.assert_array_equal(known.worth[240:], np.ones(15))
    np.testing.assert_allclose(known.worth[:240] / known.worth[0], weights / weights[0])


@pytest.mark.parametrize("codes", [[0, 0, 0, 1], [0, 1], [0]])
def test_rows_that_allow_no_fold_have_none(codes: list[int]) -> None:
    assert inner_folds(np.array(codes), 0, None) is None


# Methods


def test_importance_weighs_down_what_the_target_does_not_have() -> None:
    domains, test, codes = covariate_shift()
    fitted = IMPORTANCE.fit(domains)
    assert float(fitted.chosen["power"]) > 0
    assert float(fitted.chosen["effective images"]) < 1400
    plain = METHODS["source-only"].fit(domains)
    assert accuracy(fitted.predict_proba(test), codes) > accuracy(plain.predict_proba(test), codes) + 0.02


@pytest.mark.parametrize("bound", [1.5, 4.0, 100.0])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_kernel_mean_matching_solves_its_quadratic_programme(bound: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    source, target = rng.normal(size=(25, 2)).astype(np.float32), rng.normal(0.8, 0.7, size=(30, 2)).astype(np.float32)
    kernel = gaussian(source, source, 0.5)
    similarity = gaussian(source, target, 0.5).astype(np.float64).mean(axis=1) * 25
    dense = kernel.astype(np.float64)

    def objective(weights: np.ndarray) -> float:
        return float(0.5 * weights @ dense @ weights - similarity @ weights)

    slack = 25 - np.sqrt(25)
    best = minimize(
        objective,
        np.ones(25),
        jac=lambda weights: dense @ weights - similarity,
        bounds=[(0, bound)] * 25,
        constraints=[
            {"type": "ineq", "fun": lambda w: 25 + slack - w.sum()},
            {"type": "ineq", "fun": lambda w: w.sum() - 25 + slack},
        ],
        method="SLSQP",
        options={"maxiter": 500, "ftol": 1e-12},
    )
    found = match_means(kernel, similarity, bound)
    assert found.min() >= 0
    assert found.max() <= bound + 1e-9
    assert abs(found.sum() - 25) <= slack + 1e-6
    assert objective(found) <= best.fun + 1e-4 * abs(best.fun)


def test_kernel_mean_matching_follows_the_target_s_density() -> None:
    domains, _, _ = covariate_shift(500)
    weights = kmm_weights(domains)
    assert 0 <= weights.min() <= weights.max() <= BOUND
    assert np.corrcoef(weights, domains.source[:, 0])[0, 1] > 0.5
    moved = np.average(domains.source[:, 0], weights=weights)
    assert abs(moved - domains.target.mean()) < 0.3


def test_parts_of_a_large_source_are_matched_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    from stackbone.stack.transfer.methods.instance import kmm

    domains, _, _ = covariate_shift(600)
    whole = kmm_weights(domains)
    monkeypatch.setattr(kmm, "MOST_IMAGES", 300)
    in_parts = kmm_weights(changed(domains))
    assert len(in_parts) == 600
    assert np.corrcoef(whole, in_parts)[0, 1] > 0.8


def test_skada_s_kernel_mean_matching_has_no_lower_objective(skada: ModuleType) -> None:
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(60, 2)), rng.normal(0.8, 0.7, size=(50, 2))
    adapter = skada.KMMReweightAdapter(gamma=0.5, B=10.0, max_iter=1000)
    sides = np.r_[np.ones(60), -np.ones(50)]
    adapter.fit(np.vstack([source, target]), sample_domain=sides)
    theirs = np.asarray(adapter.source_weights_).ravel()
    a, b = source.astype(np.float32), target.astype(np.float32)
    kernel = gaussian(a, a, 0.5)
    similarity = gaussian(a, b, 0.5).astype(np.float64).mean(axis=1) * 60
    ours = match_means(kernel, similarity, 10.0)

    def objective(weights: np.ndarray) -> float:
        return float(0.5 * weights @ kernel.astype(np.float64) @ weights - similarity @ weights)

    assert objective(ours) <= objective(theirs) + 1e-3
    assert objective(ours) == pytest.approx(objective(theirs), rel=1e-3)  # its solver stops earlier


def planted_lies() -> tuple[Domains, np.ndarray, np.ndarray]:
    """Return a source half of whose labels are wrong, and a target with labels."""
    domains, test, codes = two_domains(shown=25, shift=0.0, stretch=1.0)
    labels = domains.source_labels.copy()
    labels[::2] = (labels[::2] + 1) % 3
    return changed(domains, source_labels=labels), test, codes


def test_boosting_for_transfer_unlearns_what_the_target_speaks_against() -> None:
    domains, test, codes = planted_lies()
    pooled = accuracy(METHODS["pooled"].fit(domains).predict_proba(test), codes)
    fitted = TRADABOOST.fit(domains)
    assert accuracy(fitted.predict_proba(test), codes) > pooled + 0.03
    assert fitted.linear_map is None


def test_boosting_for_transfer_says_what_it_lacks() -> None:
    assert TRADABOOST.fits(two_domains(shown=0)[0]) == "needs labels of target images"
    assert TRADABOOST.fits(two_domains(shown=5)[0]) is None


@pytest.mark.parametrize(
    ("shown", "asked", "said"),
    [
        (0, {"target_labels": True}, "needs labels of target images"),
        (60, {"hidden": True}, "needs hidden labels to guess, and every target label is shown"),
        (0, {"images": 500}, "needs 500 images of each domain, and one has 180"),
        (2, {"target_labels": True, "hidden": True}, None),
    ],
)
def test_what_domains_lack_is_said(shown: int, asked: dict[str, bool], said: str | None) -> None:
    assert lacking(two_domains(shown=shown)[0], **asked) == said
