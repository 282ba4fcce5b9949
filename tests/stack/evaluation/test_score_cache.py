"""Scores of earlier fits are found again when nothing that decides them changed, and never otherwise."""

import hashlib
import json
import os
import pickle
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stackbone.stack import Evaluation, Fold, MetaOptions, StackOptions, evaluate, stratified_folds
from stackbone.stack.evaluation.score_cache import ScoreCache
from stackbone.stack.folds.per_fold import Features, PerFold
from stackbone.stack.learners.bases import lr, published, svm
from stackbone.stack.learners.bases.lr import score_classes
from stackbone.stack.learners.learner import BaseScores
from stackbone.stack.metrics.model_scores import Prediction
from stackbone.stack.solvers.linear import LinearMap
from tests.made.caches import on_disk

pytestmark = pytest.mark.usefixtures("one_blas_thread")

Blocks = dict[str, NDArray[np.float32]]
Labels = NDArray[np.str_]

N = 60
IDS = {"a": "aaaa", "b": "bbbb", "c": "cccc"}
FIXED = StackOptions(c=0.1, inner_splits=3, meta=MetaOptions(c=1.0))
N_SPLITS = 2


def made_blocks(names: str = "ab") -> Blocks:
    codes = np.arange(N) % 3
    blocks = {}
    for seed, name in enumerate("abc"):
        rng = np.random.default_rng(seed)
        blocks[name] = (rng.normal(size=(3, 6))[codes] + rng.normal(size=(N, 6))).astype(np.float32)
    return {name: blocks[name] for name in names}


@pytest.fixture
def y() -> Labels:
    return np.array(["cat", "dog", "emu"])[np.arange(N) % 3]


