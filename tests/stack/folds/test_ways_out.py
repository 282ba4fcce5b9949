"""Every piece of advice that a refused division gives works, on small made layouts."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from stackbone.cache import Digests, FeatureStore, StackError
from stackbone.stack.evaluation.evaluate import evaluate
from stackbone.stack.evaluation.options import stack_options
from stackbone.stack.experiments.run import run_experiment
from stackbone.stack.folds.class_folds import Ask, divide_and_check
from stackbone.stack.folds.class_labels import find_rare
from stackbone.stack.folds.dealing import DEALINGS, Units
from stackbone.stack.folds.folds import regression_folds, stratified_folds
from stackbone.stack.folds.groups import join_groups
from stackbone.stack.folds.ways_out import ways_for_classes, ways_for_targets
from tests.made.learners import evaluate_numbers

MakeCache = Callable[..., FeatureStore]
LAYOUTS = 60
FIXED = stack_options("classification", c=1.0)  # inner folds are still needed, and no C is chosen
Layout = tuple[NDArray[np.str_], Units, Ask]


def made_digests(n: int, seed: int) -> Digests:
    return np.random.default_rng([seed, n]).integers(256, size=(n, 32), dtype=np.uint8)


def made_layout(seed: int, dealing: str) -> Layout:
    """Return a few classes of one to six images, alone, in groups of one class, or in groups across classes."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.array(list("abcd"))[: rng.integers(2, 5)], 1)
    y = np.repeat(y, rng.integers(1, 7, len(y)))
    groups = None
    if seed % 3 == 1:
        groups = join_groups(np.char.add(y, rng.integers(0, 4, len(y)).astype(str)))
    elif seed % 3 == 2:
        groups = join_groups(rng.integers(-1, 6, len(y)))
    rare = ("refuse", "drop", "keep")[rng.integers(3)]
    units = Units(groups, made_digests(len(y), seed) if dealing == "digests" else None)
    return y, units, Ask(int(rng.integers(2, 6)), seed, int(rng.integers(1, 3)), str(rare))


def follow(y: NDArray[np.str_], units: Units, ask: Ask, advice: str) -> list[Layout]:
    """Return the layouts that the advice leads to, one for each thing that it says."""
    followed = []
    unread = advice
    for pattern in (
        r"add images until every class (?:has|is in) (\d+) (?:images|groups of images)(?: and ask for (\d+) folds)?",
    ):
        for each in re.finditer(pattern, unread):
            target, n_splits = int(each[1]), int(each[2] or ask.n_splits)
            group = np.arange(len(y)) if units.groups is None else units.groups
            names = [name for name in np.unique(y) for _ in range(max(0, target - len(np.unique(group[y == name]))))]
            grown = units.grow(len(y), len(names))
            if grown.digests is not None:
                grown.digests[len(y) :] = made_digests(len(names), 7)
            followed.append((np.append(y, names).astype(np.str_), grown, replace(ask, n_splits=n_splits)))
        unread = re.sub(pattern, "", unread)
    if found := re.search(r"ask for ([\d, or]+) folds", unread):
        followed += [(y, units, replace(ask, n_splits=int(n))) for n in re.findall(r"\d+", found[1])]
        unread = unread.replace(found[0], "")
    for words, rare in (
        ("leave these classes out (--rare drop)", "drop"),
        ("keep them in the training parts alone (--rare keep)", "keep"),
    ):
        if words in unread:
            followed.append((y, units, replace(ask, rare=rare)))
            unread = unread.replace(words, "")
    if found := re.search(r"leave out class '(\w)'", unread):
        kept = y != found[1]
        followed.append((y[kept], units.take(kept), ask))
        unread = unread.replace(found[0], "")
    assert re.fullmatch(r"[:,. ]*(or )?", unread), f"advice that no test follows: {unread!r} of {advice!r}"
    return followed


def evaluate_layout(y: NDArray[np.str_], units: Units, ask: Ask) -> None:
    """Do what a run does, on made features, from the labels on."""
    if ask.rare == "drop":
        kept = ~np.isin(y, find_rare(y, ask.n_splits, units.groups))
        y, units = y[kept], units.take(kept)
    rare: Literal["keep", "refuse"] = "keep" if ask.rare == "keep" else "refuse"
    groups, digests = units.groups, units.digests
    folds = stratified_folds(
        y,
        ask.n_splits,
        ask.seed,
        groups=groups,
        digests=digests,
        repeats=ask.repeats,
        rare=rare,
        inner_splits=ask.inner_splits,
    )
    x = np.random.default_rng(0).normal(size=(len(y), 2)).astype(np.float32)
    options = stack_options("classification", meta="mean", c=1.0, inner_splits=ask.inner_splits)
    evaluate(
        {"a": x}, y, folds, recipes=("oof",), baselines=False, options=options, groups=groups, digests=digests, n_jobs=1
    )


