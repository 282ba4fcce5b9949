"""Labels that mean nothing must score nothing; where they do score, the check fails loudly."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stackbone.cache import DatasetIndex, FeatureSpec, FeatureStore, FileStamps, StackError
from stackbone.stack import ModelScore, StackOptions, run_self_check
from stackbone.stack.experiments.self_check import shuffle_labels
from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.folds import stratified_folds
from stackbone.stack.metrics.chance.accuracy import check_at_chance

pytestmark = pytest.mark.usefixtures("one_blas_thread")

N, DIM = 120, 96  # more columns than training rows: a linear classifier can learn them by heart
LABELS = [f"class {i % 3}" for i in range(N)]
FIXED = StackOptions(c=0.1, inner_splits=3)


def made_store(
    folder: Path,
    x: NDArray[np.float32],
    labels: list[str] | None = None,
    *,
    groups: list[str] | None = None,
    splits: list[str] | None = None,
) -> FeatureStore:
    """Return a cache with one dataset and the features of one backbone."""
    store = FeatureStore(folder / "features")
    half = (0.5, 0.5, 0.5)
    spec = FeatureSpec("resnet50", "random(0)", (224, 224), 0.875, "center", "bicubic", half, half, "avg")
    content = b"".join(hashlib.sha256(b"%d" % i).digest() for i in range(N))
    digests = np.frombuffer(content, np.uint8).reshape(N, 32)
    store.feature_set("resnet50", spec).append(spec, digests, x.astype(np.float32), {})
    index = DatasetIndex(
        name="photos",
        root="/photos",
        path=[f"{i}.jpg" for i in range(N)],
        label=labels or LABELS,
        split=splits or [""] * N,
        group=groups or [""] * N,
        image_sha256=digests,
        status=np.zeros(N, np.uint8),
        reason=[""] * N,
        stamps=FileStamps(np.full((N, 4), -1, np.int64)),
    )
    store.write_dataset(index)
    return store


def noise(seed: int = 0, n: int = N) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(n, DIM)).astype(np.float32)


def telling(labels: list[str] | NDArray[np.str_]) -> NDArray[np.float32]:
    """Return features of which one column per class gives the label away."""
    x = noise()
    _, codes = np.unique(labels, return_inverse=True)
    x[np.arange(N), codes] += 20
    return x


def test_features_that_know_the_true_labels_alone_pass(tmp_path: Path) -> None:
    found = run_self_check(made_store(tmp_path, telling(LABELS)), options=FIXED)
    assert found.startswith("self-check passed: with shuffled labels the best of 3 models, ")
    assert "chance is 0.333" in found


def test_they_pass_on_the_datasets_own_split(tmp_path: Path) -> None:
    splits = ["train"] * 80 + ["test"] * 40
    found = run_self_check(made_store(tmp_path, telling(LABELS), splits=splits), split="test", options=FIXED)
    assert found.startswith("self-check passed")


def test_kept_groups_pass(tmp_path: Path) -> None:
    birds = np.repeat(np.arange(30), 4)
    x = 5 * noise(1, 30)[birds] + noise(2)
    labels = [f"class {bird % 3}" for bird in birds]
    store = made_store(tmp_path, x, labels, groups=[f"bird {bird}" for bird in birds])
    assert run_self_check(store, options=FIXED).startswith("self-check passed")


def test_features_that_give_the_shuffled_labels_away_fail(tmp_path: Path) -> None:
    seen = shuffle_labels(np.array(LABELS), None, seed=3)
    store = made_store(tmp_path, telling(seen))
    with pytest.raises(StackError, match=r"self-check failed: .*lr:resnet50 scores (1\.000|0\.9\d\d)") as refusal:
        run_self_check(store, seed=3, options=FIXED)
    for words in ("stack:oof scores", "chance is 0.333", "--near-duplicates 0.98", "--group-by", "do not trust"):
        assert words in str(refusal.value)


def test_copies_in_other_encodings_fail_unless_kept_together(tmp_path: Path) -> None:
    x = noise()
    x[N // 2 :] = x[: N // 2] + 0.01 * noise(1)[: N // 2]  # other bytes, the same picture
    store = made_store(tmp_path, x, LABELS[: N // 2] * 2)
    assert run_self_check(store, near_duplicates=0.98, options=FIXED).startswith("self-check passed")
    with pytest.raises(StackError, match="self-check failed"):
        run_self_check(store, options=FIXED)


def test_classes_too_rare_for_the_folds_are_left_out(tmp_path: Path) -> None:
    labels = ["rare", "rare", *LABELS[2:]]
    store = made_store(tmp_path, telling(LABELS), labels)
    assert run_self_check(store, cv=3, options=FIXED).startswith("self-check passed")


def test_one_class_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="the one class 'cat'"):
        run_self_check(made_store(tmp_path, noise(), ["cat"] * N), options=FIXED)


def test_shuffled_labels_are_the_same_labels_in_another_order() -> None:
    y = np.array(LABELS)
    shuffled = shuffle_labels(y, None, seed=0)
    assert sorted(shuffled) == sorted(y)
    assert 0.2 < (shuffled == y).mean() < 0.5
    np.testing.assert_array_equal(shuffled, shuffle_labels(y, None, seed=0))
    assert np.any(shuffled != shuffle_labels(y, None, seed=1))
    assert y.tolist() == LABELS


def test_whole_groups_swap_their_labels() -> None:
    groups = np.repeat(np.arange(30), 4)
    y = np.array([f"class {group % 3}" for group in groups])
    shuffled = shuffle_labels(y, groups, seed=0)
    assert all(len(set(shuffled[groups == group])) == 1 for group in range(30))
    assert sorted(shuffled[::4]) == sorted(y[::4])
    assert np.any(shuffled != y)


def test_mixed_groups_are_shuffled_image_by_image() -> None:
    groups = np.repeat(np.arange(30), 4)
    shuffled = shuffle_labels(np.array(LABELS), groups, seed=0)
    assert sorted(shuffled) == sorted(LABELS)
    assert any(len(set(shuffled[groups == group])) > 1 for group in range(30))


def test_chance_is_the_largest_class_and_luck_four_deviations() -> None:
    y = np.array(["a"] * 60 + ["b"] * 40)
    folds = [Fold.testing(np.arange(start, 100, 2), 100) for start in (0, 1)]
    limit = 0.6 + 4 * np.sqrt(0.6 * 0.4 / 100)
    below = [ModelScore("lr:a", [limit - 0.02, limit]), ModelScore("mean", [0.5, 0.6])]
    assert check_at_chance(below, y, folds) == (
        f"self-check passed: with shuffled labels the best of 2 models, lr:a, scores {limit - 0.01:.3f}; "
        f"chance is 0.600, and up to {limit:.3f} is luck."
    )
    above = [*below, ModelScore("concat", [limit, limit + 0.02])]
    with pytest.raises(StackError, match=r"shuffled labels concat scores 0\.8\d\d, where chance is 0\.600"):
        check_at_chance(above, y, folds)


def test_images_of_a_group_count_once() -> None:
    y = np.array(["a", "b"] * 50)
    folds = [Fold.testing(np.arange(100), 100)]
    scores = [ModelScore("lr:a", [0.75])]
    with pytest.raises(StackError, match="self-check failed"):
        check_at_chance(scores, y, folds)
    groups = np.arange(100) // 4  # 25 of them: 0.5 + 4 * 0.5 / 5
    assert "up to 0.900 is luck" in check_at_chance(scores, y, folds, groups)
    groups = np.maximum(np.arange(100) - 15, 0)  # one of 16, and 84 alone: as good as 100² / (16² + 84)
    assert f"up to {0.5 + 4 * 0.5 / np.sqrt(10_000 / 340):.3f} is luck" in check_at_chance(scores, y, folds, groups)


def test_only_the_test_part_says_what_chance_is() -> None:
    y = np.array(["a"] * 900 + ["b"] * 50 + ["a"] * 50)
    folds = [Fold.testing(np.arange(900, 1000), 1000)]
    assert "chance is 0.500" in check_at_chance([ModelScore("lr:a", [0.6])], y, folds)


def test_a_check_that_could_not_fail_does_not_claim_to_pass() -> None:
    y = np.array(["a", "b"] * 3)
    folds = [Fold.testing(np.arange(6), 6)]
    with pytest.raises(StackError, match="few"):
        check_at_chance([ModelScore("lr:a", [1.0])], y, folds)


@pytest.mark.parametrize("seed", [0, 1, 3])
def test_small_classes_that_the_shuffle_puts_into_one_test_part_are_left_out(tmp_path: Path, seed: int) -> None:
    labels = [f"small {i // 3}" for i in range(24)] + LABELS[24:]
    shuffled = shuffle_labels(np.array(labels), None, seed)
    folds = stratified_folds(np.array(labels), 3, seed)
    assert any(set(shuffled[f.test]) - set(shuffled[f.train]) for f in folds)
    found = run_self_check(made_store(tmp_path, telling(LABELS), labels), seed=seed, options=FIXED)
    assert found.startswith("self-check passed")
