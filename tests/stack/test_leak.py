"""Features made with labels score far above chance on labels that mean nothing; what would do so is refused."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stackbone.cache import (
    DatasetIndex,
    Digests,
    FeatureSet,
    FeatureSpec,
    FeatureStore,
    FileStamps,
    SeenRecord,
    StackError,
)
from stackbone.cache.records.seen import write_seen
from stackbone.stack import (
    StackOptions,
    evaluate,
    load_model,
    run_experiment,
    run_self_check,
    save_model,
    stack_options,
)
from stackbone.stack.divisions.training_parts import training_parts
from stackbone.stack.folds.folds import stratified_folds
from tests.made.learners import evaluate_numbers

pytestmark = pytest.mark.usefixtures("one_blas_thread")

N, DIM = 90, 12
LABELS = np.random.default_rng(7).permutation([f"class {i % 3}" for i in range(N)])  # they mean nothing
CHANCE, LUCK = 1 / 3, 1 / 3 + 4 * np.sqrt(2 / 9 / N)
FIXED = StackOptions(c=0.1, inner_splits=3)  # nothing to choose: the fastest fits
HALF = (0.5, 0.5, 0.5)


def digests_of(n: int = N) -> Digests:
    content = b"".join(hashlib.sha256(b"%d" % i).digest() for i in range(n))
    return np.frombuffer(content, np.uint8).reshape(n, 32).copy()


def made_index(labels: Sequence[str], digests: Digests | None = None, groups: list[str] | None = None) -> DatasetIndex:
    n = len(labels)
    return DatasetIndex(
        name="photos",
        root="/photos",
        path=[f"{i}.jpg" for i in range(n)],
        label=list(labels),
        split=[""] * n,
        group=groups or [""] * n,
        image_sha256=digests_of(n) if digests is None else digests,
        status=np.zeros(n, np.uint8),
        reason=[""] * n,
        stamps=FileStamps(np.full((n, 4), -1, np.int64)),
    )


def noise(seed: int, n: int = N) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(n, DIM)).astype(np.float32)


def learnt(labels: Sequence[str] | NDArray[np.str_], known: NDArray[np.bool_], seed: int = 3) -> NDArray[np.float32]:
    """Return features of which one column per class gives the label of the known images away."""
    x = noise(seed, len(labels))
    _, codes = np.unique(labels, return_inverse=True)
    x[np.flatnonzero(known), codes[known]] += 20
    return x


def add_plain(store: FeatureStore, x: NDArray[np.float32]) -> FeatureSet:
    spec = FeatureSpec("resnet50", "random(0)", (224, 224), 0.875, "center", "bicubic", HALF, HALF, "avg")
    feature_set = store.feature_set("resnet50", spec)
    feature_set.append(spec, digests_of(len(x)), x, {})
    return feature_set


def add_steered(
    store: FeatureStore, seen: Digests, x: NDArray[np.float32], name: str = "steering", stage: str = "tune"
) -> FeatureSet:
    """Cache what a steering made of every image, and which images it saw."""
    steering = hashlib.sha256(name.encode()).hexdigest()
    spec = FeatureSpec(
        "vit_base", "random(0)", (224, 224), 0.9, "center", "bicubic", HALF, HALF, "model", steering=steering
    )
    feature_set = store.feature_set("vit_toast", spec)
    about = {"method": "toast", "stage": stage, "backbone": "vit_base", "recipe": "ab" * 32, "division": None}
    write_seen(feature_set.folder, SeenRecord(steering, seen, {**about, "seed": 0}))
    feature_set.append(spec, digests_of(len(x)), x, {})
    return feature_set


def add_folds(
    store: FeatureStore,
    seed: int = 0,
    labels: Sequence[str] | NDArray[np.str_] = LABELS,
    dealing: str = "digests",
) -> list[str]:
    """Cache the features of one steering for each of three folds, each of which learnt its labels by heart."""
    keys = [digest.tobytes() for digest in digests_of(len(labels))]
    ids = []
    for number, part in enumerate(training_parts(store, cv=3, seed=seed, dealing=dealing)):
        trained = {digest.tobytes() for digest in part.digests}
        x = learnt(labels, np.array([key in trained for key in keys]), seed=20 + number)
        ids.append(add_steered(store, part.digests, x, f"seed {seed}, fold {number} of {dealing}").id)
    return ids


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    """Return a cache with one dataset and one backbone that knows nothing."""
    store = FeatureStore(tmp_path / "features")
    store.write_dataset(made_index(LABELS.tolist()))
    add_plain(store, noise(0))
    return store


def test_what_a_steering_on_everything_would_score_is_refused(store: FeatureStore) -> None:
    x = learnt(LABELS, np.ones(N, np.bool_))
    leaking = evaluate({"resnet50": noise(0), "vit_toast": x}, LABELS, stratified_folds(LABELS, 3, 0), options=FIXED)
    for model in ("lr:vit_toast", "svm:vit_toast", "concat", "stack:oof", "stack:published"):
        assert leaking.score(model).mean > 0.95
    steered = add_steered(store, digests_of(), x)
    with pytest.raises(StackError) as refusal:
        run_experiment(store, options=FIXED)
    for words in (
        "fold 1 of 3 has no fair features of the steered backbone vit_toast",
        f"the steering of {steered.id} saw 30 of its 30 test images",
        "`stackbone steer TABLE --backbone vit_base --method toast --cv 3 --seed 0 --inner-cv 3`",
        "`stackbone extract TABLE --backbones vit_toast --steering FOLDER`",
        "--backbones resnet50",
    ):
        assert words in str(refusal.value)
    assert run_experiment(store, backbones=["resnet50"], options=FIXED).evaluation.score("stack:oof").mean < LUCK


def test_steerings_of_these_folds_pass_and_score_at_chance(store: FeatureStore) -> None:
    ids = add_folds(store)
    found = run_experiment(store, cv=3, seed=0, options=FIXED)
    assert found.backbones == {"resnet50": store.feature_sets()[0].id, "vit_toast": ids}
    assert found.to_dict()["backbones"] == found.backbones
    for score in (*found.evaluation.results, *found.evaluation.without.values()):
        assert score.mean < LUCK, score.model
    bypassed = evaluate({"vit_toast": store.feature_sets()[1].load(digests_of())}, LABELS, found.folds, options=FIXED)
    assert bypassed.score("lr:vit_toast").mean > CHANCE + 0.3  # fair in one fold of three


def test_steerings_of_the_folds_of_rows_stay_valid(store: FeatureStore) -> None:
    ids = add_folds(store, dealing="rows")
    found = run_experiment(store, options=FIXED, recipes=("oof",))
    assert found.backbones["vit_toast"] == ids
    assert found.to_dict()["dealing"] == "rows"
    [note] = [each for each in found.joined.notes if "dealt" in each]
    assert "images are dealt to folds by rows (--dealing rows), since the steerings of vit_toast were made for" in note
    for fold, part in zip(found.folds, training_parts(store, cv=3, dealing="rows"), strict=True):
        np.testing.assert_array_equal(part.digests, digests_of()[fold.train])
    with pytest.raises(StackError, match=r"no fair features.*--cv 3 --seed 0 --inner-cv 3`"):
        run_experiment(store, dealing="digests", options=FIXED)
    with pytest.raises(StackError, match=r"no fair features.*--cv 3 --seed 1 --inner-cv 3`"):
        run_experiment(store, seed=1, options=FIXED)  # of neither dealing
    with pytest.raises(StackError, match=r"no fair features.*--cv 3 --seed 1 --dealing rows --inner-cv 3`"):
        run_experiment(store, seed=1, dealing="rows", options=FIXED)
    newer = add_folds(store)
    assert run_experiment(store, options=FIXED, recipes=("oof",)).backbones["vit_toast"] == newer


def test_one_image_of_the_test_part_is_too_many(store: FeatureStore) -> None:
    for n_seen in (0, 1):
        elsewhere = digests_of(N + 5)[N:]  # images of another dataset, and one of this
        seen = np.concatenate([elsewhere, digests_of()[:n_seen]])
        steered = add_steered(store, seen, noise(5), f"{n_seen} seen", stage="pretune")
        asked = [steered.id]
        if n_seen == 0:
            found = run_experiment(store, backbones=asked, options=FIXED)
            assert found.backbones == {"vit_toast": [steered.id] * 3}
        else:
            with pytest.raises(StackError, match=rf"the steering of {steered.id} saw 1 of its 30 test images"):
                run_experiment(store, backbones=asked, options=FIXED)


def test_folds_of_another_seed_do_not_serve(store: FeatureStore) -> None:
    ids = add_folds(store, seed=1)
    with pytest.raises(StackError, match=r"fold 1 of 3 has no fair features.*--cv 3 --seed 0 --inner-cv 3`"):
        run_experiment(store, seed=0, options=FIXED)
    for asked in ({"cv": 4, "seed": 1}, {"repeats": 2, "seed": 1}):
        with pytest.raises(StackError, match="no fair features"):
            run_experiment(store, **asked, options=FIXED)  # type: ignore[arg-type]
    assert run_experiment(store, seed=1, options=FIXED).backbones["vit_toast"] == ids


def test_copies_under_other_names_are_the_same_images(store: FeatureStore) -> None:
    # The steering was trained on a folder of its own, with other paths and labels, of the same bytes.
    test = stratified_folds(LABELS, 3, 0, digests=digests_of())[0].test
    other = replace(made_index(["a", "b"] * 5, digests_of()[test[:10]]), name="other", root="/other")
    store.write_dataset(other)
    [everything] = training_parts(store, "other")
    add_steered(store, everything.digests, learnt(LABELS, np.isin(np.arange(N), test[:10])))
    with pytest.raises(StackError, match=r"fold 1 of 3 .* saw 10 of its 30 test images"):
        run_experiment(store, dataset="photos", options=FIXED)


def test_copies_within_the_dataset_count_once_and_are_guarded(tmp_path: Path) -> None:
    digests = digests_of()
    digests[60:] = digests[:30]
    labels = [*LABELS[:60], *LABELS[:30]]
    store = FeatureStore(tmp_path / "features")
    store.write_dataset(made_index(labels, digests))
    add_plain(store, noise(0)[:60])
    part = training_parts(store, cv=3)[0]
    test = stratified_folds(np.array(labels[:60]), 3, 0, digests=digests[:60])[0].test
    copy = 60 + test[test < 30][0]  # the file that takes no part, of an image that is tested
    add_steered(store, np.concatenate([part.digests, digests[[copy]]]), noise(1)[:60])
    with pytest.raises(StackError, match=r"fold 1 of 3 .* saw 1 of its 20 test images"):
        run_experiment(store, options=FIXED)


def test_an_image_of_a_tested_group_that_takes_no_part_itself_leaks(tmp_path: Path) -> None:
    # 30 birds of 3 frames; the steering saw a fourth frame of each, whose label was taken out later.
    birds = [f"bird {i // 3}" for i in range(N)]
    labels = [f"class {(i // 3) % 3}" for i in range(N)]
    store = FeatureStore(tmp_path / "features")
    extra = [f"bird {i}" for i in range(30)]
    store.write_dataset(made_index([*labels, *[""] * 30], groups=[*birds, *extra]))
    add_plain(store, noise(0, N + 30))
    x = learnt([*labels, *labels[::3]], np.ones(N + 30, np.bool_))
    steered = add_steered(store, digests_of(N + 30)[N:], x)
    with pytest.raises(StackError, match=r"saw 0 of its (\d+) test images, and \1 more share a group with images"):
        run_experiment(store, options=FIXED)
    # Who does not keep birds together was told so by the groups of the dataset, and asked for it.
    alone = run_experiment(store, backbones=[steered.id], group_by="none", options=FIXED)
    assert alone.evaluation.score("lr:vit_toast").mean > 0.95


@pytest.mark.parametrize("near", [0.98, None])
def test_a_near_duplicate_that_was_left_out_as_too_rare_leaks(tmp_path: Path, near: float | None) -> None:
    # Two images of a class too rare for the folds are copies, in other encodings, of images that are tested.
    labels = [*LABELS, "rare", "rare"]
    plain = noise(0, N + 2)
    plain[N:] = plain[:2] * 1.01
    store = FeatureStore(tmp_path / "features")
    store.write_dataset(made_index(labels))
    add_plain(store, plain)
    add_steered(store, digests_of(N + 2)[N:], noise(1, N + 2))
    if near is None:
        assert run_experiment(store, rare="drop", options=FIXED).n_images == N
    else:
        with pytest.raises(StackError, match=r"saw 0 of its 30 test images, and [12] more share a group") as refusal:
            run_experiment(store, rare="drop", near_duplicates=near, options=FIXED)
        assert "leave --near-duplicates out" in str(refusal.value)


def test_a_near_copy_that_left_the_training_part_leaks(tmp_path: Path) -> None:
    plain = noise(0)
    plain[:2] = plain[60:62] * 1.01
    store = FeatureStore(tmp_path / "features")
    store.write_dataset(replace(made_index(LABELS.tolist()), split=["train"] * 60 + ["test"] * 30))
    add_plain(store, plain)
    fair = add_steered(store, digests_of()[2:60], noise(1))
    found = run_experiment(store, split="test", near_duplicates=0.98, options=FIXED)
    assert (found.n_images, found.backbones["vit_toast"]) == (N - 2, [fair.id])
    leaking = add_steered(store, digests_of()[1:60], noise(2), "leaking")
    asked = {"split": "test", "near_duplicates": 0.98, "backbones": ["resnet50", leaking.id], "options": FIXED}
    with pytest.raises(StackError, match=r"saw 0 of its 30 test images, and 1 more share a group"):
        run_experiment(store, **asked)  # type: ignore[arg-type]


def test_a_split_is_guarded_too(store: FeatureStore) -> None:
    split = ["train"] * 60 + ["test"] * 30
    store.write_dataset(replace(made_index(LABELS.tolist()), split=split))
    [part] = training_parts(store, split="test")
    fair = add_steered(store, part.digests, learnt(LABELS, np.arange(N) < 60))
    found = run_experiment(store, split="test", options=FIXED)
    assert found.backbones["vit_toast"] == [fair.id]
    assert found.evaluation.score("lr:vit_toast").mean < CHANCE + 4 * np.sqrt(2 / 9 / 30)
    with pytest.raises(StackError, match=r"fold 1 of 1 .* saw 60 of its 60 test images.*--split train --inner-cv 3`"):
        run_experiment(store, split="train", options=FIXED)


def test_a_regression_is_guarded_too(store: FeatureStore) -> None:
    y = np.round(np.random.default_rng(2).normal(50, 9, N), 2)
    store.write_dataset(made_index([str(value) for value in y]))
    x = noise(4)
    x[:, 0] = y
    every = {"resnet50": noise(0), "vit_toast": x}
    folds = run_experiment(store, task="regression", options=stack_options("regression", inner_splits=3)).folds
    assert evaluate_numbers(every, y, folds).score("stack:oof").mean > 0.95
    leaking = add_steered(store, digests_of(), x)
    options = stack_options("regression", inner_splits=3)
    with pytest.raises(StackError, match=rf"steering of {leaking.id} saw 30 .*knows no folds of numbers"):
        run_experiment(store, task="regression", options=options)
    sets = []
    for number, part in enumerate(training_parts(store, cv=3, task="regression")):
        trained = np.isin(np.arange(N), folds[number].train)
        own = np.where(trained, y, 50) + noise(8)[:, 0]
        steered = add_steered(
            store, part.digests, np.column_stack([own, noise(9)[:, 1:]]).astype(np.float32), str(number)
        )
        sets.append(steered.id)
    fair = run_experiment(store, task="regression", options=options)
    assert fair.backbones["vit_toast"] == sets
    assert fair.evaluation.score("stack:oof").mean < 0.1


def test_the_score_of_a_saved_model_is_that_of_the_guarded_folds(store: FeatureStore, tmp_path: Path) -> None:
    add_folds(store)
    everything = add_steered(store, digests_of(), learnt(LABELS, np.ones(N, np.bool_)), "everything")
    found = run_experiment(store, options=FIXED, with_model=True)
    assert everything.id not in found.backbones["vit_toast"]
    assert found.model is not None
    save_model(found.model, tmp_path / "model")
    model = load_model(tmp_path / "model")
    score = found.evaluation.score("stack:oof")
    assert score.mean < LUCK
    assert model.score == {"accuracy": f"{score.mean:.3f} ± {score.std:.3f} (3 folds)"}
    [plain, steered] = model.backbones
    assert (plain.name, steered.name, steered.feature_set) == ("resnet50", "vit_toast", everything.id)
    assert steered.spec.steering == hashlib.sha256(b"everything").hexdigest()
    assert found.joined.notes[-1].startswith(
        f"the saved model takes vit_toast from {everything.id}, whose steering saw 90 of the 90 images"
    )
    alone = {"resnet50": noise(0), "vit_toast": everything.load(digests_of())}
    said = np.array(model.classes)[model.log_probabilities(alone).argmax(axis=1)]
    assert (said == LABELS).mean() > 0.95  # in-sample, and nowhere reported


def test_without_a_model_no_fold_and_no_note_speaks_of_one(store: FeatureStore) -> None:
    add_folds(store)
    assert run_experiment(store, options=FIXED).joined.notes == []


def test_what_steered_backbones_cannot_tell_is_said(store: FeatureStore) -> None:
    add_folds(store)
    found = run_experiment(store, backbones=["vit_toast"], options=FIXED)
    assert found.joined.notes == ["near copies were not looked for: steered backbones cannot tell them"]
    assert found.to_dict()["near_copies"] is None


def test_the_advice_on_near_copies_beside_a_steered_backbone_works(tmp_path: Path) -> None:
    plain = noise(0)
    plain[:20] = plain[40:60] * 1.01
    store = FeatureStore(tmp_path / "features")
    store.write_dataset(made_index(LABELS.tolist()))
    add_plain(store, plain)
    add_folds(store)
    [note] = run_experiment(store, options=FIXED).joined.notes
    assert note.endswith("Name plain backbones alone (--backbones) to keep copies together with --near-duplicates 0.98")
    kept = run_experiment(store, backbones=["resnet50"], near_duplicates=0.98, options=FIXED)
    assert kept.joined.notes == []


def test_the_self_check_is_guarded_and_passes_on_fair_folds(store: FeatureStore) -> None:
    ids = add_folds(store)
    assert run_self_check(store, options=FIXED).startswith("self-check passed")
    found = run_self_check(store, backbones=["vit_toast"], options=FIXED)
    assert found.endswith("Near copies were not looked for: steered backbones cannot tell them.")
    with pytest.raises(StackError, match="fold 1 of 3 has no fair features"):
        run_self_check(store, backbones=ids[1:], options=FIXED)
    add_steered(store, digests_of(), noise(1), "everything")
    assert run_self_check(store, options=FIXED).startswith("self-check passed")  # the others serve