@pytest.mark.parametrize("dealing", DEALINGS)
def test_advice_on_made_layouts_works(dealing: str) -> None:
    counts: dict[str, int] = {}
    for seed in range(LAYOUTS):
        y, units, ask = made_layout(seed, dealing)
        try:
            divide_and_check(y, units, ask)
        except StackError:
            advice = ways_for_classes(y, units, ask)
        else:
            continue
        counts["refused"] = counts.get("refused", 0) + 1
        assert advice.startswith(": "), f"no way out of {y.tolist()} {units.groups} {ask}"
        for way in follow(y, units, ask, advice):
            divide_and_check(*way)
            if seed % 5 == 0:
                evaluate_layout(*way)
                counts["evaluated"] = counts.get("evaluated", 0) + 1
    assert counts["refused"] > LAYOUTS / 3
    assert counts["evaluated"] > LAYOUTS / 10


@pytest.mark.parametrize("inner_splits", [2, 3, 8])
def test_refused_folds_advise_what_works_with_the_inner_folds_asked_for(inner_splits: int) -> None:
    refused = 0
    for seed in range(30):
        y, units, ask = made_layout(seed, DEALINGS[0])
        ask = replace(ask, rare="refuse", inner_splits=inner_splits)
        try:
            stratified_folds(
                y,
                ask.n_splits,
                seed,
                groups=units.groups,
                digests=units.digests,
                repeats=ask.repeats,
                inner_splits=inner_splits,
            )
        except StackError as exc:
            said = str(exc)
        else:
            continue
        advice = ways_for_classes(y, units, ask)
        assert said.endswith(advice)
        for way in follow(y, units, ask, advice):
            divide_and_check(*way)
            if seed % 6 == 0:
                evaluate_layout(*way)
        refused += 1
    assert refused > 5


@pytest.mark.parametrize("sizes", [(40, 2), (40, 2, 2), (40, 3), (40, 2, 9)])
@pytest.mark.parametrize("cv", [2, 3, 5])
@pytest.mark.parametrize("rare", ["refuse", "keep"])
def test_advice_where_one_class_has_a_few_images_works(sizes: tuple[int, ...], cv: int, rare: str) -> None:
    y, n = np.repeat(list("abc")[: len(sizes)], sizes), sum(sizes)
    for units in (Units(), Units(digests=made_digests(n, 0))):
        ask = Ask(cv, rare=rare)
        try:
            divide_and_check(y, units, ask)
        except StackError:
            ways = follow(y, units, ask, ways_for_classes(y, units, ask))
            assert ways
            for way in ways:
                divide_and_check(*way)


@pytest.mark.parametrize(("cv", "advised"), [(2, 4), (3, 3)])
def test_five_groups_of_one_class_each_are_told_what_works(cv: int, advised: int) -> None:
    y, units = np.repeat(["a", "b"], [9, 6]), Units(np.repeat(np.arange(5), 3))
    with pytest.raises(StackError):
        divide_and_check(y, units, Ask(cv))
    advice = ways_for_classes(y, units, Ask(cv))
    assert advice == f": add images until every class is in {advised} groups of images"
    ((grown, own, ask),) = follow(y, units, Ask(cv), advice)
    evaluate_layout(grown, own, ask)


@pytest.mark.parametrize("n", range(1, 7))
@pytest.mark.parametrize("n_splits", [2, 3, 5])
@pytest.mark.parametrize("grouped", [False, True])
def test_advice_on_numeric_targets_works(n: int, n_splits: int, grouped: bool) -> None:  # noqa: FBT001  # a parameter
    groups = np.repeat(np.arange(n), 2) if grouped else None
    y = np.arange(float(2 * n if grouped else n))
    advice = ways_for_targets(len(y), Units(groups), Ask(n_splits))
    for each in re.finditer(r"ask for ([\d, or]+) folds(?!, or predict)", advice.split("add images")[0]):
        for k in map(int, re.findall(r"\d+", each[1])):
            folds = regression_folds(y, k, 0, groups=groups)
            evaluate_numbers({"a": np.c_[y, y**2].astype(np.float32)}, y, folds, groups=groups, n_jobs=1)
    if found := re.search(r"until there are (\d+) (?:groups of )?images(?: and ask for (\d+) folds)?", advice):
        more = np.arange(int(found[1]) - n)
        y = np.append(y, 100.0 + more)
        groups = None if groups is None else np.append(groups, n + more)
        folds = regression_folds(y, int(found[2] or n_splits), 0, groups=groups)
        evaluate_numbers({"a": np.c_[y, y**2].astype(np.float32)}, y, folds, groups=groups, n_jobs=1)
    else:
        assert "ask for" in advice


