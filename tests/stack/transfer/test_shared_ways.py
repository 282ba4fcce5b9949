"""What methods share, search in fewer columns or solve at once gives what the plain way gives."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from stackbone.stack.learners.searching.regression_search import choose_c, regression_path
from stackbone.stack.solvers.linear import LinearMap
from stackbone.stack.transfer.classifier import STRENGTHS, choose_strength, fit_classifier, inner_folds
from stackbone.stack.transfer.estimates.density import importance
from stackbone.stack.transfer.estimates.leading import leading_directions, leading_rows
from stackbone.stack.transfer.estimates.moments import DomainMap, MappedRows, column_moments, standardise
from stackbone.stack.transfer.estimates.pseudo_labels import surest
from stackbone.stack.transfer.estimates.search import search_strength
from stackbone.stack.transfer.estimates.validation import fit_pooled, fit_validated, labelled, labelled_rows
from stackbone.stack.transfer.memo import Memo
from stackbone.stack.transfer.method import HIDDEN, Codes, Domains
from stackbone.stack.transfer.methods.feature.coral import METHOD as CORAL
from stackbone.stack.transfer.methods.feature.coral import correlate
from stackbone.stack.transfer.methods.feature.tca import METHOD as TCA
from stackbone.stack.transfer.methods.feature.tca import components
from stackbone.stack.transfer.methods.instance.importance import METHOD as IMPORTANCE
from stackbone.stack.transfer.methods.instance.importance import POWERS
from stackbone.stack.transfer.methods.instance.tradaboost import METHOD as TRADABOOST
from stackbone.stack.transfer.methods.instance.tradaboost import ROUNDS
from stackbone.stack.transfer.methods.model.pace import METHOD as PACE
from stackbone.stack.transfer.methods.model.pace import SHARE
from stackbone.stack.transfer.methods.multitask.shared_map import METHOD as MULTITASK
from stackbone.stack.transfer.methods.multitask.shared_map import fit_both
from stackbone.stack.transfer.registry import METHODS
from tests.made.domains import changed, two_domains

pytestmark = pytest.mark.usefixtures("one_blas_thread", "one_torch_thread")


def wide(domains: Domains, dim: int = 300) -> Domains:
    """Return the same domains seen in many columns, with a little noise in each."""
    rng = np.random.default_rng(1)
    mixed = rng.normal(size=(domains.source.shape[1], dim)) / np.sqrt(dim)

    def widen(x: np.ndarray) -> np.ndarray:
        seen: np.ndarray = (x @ mixed + 0.05 * rng.normal(size=(len(x), dim))).astype(np.float32)
        return seen

    return changed(domains, source=widen(domains.source), target=widen(domains.target))


@pytest.mark.parametrize("n", [2, 40, 90])
def test_no_direction_of_few_rows_is_lost(n: int) -> None:
    x = np.random.default_rng(0).normal(3.0, 2.0, size=(n, 200)).astype(np.float32)
    rows = leading_rows(x, most=100)
    assert rows.shape == (n, n)
    z = standardise(x, *_standards(x))
    np.testing.assert_allclose(rows @ rows.T, z @ z.T, atol=2e-3)


@pytest.mark.parametrize("dim", [1, 12, 99])
def test_few_columns_are_standardised_and_stay(dim: int) -> None:
    x = np.random.default_rng(0).normal(size=(80, dim)).astype(np.float32)
    np.testing.assert_array_equal(leading_rows(x, most=50), standardise(x, *_standards(x)))


def _standards(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from stackbone.stack.solvers.scales import MODERATION, moderated_scales

    mean, variance = column_moments(x)
    return mean, moderated_scales(variance[None], len(x), MODERATION)[0]


@pytest.mark.parametrize("most", [5, 20, 60])
def test_directions_hold_what_differs_most(most: int) -> None:
    rng = np.random.default_rng(0)
    sizes = 0.8 ** np.arange(200)
    z = (rng.normal(size=(500, 200)) * sizes) @ np.linalg.qr(rng.normal(size=(200, 200)))[0]
    directions = leading_directions((z - z.mean(axis=0)).astype(np.float32), most)
    assert directions is not None
    np.testing.assert_allclose(directions.T @ directions, np.eye(most), atol=1e-5)
    held = np.square(z @ directions).sum() / np.square(z).sum()
    assert held > 0.9 * np.square(np.linalg.svd(z, compute_uv=False)[:most]).sum() / np.square(z).sum()


@pytest.mark.parametrize("apart", [1.0, 2.0, 3.0])
def test_leading_directions_choose_the_strength_that_all_columns_choose(apart: float) -> None:
    domains = wide(two_domains(apart=apart)[0])
    x, codes = domains.source, domains.source_labels
    folds = inner_folds(codes, 0)
    assert folds is not None

    def log_loss(said: np.ndarray, rows: Codes) -> float:
        return -float(log_softmax(said.astype(np.float64), axis=1)[np.arange(len(rows)), codes[rows]].mean())

    found, said = search_strength(leading_rows(x, most=50), codes, folds, STRENGTHS, log_loss, standardise=False)
    expected, exact = choose_c(x, codes, 3, folds, STRENGTHS)
    everything = np.arange(len(codes))
    assert found == expected == choose_strength(x, codes, seed=0)["C"]
    assert log_loss(said, everything) == pytest.approx(log_loss(exact, everything), rel=0.05)


@pytest.mark.parametrize("shown", [0, 4])
@pytest.mark.parametrize("shift", [0.0, 1.5])
def test_importance_is_the_best_of_all_powers_fitted_one_by_one(shown: int, shift: float) -> None:
    domains, test, _ = two_domains(shown=shown, shift=shift)
    x, seen, tried = labelled_rows(domains), np.ones(len(domains.seen)), [fit_pooled(domains)]
    for power in POWERS:
        raised = importance(domains) ** power
        tried.append(fit_validated(x, domains, weights=np.concatenate([raised / raised.mean(), seen])))
    best = min(tried, key=lambda each: each.loss)
    fitted = IMPORTANCE.fit(changed(domains))
    assert fitted.chosen["power"] == (0.0, *POWERS)[tried.index(best)]
    np.testing.assert_allclose(fitted.predict_proba(test), best.fitted.predict_proba(test), atol=1e-6)


def test_the_strength_of_what_is_pooled_is_searched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    searched = []

    def search(*args: Any, **options: Any) -> Any:  # noqa: ANN401
        searched.append(args)
        return search_strength(*args, **options)

    monkeypatch.setattr("stackbone.stack.transfer.estimates.validation.search_strength", search)
    domains = changed(two_domains(shown=3)[0])
    for method in (TRADABOOST, IMPORTANCE, MULTITASK):
        method.fit(domains)
    assert len(searched) == 1 + len(POWERS)


def test_settings_share_what_needs_no_target_label_and_nothing_else() -> None:
    domains, test, _ = two_domains(shown=4)
    of_images = Memo(2)
    hidden = np.full_like(domains.target_labels, HIDDEN)
    for labels in (domains.target_labels, hidden):
        for method in METHODS.values():
            given = replace(changed(domains, target_labels=labels), image_memo=of_images)
            if method.by_default and method.fits(given) is None:
                alone = method.fit(changed(domains, target_labels=labels)).predict_proba(test)
                np.testing.assert_array_equal(method.fit(given).predict_proba(test), alone, method.name)


def test_settings_share_the_components_of_both_domains(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def watch(kernel: np.ndarray, *others: Any) -> np.ndarray:  # noqa: ANN401
        made.append(len(kernel))
        return components(kernel, *others)

    monkeypatch.setattr("stackbone.stack.transfer.methods.feature.tca.components", watch)
    domains, test, _ = two_domains(shown=4)
    hidden = np.full_like(domains.target_labels, HIDDEN)
    shared = Memo(2)
    for labels in (domains.target_labels, hidden):
        each = changed(domains, target_labels=labels)
        alone = TCA.fit(replace(each, image_memo=Memo())).predict_proba(test)
        made.clear()
        np.testing.assert_array_equal(TCA.fit(replace(each, image_memo=shared)).predict_proba(test), alone)
        assert len(made) == (labels is not hidden), "for the second setting they are there"


def test_what_settings_share_is_let_go_when_the_last_has_left() -> None:
    made: list[int] = []
    memo = Memo(2)

    def make() -> int:
        made.append(1)
        return len(made)

    assert [memo.get("a", make), memo.get("a", make)] == [1, 1]
    memo.leave()
    assert memo.get("a", make) == 1
    memo.leave()
    assert memo.get("a", make) == 2


@pytest.mark.parametrize("taken", [slice(None), slice(3, 50), 7, np.array([9, 2, 2])])
def test_rows_are_mapped_piece_by_piece_as_whole(taken: slice | int | np.ndarray) -> None:
    x = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)
    way = DomainMap(np.arange(5.0), np.array([1, 2, 3, 4, np.inf]), np.random.default_rng(1).normal(size=(5, 3)))
    rows = MappedRows(x, way)
    assert rows.shape == (60, 3)
    np.testing.assert_allclose(rows[taken], way.apply(x)[taken], rtol=1e-6)
    np.testing.assert_allclose(rows.take(np.array([4, 1]))[:], way.apply(x)[[4, 1]], rtol=1e-6)


@pytest.mark.parametrize("shown", [0, 3, 10])
def test_pace_goes_on_from_coral(shown: int) -> None:
    domains, test, _ = two_domains(shown=shown)
    aligned = correlate(domains)
    start = fit_validated(aligned.labelled(domains), domains)
    hidden = aligned.target.apply(domains.target[domains.target_labels == HIDDEN])
    rows, guesses = surest(start.fitted.predict_proba(hidden), SHARE)
    plain = fit_classifier(
        np.concatenate([aligned.labelled(domains), hidden[rows]]),
        np.concatenate([labelled(domains).codes, guesses]),
        3,
        seed=0,
        c=start.strength,
    )
    shared = changed(domains)
    CORAL.fit(shared)
    for each in (shared, changed(domains)):
        found = PACE.fit(each).predict_proba(test)
        np.testing.assert_allclose(found, plain.predict_proba(aligned.target.apply(test)), atol=1e-4)


@pytest.mark.parametrize("shown", [3, 10, 40])
def test_boosting_votes_as_rounds_fitted_one_by_one_do(shown: int) -> None:
    domains, test, _ = two_domains(shown=shown)
    known, x, start = labelled(domains), labelled_rows(domains), fit_pooled(domains)
    assert known.folds is not None
    target = np.arange(len(x)) >= known.n_source
    down, weights = 1 / (1 + np.sqrt(2 * np.log(known.n_source) / ROUNDS)), np.ones(len(x))
    kept: list[tuple[LinearMap, float]] = []
    for _ in range(ROUNDS):
        subsets = [*(fold.train for fold in known.folds), np.arange(len(x))]
        counts = np.maximum(weights / weights.mean(), 1e-6)
        *inner, whole = regression_path(x, known.codes, 3, subsets, weights=counts).solve(start.strength)
        wrong = np.zeros(len(x), np.bool_)
        for fold, linear in zip(known.folds, inner, strict=True):
            wrong[fold.test] = linear.decide(x[fold.test]).argmax(axis=1) != known.codes[fold.test]
        error = max(float(weights[target] @ wrong[target] / weights[target].sum()), 1 / (2 * target.sum() + 2))
        if error >= 0.5 and kept:
            break
        up = min(error, 0.499) / (1 - min(error, 0.499))
        kept.append((whole, -np.log(up)))
        weights = weights * np.where(target, up ** -wrong.astype(float), down ** wrong.astype(float))
    half = kept[len(kept) // 2 :]
    said = sum(vote * np.exp(log_softmax(linear.decide(test).astype(float), axis=1)) for linear, vote in half)
    found = TRADABOOST.fit(domains)
    assert found.chosen["rounds"] == len(kept)
    np.testing.assert_allclose(found.predict_proba(test), said / sum(vote for _, vote in half), atol=0.01)


@pytest.mark.parametrize("k", [0.3, 3.0, 30.0])
def test_two_classifiers_with_a_map_in_common_minimise_what_they_say(k: float) -> None:
    """The objective of the module, over W, both V and the intercepts, by scipy."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(90, 4)).astype(np.float32)
    codes = (x[:, 0] + 0.5 * rng.normal(size=90) > 0).astype(np.int64) + (x[:, 1] > 0.7)
    rows = np.column_stack([x, np.ones(90)])
    target = np.arange(90) >= 60

    def objective(flat: np.ndarray) -> float:
        common, *own = flat.reshape(3, 5, 3)
        said = np.where(target[:, None], rows @ (common + own[1]), rows @ (common + own[0]))
        loss = -log_softmax(said, axis=1)[np.arange(90), codes].sum()
        # The mean of the intercepts is free: they are not penalised for what they share.
        free = (own[0][-1] + own[1][-1]) / 2
        between = np.square(own[0][-1] - free).sum() + np.square(own[1][-1] - free).sum()
        shared = np.square(common[:-1]).sum() + k * sum(np.square(each[:-1]).sum() for each in own)
        return float(0.1 * loss + (shared + k * between) / 2)

    found = minimize(objective, np.zeros(45), method="L-BFGS-B", options={"maxfun": 10**6, "ftol": 1e-12})
    common, _, own = found.x.reshape(3, 5, 3)
    coef, intercept = fit_both(x[:60], codes[:60], x[60:], codes[60:], 3, 0.1, k)
    expected = softmax(rows @ (common + own), axis=1)
    np.testing.assert_allclose(softmax(x @ coef + intercept, axis=1), expected, atol=0.005)


@pytest.mark.parametrize("side_by_side", [1, 2, 3])
def test_a_head_is_the_same_on_any_number_of_threads_which_is_put_back(side_by_side: int) -> None:
    import torch

    from stackbone.stack.transfer.adversarial.training import train

    rng = np.random.default_rng(0)
    rows, codes, domain = rng.normal(size=(60, 300)).astype(np.float32), np.arange(60) % 3, np.arange(60) % 2

    def hidden(_: int) -> np.ndarray:
        return train(rows, codes, rows, domain, 3, 0, epochs=2).hidden

    alone = hidden(0)
    torch.set_num_threads(side_by_side)
    with ThreadPoolExecutor(side_by_side) as pool:
        for each in pool.map(hidden, range(2 * side_by_side)):
            np.testing.assert_array_equal(each, alone)
    assert torch.get_num_threads() == side_by_side
