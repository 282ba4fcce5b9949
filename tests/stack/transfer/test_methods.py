"""Every transfer method: what it promises, by seed, on two cameras, and on domains that are odd."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from stackbone.stack.transfer.estimates.validation import labelled
from stackbone.stack.transfer.method import FAMILIES, HIDDEN, Domains, LinearFitted
from stackbone.stack.transfer.registry import METHODS
from tests.made.domains import accuracy, changed, two_domains

pytestmark = pytest.mark.usefixtures("one_blas_thread", "one_torch_thread")

NAMES = tuple(METHODS.our_names)
OURS = tuple(name for name in NAMES if METHODS[name].family != "baseline")


def fit(name: str, domains: Domains, features: np.ndarray) -> np.ndarray:
    method = METHODS[name]
    assert method.fits(domains) is None
    found = method.fit(domains).predict_proba(features)
    assert found.shape == (len(features), domains.n_classes)
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
    return found


def test_every_family_has_a_method() -> None:
    assert {METHODS[name].family for name in NAMES} == set(FAMILIES)
    assert len(OURS) == 15


@pytest.mark.parametrize("name", NAMES)
def test_a_method_names_its_paper_and_says_what_it_is(name: str) -> None:
    method = METHODS[name]
    assert method.what
    assert method.family == "baseline" or any(year in method.source for year in map(str, range(2000, 2027)))


@pytest.mark.parametrize("shown", [0, 4, 60])
@pytest.mark.parametrize("name", OURS)
def test_a_method_serves_a_target_of_another_camera(name: str, shown: int) -> None:
    """Well above chance in every setting that it is for, and the same again by the same seed."""
    domains, test, codes = two_domains(shown=shown)
    why = METHODS[name].fits(domains)
    if why is not None:
        assert (shown == 0 and "labels" in why) or (shown == 60 and "hidden labels" in why)
        return
    found = fit(name, domains, test)
    assert accuracy(found, codes) > 0.6
    again = two_domains(shown=shown)[0]
    np.testing.assert_array_equal(METHODS[name].fit(again).predict_proba(test), found)


@pytest.mark.parametrize(
    "name", ["standardise", "coral", "linear-ot", "subspace", "pace", "prototypes", "label-propagation"]
)
def test_alignment_beats_the_source_alone_where_columns_are_moved(name: str) -> None:
    domains, test, codes = two_domains(shift=6.0)
    alone = accuracy(fit("source-only", domains, test), codes)
    assert accuracy(fit(name, domains, test), codes) > alone + 0.1


def _wide(domains: Domains) -> Domains:
    rng = np.random.default_rng(0)
    extra = rng.normal(size=(30 + 24, 200)).astype(np.float32)
    return changed(
        domains,
        source=np.hstack([domains.source[:30], extra[:30]]),
        source_labels=domains.source_labels[:30],
        target=np.hstack([domains.target[:24], extra[30:]]),
        target_labels=domains.target_labels[:24],
    )


def _class_of_one(domains: Domains) -> Domains:
    keep = np.r_[0, np.flatnonzero(domains.source_labels != 0)]
    return changed(domains, source=domains.source[keep], source_labels=domains.source_labels[keep])


def _constant_columns(domains: Domains) -> Domains:
    source, target = domains.source.copy(), domains.target.copy()
    source[:, 0], target[:, 0], source[:, 1], target[:, 2] = 1, 1, 3, 5
    return changed(domains, source=source, target=target)


def _target_labels_of_one_class(domains: Domains) -> Domains:
    return changed(domains, target_labels=np.where(domains.target_labels == 1, 1, HIDDEN))


def _tiny(domains: Domains) -> Domains:
    return changed(
        domains,
        source=domains.source[:3],
        source_labels=domains.source_labels[:3],
        target=domains.target[:2],
        target_labels=domains.target_labels[:2],
    )


def _one_image(domains: Domains) -> Domains:
    return changed(domains, target=domains.target[:1], target_labels=domains.target_labels[:1])


def _all_alike(domains: Domains) -> Domains:
    return changed(domains, source=np.ones_like(domains.source), target=np.ones_like(domains.target))


def _target_all_alike(domains: Domains) -> Domains:
    return changed(domains, target=np.ones_like(domains.target))


def _far_out(domains: Domains) -> Domains:
    return changed(domains, source=domains.source * 1e6, target=domains.target * 1e-6 + 1e4)


def _source_of_two_classes(domains: Domains) -> Domains:
    keep = domains.source_labels != 2
    return changed(domains, source=domains.source[keep], source_labels=domains.source_labels[keep])


ODD: tuple[Callable[[Domains], Domains], ...] = (
    _wide,
    _class_of_one,
    _constant_columns,
    _target_labels_of_one_class,
    _tiny,
    _one_image,
    _all_alike,
    _target_all_alike,
    _far_out,
    _source_of_two_classes,
)


@pytest.mark.parametrize("shown", [0, 2])
@pytest.mark.parametrize("odd", ODD, ids=lambda each: each.__name__[1:])
@pytest.mark.parametrize("name", OURS)
def test_odd_domains_end_in_an_answer_or_a_refusal(
    name: str, odd: Callable[[Domains], Domains], shown: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stackbone.stack.transfer.adversarial import training

    monkeypatch.setattr(training.train, "__kwdefaults__", {"epochs": 2})
    whole, test, _ = two_domains(n_source=60, n_target=45, n_test=20, shown=shown)
    domains = odd(whole)
    why = METHODS[name].fits(domains)
    if why is not None:
        assert why.startswith("needs")
        return
    fit(name, domains, np.resize(test, (20, domains.source.shape[1])))


@pytest.mark.parametrize("name", OURS)
def test_a_linear_map_says_what_the_classifier_says(name: str) -> None:
    domains, test, _ = two_domains(shown=5)
    fitted = METHODS[name].fit(domains)
    if fitted.linear_map is not None:
        again = LinearFitted(fitted.linear_map, {}).predict_proba(test)
        np.testing.assert_allclose(again, fitted.predict_proba(test), atol=1e-6)
    assert (fitted.linear_map is not None) == METHODS[name].is_linear


@pytest.mark.parametrize("name", OURS)
def test_inputs_stay_as_they_were(name: str) -> None:
    domains, _, _ = two_domains(shown=3, n_source=60, n_target=45)
    arrays = (domains.source, domains.target, domains.source_labels, domains.target_labels)
    before = [each.copy() for each in arrays]
    METHODS[name].fit(domains)
    for each, kept in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(each, kept)


def test_what_cannot_be_saved_says_so_before_it_is_fitted() -> None:
    assert {name for name in OURS if not METHODS[name].is_linear} == {
        *("tca", "tradaboost", "prototypes", "label-propagation", "dann")
    }


def test_inner_folds_keep_groups_together() -> None:
    whole, _, _ = two_domains(shown=6, n_source=60, n_target=45)
    domains = Domains(
        whole.source,
        whole.source_labels,
        whole.target,
        whole.target_labels,
        whole.n_classes,
        0,
        source_groups=np.arange(60) // 6,
        target_groups=np.arange(45) // 5,  # all of them are groups of the source too
    )
    known = labelled(domains)
    assert known.groups is not None
    assert known.folds is not None
    assert len(known.folds) == 3
    for fold in known.folds:
        assert not set(known.groups[fold.train]) & set(known.groups[fold.test])


@pytest.mark.parametrize("name", OURS)
def test_a_method_serves_images_in_groups(name: str) -> None:
    whole, test, _ = two_domains(shown=6, n_source=60, n_target=45)
    domains = Domains(
        whole.source,
        whole.source_labels,
        whole.target,
        whole.target_labels,
        whole.n_classes,
        0,
        source_groups=np.arange(60) // 6,
        target_groups=10 + np.arange(45) // 5,
    )
    if METHODS[name].fits(domains) is None:
        fit(name, domains, test)