def test_run_of_a_refused_number_of_folds_works_as_advised(make_cache: MakeCache, tmp_path: Path) -> None:
    store = make_cache(tmp_path, [*"aaaaaaaa", *"bbbbbbbb", *"cc"])
    with pytest.raises(StackError, match=r"'c' \(2\).*ask for 2 folds") as caught:
        run_experiment(store, cv=3)
    with pytest.raises(StackError, match="training part of fold"):
        run_experiment(make_cache(tmp_path / "few", [*"aaabb"], groups=[*"12345"]), cv=2)
    assert "--rare drop" in str(caught.value)
    for options in ({"cv": 2}, {"rare": "drop"}, {"rare": "keep"}):
        run_experiment(store, recipes=("oof",), n_jobs=1, **options)


@pytest.mark.parametrize("seed", range(16))
def test_advice_on_splits_works(make_cache: MakeCache, tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.permutation([*"aaaaaa", *"bbbbbb", *"ccc"]).tolist()
    splits = rng.choice(["train", "validation", "test"], len(labels), p=[0.3, 0.2, 0.5]).tolist()
    groups = rng.integers(0, 9, len(labels)).astype(str).tolist() if seed % 2 else None
    content = rng.integers(0, 12, len(labels)).tolist() if seed % 4 == 0 else None
    if content is not None:  # copies have one label
        labels = [labels[content.index(each)] for each in content]
    store = make_cache(tmp_path, labels, splits=splits, groups=groups, content=content)

    def run(**asked: object) -> None:
        run_experiment(store, recipes=("oof",), options=FIXED, n_jobs=1, **asked)  # type: ignore[arg-type]  # as read from the advice

    try:
        run(split="test")
    except StackError as exc:
        message = str(exc)
    else:
        return
    for found in re.findall(r"test on ([^(]+) \(--split\)", message):
        for name in re.findall(r"'(\w+)'", found):
            run(split=name)
    if found := re.search(r"use cross-validation \(--cv (\d)(?: --rare (drop))?\)", message):
        run(cv=int(found[1]), rare=found[2] or "refuse")
    if found := re.search(r"leave out class(?:es)? ((?:'\w'(?:, )?)+)", message):
        kept = [i for i, label in enumerate(labels) if f"'{label}'" not in found[1]]

        def take(values: list[str] | list[int] | None) -> list[object] | None:
            return None if values is None else [values[i] for i in kept]

        less = make_cache(
            tmp_path / "less",
            take(labels),
            splits=take(splits),
            groups=take(groups),
            content=take(content),
        )
        run_experiment(less, split="test", recipes=("oof",), options=FIXED, n_jobs=1)


def test_training_images_that_are_all_copies_of_test_images_are_said_to_be(
    make_cache: MakeCache, tmp_path: Path
) -> None:
    labels = ["a", "b"] * 6
    store = make_cache(tmp_path, labels * 2, content=[*range(12), *range(12)], splits=["train"] * 12 + ["test"] * 12)
    expected = (
        r"12 files of the other splits \(classes 'a', 'b'\) are byte-identical to images of 'test' and count there, "
        r"once: .* into the training part\. Or use cross-validation \(--cv 3\) in place of --split test$"
    )
    with pytest.raises(StackError, match=expected):
        run_experiment(store, split="test")
    run_experiment(store, cv=3, recipes=("oof",), n_jobs=1)


def test_class_whose_training_images_are_all_copies_is_said_to_be(make_cache: MakeCache, tmp_path: Path) -> None:
    labels = [*"aabbaabb", *"ccc", *"ccc"]
    content = [*range(8), 8, 9, 10, 8, 9, 10]
    splits = ["train"] * 4 + ["train"] * 4 + ["train"] * 3 + ["test"] * 3
    store = make_cache(tmp_path, labels, content=content, splits=splits)
    with pytest.raises(StackError, match=r"no image of class 'c'.* 3 files of the other splits \(class 'c'\) are byte"):
        run_experiment(store, split="test")


@pytest.mark.parametrize("n_classes", [2, 30, 200])
def test_no_trial_is_made_that_would_take_seconds(monkeypatch: pytest.MonkeyPatch, n_classes: int) -> None:
    y = np.array([f"class {i % n_classes}" for i in range(12_000)])
    y[y == "class 0"], y[0] = "class 1", "class 0"
    units = Units(np.arange(12_000) // 2)
    monkeypatch.setattr(StratifiedGroupKFold, "split", lambda *_: pytest.fail("weighs 6,000 groups"))
    with pytest.raises(StackError, match="fewer groups of images than the 3 folds"):
        divide_and_check(y, units, Ask(3))
    advice = ways_for_classes(y, units, Ask(3))
    assert advice.startswith(". What works instead was not looked for, as every trial takes seconds: try another")