@pytest.fixture
def folds(y: Labels) -> list[Fold]:
    return stratified_folds(y, N_SPLITS, 0)


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count the fits on features, by learner: ``score_classes``, ``predict_svm``, ``predict_published``."""
    counts: Counter[str] = Counter()

    def counted(name: str, fit: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **named: Any) -> Any:  # noqa: ANN401 - passed on
            counts[name] += 1
            return fit(*args, **named)

        return run

    for room, name in ((lr, "score_classes"), (svm, "predict_svm"), (published, "predict_published")):
        monkeypatch.setattr(room, name, counted(name, getattr(room, name)))
    return counts


def cache_in(folder: Path, blocks: Mapping[str, Features] | None = None) -> ScoreCache:
    return ScoreCache(folder / "scores", blocks or made_blocks("abc"), dataset="photos", feature_sets=IDS)


def run(
    folder: Path | None,
    y: Labels,
    folds: list[Fold],
    names: str = "ab",
    options: StackOptions = FIXED,
    seed: int = 0,
    n_jobs: int = 1,
) -> Evaluation:
    """Evaluate with a cache of its own object, as another run would."""
    cache = None if folder is None else cache_in(folder)
    return evaluate(made_blocks(names), y, folds, options=options, seed=seed, n_jobs=n_jobs, cache=cache)


def assert_same(found: Evaluation, expected: Evaluation) -> None:
    assert found.results == expected.results
    assert found.without == expected.without
    assert found.chosen == expected.chosen
    for model, predictions in expected.predictions.items():
        for one, other in zip(found.predictions[model], predictions, strict=True):
            assert one.probability == other.probability
            np.testing.assert_array_equal(one.scores, other.scores)


def all_fits(n_backbones: int, folds: int = N_SPLITS) -> dict[str, int]:
    return {
        "score_classes": (n_backbones + (n_backbones > 1)) * folds,
        "predict_svm": n_backbones * folds,
        "predict_published": folds,
    }


def test_second_run_fits_nothing_and_finds_the_same(
    tmp_path: Path, y: Labels, folds: list[Fold], fitted: Counter[str]
) -> None:
    first = run(tmp_path, y, folds)
    assert fitted == all_fits(2)
    assert first.n_from_cache == 0
    fitted.clear()
    second = run(tmp_path, y, folds)
    assert fitted == {}
    assert second.n_from_cache == sum(all_fits(2).values())
    assert_same(second, first)


@pytest.mark.parametrize("options", [FIXED, StackOptions()], ids=["fixed", "searched"])
def test_scores_do_not_depend_on_the_cache_or_on_threads(
    tmp_path: Path, y: Labels, folds: list[Fold], options: StackOptions
) -> None:
    without = run(None, y, folds, options=options)
    for n_jobs in (2, 1):  # written by two threads, read by one
        assert_same(run(tmp_path, y, folds, options=options, n_jobs=n_jobs), without)
    assert_same(run(tmp_path, y, folds, options=options, n_jobs=2), without)
    assert without.n_from_cache == 0


def test_fits_found_are_counted_for_each_evaluation(tmp_path: Path, y: Labels, folds: list[Fold]) -> None:
    cache = cache_in(tmp_path)
    counts = [evaluate(made_blocks(), y, folds, recipes=(), options=FIXED, cache=cache).n_from_cache for _ in range(3)]
    n_fits = sum(all_fits(2).values()) - N_SPLITS  # without the published recipe
    assert counts == [0, n_fits, n_fits]


def test_meta_learner_is_fitted_anew_on_scores_that_were_found(
    tmp_path: Path, y: Labels, folds: list[Fold], fitted: Counter[str]
) -> None:
    run(tmp_path, y, folds)
    fitted.clear()
    options = StackOptions(c=0.1, inner_splits=3, meta=MetaOptions("lr", "log-probability", "average"))
    found = run(tmp_path, y, folds, options=options)
    assert fitted == {}
    assert_same(found, run(None, y, folds, options=options))


def test_a_backbone_that_joins_costs_its_own_fits_and_those_that_see_all(
    tmp_path: Path, y: Labels, folds: list[Fold], fitted: Counter[str]
) -> None:
    run(tmp_path, y, folds, "ab")
    fitted.clear()
    joined = run(tmp_path, y, folds, "abc")
    assert fitted == {"score_classes": 2 * N_SPLITS, "predict_svm": N_SPLITS, "predict_published": N_SPLITS}
    assert_same(joined, run(None, y, folds, "abc"))


def test_a_backbone_that_leaves_costs_those_that_see_all(
    tmp_path: Path, y: Labels, folds: list[Fold], fitted: Counter[str]
) -> None:
    run(tmp_path, y, folds, "abc")
    fitted.clear()
    run(tmp_path, y, folds, "ac")
    assert fitted == {"score_classes": N_SPLITS, "predict_published": N_SPLITS}


def test_another_name_of_the_same_feature_set_is_the_same_fit(
    tmp_path: Path, y: Labels, folds: list[Fold], fitted: Counter[str]
) -> None:
    run(tmp_path, y, folds)
    fitted.clear()
    blocks = {f"renamed {name}": x for name, x in made_blocks().items()}
    ids = {f"renamed {name}": each for name, each in IDS.items()}
    cache = ScoreCache(tmp_path / "scores", blocks, dataset="photos", feature_sets=ids)
    evaluate(blocks, y, folds, options=FIXED, cache=cache)
    assert fitted == {}


def one_value(x: NDArray[np.float32], row: int) -> NDArray[np.float32]:
    x = x.copy()
    x[row, 2] = np.nextafter(x[row, 2], np.float32(np.inf))
    return x


@pytest.mark.parametrize(
    "change",
    [
        lambda x, _: x + np.float32(1e-6),  # another engine
        lambda x, _: x[:, ::-1],
        lambda x, _: np.hstack([x, x[:, :1]]),
        one_value,  # a training row of one fold is a test row of the other
    ],
    ids=["last digits", "columns", "a column more", "one value of one row"],
)
def test_features_that_changed_under_the_same_id_find_no_old_score(
    tmp_path: Path,
    y: Labels,
    folds: list[Fold],
    fitted: Counter[str],
    change: Callable[[NDArray[np.float32], int], NDArray[np.float32]],
) -> None:
    run(tmp_path, y, folds)
    blocks = made_blocks()
    blocks["b"] = np.ascontiguousarray(change(blocks["b"], int(folds[0].test[0])))
    fresh = evaluate(blocks, y, folds, options=FIXED, n_jobs=1)
    fitted.clear()
    found = evaluate(blocks, y, folds, options=FIXED, n_jobs=1, cache=cache_in(tmp_path, blocks))
    assert fitted == {"score_classes": 2 * N_SPLITS, "predict_svm": N_SPLITS, "predict_published": N_SPLITS}
    assert_same(found, fresh)


def test_a_changed_c_fits_logistic_regressions_anew_and_no_other(
    tmp_path: Path, y: Labels, folds: list[Fold], fitted: Counter[str]
) -> None:
    run(tmp_path, y, folds)
    for options in (StackOptions(c=0.2, inner_splits=3), StackOptions(inner_splits=3)):
        fitted.clear()
        found = run(tmp_path, y, folds, options=options)
        assert fitted == {"score_classes": 3 * N_SPLITS}
        assert_same(found, run(None, y, folds, options=options))


def test_changed_inner_folds_fit_what_uses_them_anew(
    tmp_path: Path, y: Labels, folds: list[Fold], fitted: Counter[str]
) -> None:
    run(tmp_path, y, folds)
    fitted.clear()
    found = run(tmp_path, y, folds, seed=1)
    assert fitted["score_classes"] == 3 * N_SPLITS
    assert fitted["predict_svm"] == 0  # has no inner folds
    assert_same(found, run(None, y, folds, seed=1))
    fitted.clear()
    run(tmp_path, y, folds, options=StackOptions(c=0.1, inner_splits=4))
    assert fitted == {"score_classes": 3 * N_SPLITS}
    fitted.clear()
    groups = np.arange(N) // 2
    evaluate(made_blocks(), y, folds, options=FIXED, groups=groups, n_jobs=1, cache=cache_in(tmp_path))
    assert fitted == {"score_classes": 3 * N_SPLITS}


def test_a_changed_label_fits_anew_what_learns_from_it(
    tmp_path: Path, y: Labels, folds: list[Fold], fitted: Counter[str]
) -> None:
    run(tmp_path, y, folds)
    fitted.clear()
    corrected = y.copy()
    row = folds[0].test[0]
    corrected[row] = "dog" if y[row] != "dog" else "cat"
    found = run(tmp_path, corrected, folds)
    # Where the row is only tested, what was learnt is what it was.
    assert fitted == {name: n // N_SPLITS for name, n in all_fits(2).items()}
    assert_same(found, run(None, corrected, folds))


def test_renamed_classes_in_the_same_order_change_no_fit(
    tmp_path: Path, y: Labels, folds: list[Fold], fitted: Counter[str]
) -> None:
    run(tmp_path, y, folds)
    fitted.clear()
    run(tmp_path, np.char.add("a ", y), folds)
    assert fitted == {}


def test_other_outer_folds_are_other_fits(tmp_path: Path, y: Labels, folds: list[Fold], fitted: Counter[str]) -> None:
    run(tmp_path, y, folds)
    for others in (stratified_folds(y, N_SPLITS, 1), stratified_folds(y, 3, 0)):
        fitted.clear()
        run(tmp_path, y, others)
        assert fitted == all_fits(2, len(others))
    fitted.clear()
    run(tmp_path, y, [*folds, *stratified_folds(y, N_SPLITS, 2)])  # one more repeat
    assert fitted == all_fits(2)


KEY_PARTS: dict[str, Any] = {
    "learner": {"name": "lr", "c_grid": (0.1,)},
    "blocks": ["a", "b"],
    "y": np.arange(N) % 3,
    "fold": Fold(np.arange(40), np.arange(40, 60)),
    "inner": [Fold(np.arange(20), np.arange(20, 40)), Fold(np.arange(20, 40), np.arange(20))],
    "number": 0,
}


def relabelled(row: int, n_classes: int = 3) -> NDArray[np.int64]:
    y: NDArray[np.int64] = np.arange(N) % 3
    y[row] = (y[row] + 1) % n_classes if n_classes == 3 else n_classes - 1
    return y


@pytest.mark.parametrize(
    "change",
    [
        {"learner": {"name": "svm", "c_grid": (0.1,)}},
        {"learner": {"name": "lr", "c_grid": (0.1, 0.2)}},
        {"blocks": ["b", "a"]},
        {"blocks": ["a"]},
        {"y": relabelled(0)},
        {"y": relabelled(39)},
        {"y": relabelled(59, n_classes=4)},  # one more class, though not among the training rows
        {"fold": Fold(np.r_[:39, 59], np.arange(40, 60))},
        {"fold": Fold(np.arange(40)[::-1], np.arange(40, 60))},
        {"fold": Fold(np.arange(40), np.arange(41, 60))},
        {"inner": []},
        {"inner": KEY_PARTS["inner"][::-1]},
        {"inner": KEY_PARTS["inner"][:1]},
        {"inner": [Fold(np.arange(21), np.arange(21, 40)), KEY_PARTS["inner"][1]]},
    ],
)
def test_key_changes_with_whatever_decides_the_outcome(tmp_path: Path, change: dict[str, Any]) -> None:
    cache = cache_in(tmp_path)
    assert digest_of(cache) != digest_of(cache, **change)


def digest_of(cache: ScoreCache, **change: Any) -> str:  # noqa: ANN401 - parts of a key
    return cache.key(**(KEY_PARTS | change)).digest


def test_key_is_that_of_the_features_of_the_fold(tmp_path: Path) -> None:
    a, b, c = (made_blocks("abc")[name] for name in "abc")
    blocks: dict[str, Features] = {"a": a, "b": PerFold([b, c, b])}
    steered = ScoreCache(tmp_path, blocks, dataset="photos", feature_sets={"a": "a-0", "b": ["b-0", "b-1", "b-2"]})
    keys = [digest_of(steered, number=number) for number in range(3)]
    assert keys[0] == keys[2] == digest_of(cache_in(tmp_path))
    assert keys[1] == digest_of(cache_in(tmp_path, {"a": a, "b": c}))
    assert keys[1] != keys[0]
    assert steered.key(**(KEY_PARTS | {"number": 1})).feature_sets == ("a-0", "b-1")


def test_another_steering_in_one_fold_costs_the_fits_of_that_fold(
    tmp_path: Path, y: Labels, folds: list[Fold], fitted: Counter[str]
) -> None:
    a, b, c = (made_blocks("abc")[name] for name in "abc")
    of_one_fold = {"score_classes": 2, "predict_svm": 1, "predict_published": 1}  # all that see the steered one
    for last, ids, expected in ((b, ["b0", "b1"], all_fits(2)), (c, ["b0", "b2"], of_one_fold)):
        blocks: dict[str, Features] = {"a": a, "b": PerFold([b, last])}
        fresh = evaluate(blocks, y, folds, options=FIXED, n_jobs=1)
        fitted.clear()
        cache = ScoreCache(tmp_path, blocks, dataset="photos", feature_sets={"a": "aaaa", "b": ids})
        assert_same(evaluate(blocks, y, folds, options=FIXED, n_jobs=1, cache=cache), fresh)
        assert fitted == expected


def test_key_is_that_of_the_rows_wherever_they_stand(tmp_path: Path) -> None:
    # The same images behind ten new ones: other row numbers, the same fit.
    blocks = made_blocks("abc")
    later = cache_in(tmp_path, {name: np.concatenate([x[:10] + 1, x]) for name, x in blocks.items()})
    fold = KEY_PARTS["fold"]
    moved = {
        "y": np.concatenate([np.zeros(10, np.int64), KEY_PARTS["y"]]),
        "fold": Fold(fold.train + 10, fold.test + 10),
    }
    assert digest_of(later, **moved) == digest_of(cache_in(tmp_path))
    fortran = {name: np.asfortranarray(x) for name, x in blocks.items()}
    assert digest_of(cache_in(tmp_path, fortran)) == digest_of(cache_in(tmp_path))


def test_key_does_not_depend_on_the_test_labels(tmp_path: Path) -> None:
    cache = cache_in(tmp_path)
    assert digest_of(cache) == digest_of(cache, y=relabelled(59))


def test_a_newer_version_of_the_scores_is_another_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest_of(cache_in(tmp_path))
    monkeypatch.setattr("stackbone.stack.evaluation.score_cache.SCORES_VERSION", 1_000)
    assert digest_of(cache_in(tmp_path)) != before


def test_what_was_never_saved_is_not_found(tmp_path: Path) -> None:
    cache = cache_in(tmp_path)
    assert cache.load(cache.key(**KEY_PARTS)) is None
    assert not cache.folder.exists()  # nothing is made by looking


def foreign_npz(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, other=np.arange(3))


def npz_with_an_object(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, allow_pickle=True, scores=np.array([Hostile(path)], dtype=object), probability=np.array(0))


def bare_array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


def bare_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps(Hostile(path)))


def compressed_and_cut(path: Path) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, scores=np.random.default_rng(0).normal(size=100), probability=np.array(0))
    content = bytearray(path.read_bytes())
    content[60:200] = bytes(140)
    path.write_bytes(content)


def another_keys(path: Path) -> None:
    """Whole scores, of another fit."""
    path.write_bytes(max(path.parent.iterdir()).read_bytes())


class Hostile:
    """Creates a file when it is unpickled."""

    def __init__(self, beside: Path) -> None:
        self.proof = beside.parent / "code was run"

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (self.proof,)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-30]),
        lambda path: path.write_bytes(path.read_bytes()[:100]),
        lambda path: path.write_bytes(b"scores\n"),
        lambda path: path.write_bytes(path.read_bytes()[:150] + b"\xff" + path.read_bytes()[151:]),
        foreign_npz,
        npz_with_an_object,
        bare_array,
        bare_pickle,
        compressed_and_cut,
        another_keys,
    ],
    ids=[
        "empty",
        "truncated",
        "cut short",
        "text",
        "flipped",
        "foreign",
        "object",
        "bare array",
        "pickle",
        "compressed",
        "another key",
    ],
)
def test_damaged_and_foreign_files_are_fitted_again_and_replaced(
    tmp_path: Path, y: Labels, folds: list[Fold], fitted: Counter[str], damage: Callable[[Path], None]
) -> None:
    first = run(tmp_path, y, folds)
    files = sorted((tmp_path / "scores").glob("*.scores"))
    whole = [file.read_bytes() for file in files]
    fitted.clear()
    for file in files[:4]:
        damage(file)
    second = run(tmp_path, y, folds)
    assert sum(fitted.values()) == 4
    assert_same(second, first)
    assert second.n_from_cache == len(files) - 4
    assert [file.read_bytes() for file in files] == whole
    assert not (tmp_path / "scores" / "code was run").exists()


def sealed(content: bytes) -> bytes:
    """Return a file whose checksum is right, whatever its content."""
    return hashlib.sha256(content).digest() + content


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """Return the content with one fault: a changed byte, a cut, a doubled piece, a changed word of the header."""
    at, kind = int(rng.integers(len(content))), int(rng.integers(5))
    if kind == 0:
        return content[:at] + bytes([content[at] ^ int(rng.integers(1, 256))]) + content[at + 1 :]
    if kind == 1:
        return content[:at]
    if kind == 2:
        return content + content[at:]
    header, _, rest = content.partition(b"\n")
    if kind == 3:
        at = int(rng.integers(len(header)))
        return header[:at] + bytes([header[at] ^ int(rng.integers(1, 256))]) + header[at + 1 :] + b"\n" + rest
    words: list[Any] = [
        None,
        True,
        -1,
        10**30,
        1e308,
        float("nan"),
        "x",
        [],
        [[]],
        {},
        "float16",
        [-3],
        [2**62],
        "\ud800",
    ]
    described = json.loads(header)
    word, field = words[int(rng.integers(len(words)))], str(rng.choice(sorted(described)))
    if field == "arrays" and rng.integers(3):
        described["arrays"][int(rng.integers(len(described["arrays"])))][int(rng.integers(3))] = word
    else:
        described[field] = word
    return json.dumps(described).encode() + b"\n" + rest


def test_no_mutation_with_a_renewed_checksum_raises_or_takes_another_shape(
    tmp_path: Path, y: Labels, folds: list[Fold]
) -> None:
    run(tmp_path, y, folds)
    rng = np.random.default_rng(0)
    cache = cache_in(tmp_path)
    codes = np.unique(y, return_inverse=True)[1]
    keys = [cache.key({"name": "svm"}, [name], codes, folds[0], number=0) for name in "ab"]
    inner = stratified_folds(y[folds[0].train], 3, 0)
    learnt = score_classes(
        made_blocks()["a"][folds[0].train], codes[folds[0].train], made_blocks()["a"], 3, inner, (1.0,)
    )
    outcomes: list[Prediction | BaseScores] = [
        Prediction(np.ones((len(folds[0].test), 3), np.float32), probability=False),
        learnt,
    ]
    keys[1] = cache.key({"name": "lr"}, ["a"], codes, Fold(folds[0].train, np.arange(N)), inner, number=0)
    for key, outcome in zip(keys, outcomes, strict=True):
        cache.save(key, outcome)
        path = cache.folder / f"{key.digest}.scores"
        content = on_disk(path).read_bytes()[32:]
        assert cache.load(key) is not None
        n_taken = 0
        for _ in range(1500):
            changed = mutated(content, rng)
            on_disk(path).write_bytes(sealed(changed))
            found = cache.load(key)
            if found is None or changed == content:
                continue
            n_taken += 1  # another number, or another origin: nothing else is believed
            for old, new in zip(numbers_of(outcome), numbers_of(found[0]), strict=True):
                assert (new.shape, new.dtype) == (old.shape, old.dtype)
                np.testing.assert_array_equal(np.isfinite(new), np.isfinite(old))
        assert n_taken < 900


def numbers_of(outcome: object) -> list[NDArray[Any]]:
    if isinstance(outcome, Prediction):
        return [outcome.scores]
    assert isinstance(outcome, BaseScores)
    return [np.array(outcome.chosen), outcome.out_of_fold, outcome.test, outcome.linear.coef, outcome.linear.intercept]


@pytest.mark.parametrize("kind", ["pipe", "link to itself", "link to zeros", "folder", "sparse"])
def test_what_is_no_file_of_scores_neither_hangs_nor_fills_the_memory(
    tmp_path: Path, y: Labels, folds: list[Fold], fitted: Counter[str], kind: str
) -> None:
    first = run(tmp_path, y, folds)
    path = min((tmp_path / "scores").iterdir())
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "link to itself":
        path.symlink_to(path)
    elif kind == "link to zeros":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        with path.open("wb") as file:
            file.truncate(1 << 40)
    fitted.clear()
    assert_same(run(tmp_path, y, folds), first)
    assert sum(fitted.values()) == 1
    fitted.clear()
    run(tmp_path, y, folds)
    assert sum(fitted.values()) == (kind == "folder")  # all others were replaced


def test_what_was_fitted_before_a_failure_is_kept(
    tmp_path: Path, y: Labels, folds: list[Fold], monkeypatch: pytest.MonkeyPatch
) -> None:
    fits = 0
    fit = svm.predict_svm

    def fail_at_third(*args: Any) -> Any:  # noqa: ANN401 - passed on
        nonlocal fits
        fits += 1
        if fits == 3:  # of four
            raise KeyboardInterrupt
        return fit(*args)

    monkeypatch.setattr(svm, "predict_svm", fail_at_third)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, y, folds)
    kept = len(list((tmp_path / "scores").glob("*.scores")))
    assert kept == 3 * N_SPLITS + N_SPLITS + 2  # concat, lr of both, published, two SVMs
    resumed = run(tmp_path, y, folds)
    assert resumed.n_from_cache == kept
    assert fits == 3 + 2 * N_SPLITS - 2
    assert_same(resumed, run(None, y, folds))


def test_a_write_that_fails_leaves_no_half_file_and_costs_no_result(
    tmp_path: Path,
    y: Labels,
    folds: list[Fold],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    fsync = os.fsync
    calls = 0

    def full(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls > 12:
            raise OSError(28, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    found = run(tmp_path, y, folds)
    monkeypatch.undo()
    (said,) = [record.getMessage() for record in caplog.records]
    assert "No space left on device" in said
    assert_same(found, run(None, y, folds))
    files = sorted((tmp_path / "scores").iterdir())
    assert files
    assert all(file.suffix == ".scores" for file in files)
    assert run(tmp_path, y, folds).n_from_cache == len(files)


def test_a_file_in_the_place_of_the_folder_is_said_and_costs_no_result(
    tmp_path: Path, y: Labels, folds: list[Fold], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "scores").write_text("not a folder")
    found = run(tmp_path, y, folds)
    (said,) = [record.getMessage() for record in caplog.records]
    assert str(tmp_path / "scores") in said
    assert_same(found, run(None, y, folds))


@pytest.mark.parametrize(
    ("labels", "thresholds", "fits"),
    [(True, 2, True), (True, None, False), (False, 2, False), (True, 3, False)],
    ids=["labels", "labels without thresholds", "classes with thresholds", "thresholds of other labels"],
)
def test_thresholds_belong_to_labels_and_to_nothing_else(
    tmp_path: Path, *, labels: bool, thresholds: int | None, fits: bool
) -> None:
    blocks: dict[str, Features] = {**made_blocks("a")}
    cache = ScoreCache(tmp_path, blocks, dataset="photos", feature_sets={"a": "aaaa"})
    presence = np.eye(2, dtype=np.int8)[np.arange(N) % 2]
    inner = [Fold.testing(np.arange(N // 2)[part::2], N // 2) for part in range(2)]
    fold = Fold(np.arange(N // 2), np.arange(N // 2, N))
    key = cache.key({"name": "ovr"}, ["a"], presence if labels else np.arange(N) % 2, fold, inner, number=0)
    scores = np.zeros((N // 2, 2), np.float32)
    linear = LinearMap(np.zeros((6, 2), np.float32), np.zeros(2, np.float32), np.zeros(6, np.float32))
    chosen = None if thresholds is None else np.full(thresholds, 0.5)
    cache.save(key, BaseScores(1.0, scores, scores, linear, thresholds=chosen))
    assert (cache.load(key) is not None) == fits
