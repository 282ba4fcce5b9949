"""Labels and features are joined by digest, and what cannot be scored is refused in words."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cache import (
    FAILED,
    DatasetIndex,
    FeatureSpec,
    FeatureStore,
    FileStamps,
    StackError,
    UsageError,
)
from stack import evaluate, run_experiment, split_folds, stratified_folds

pytestmark = pytest.mark.usefixtures("one_blas_thread")

N, DIM = 90, 8


def spec(architecture: str, precision: str = "fp32") -> FeatureSpec:
    return FeatureSpec(
        architecture,
        "random(0)",
        (224, 224),
        0.875,
        "center",
        "bicubic",
        (0.5,) * 3,
        (0.5,) * 3,
        "avg",
        precision,
    )


def digest_rows(n: int, salt: str = "") -> NDArray[np.uint8]:
    content = b"".join(hashlib.sha256(f"{salt}{i}".encode()).digest() for i in range(n))
    return np.frombuffer(content, np.uint8).reshape(n, 32)


def index(name: str, digests: NDArray[np.uint8], labels: list[str], splits: list[str] | None = None) -> DatasetIndex:
    n = len(labels)
    return DatasetIndex(
        name=name,
        root="/photos",
        path=[f"{i}.jpg" for i in range(n)],
        label=labels,
        split=splits or [""] * n,
        group=[""] * n,
        image_sha256=digests,
        status=np.zeros(n, np.uint8),
        reason=[""] * n,
        stamps=FileStamps(np.full((n, 4), -1, np.int64)),
    )


def features(labels: list[str], seed: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    centres = {label: rng.normal(size=DIM) * 2 for label in sorted(set(labels))}
    return np.array([centres[label] + rng.normal(size=DIM) for label in labels], np.float32)


LABELS = [f"class {i % 3}" for i in range(N)]


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    """Return a cache with one dataset and two backbones, committed in shuffled order."""
    store = FeatureStore(tmp_path / "features")
    digests = digest_rows(N)
    for seed, name in enumerate(("resnet50", "vgg19")):
        order = np.random.default_rng(seed).permutation(N)
        made = spec(name)
        store.feature_set(name, made).append(made, digests[order], features(LABELS, seed)[order], {})
    store.write_dataset(index("photos", digests, LABELS))
    return store


def test_features_are_joined_by_digest_not_by_position(store: FeatureStore) -> None:
    found = run_experiment(store, cv=3, seed=1)
    blocks = {"resnet50": features(LABELS, 0), "vgg19": features(LABELS, 1)}
    expected = evaluate(blocks, np.array(LABELS), stratified_folds(np.array(LABELS), 3, 1), seed=1)
    assert found.evaluation == expected
    assert found.n_images == N
    assert found.n_classes == 3


def test_json_has_the_promised_fields(store: FeatureStore) -> None:
    content = run_experiment(store, cv=3).to_dict()
    assert {"dataset", "n_images", "n_classes", "cv", "seed", "results"} <= set(content)
    assert content["dataset"] == "photos"
    assert [result["model"] for result in content["results"]] == [
        "lr:resnet50",
        "lr:vgg19",
        "svm:resnet50",
        "svm:vgg19",
        "mean",
        "concat",
        "stack:oof",
        "stack:published",
    ]
    for result in content["results"]:
        accuracy = result["accuracy"]
        assert accuracy["mean"] == pytest.approx(np.mean(accuracy["folds"]))
        assert accuracy["std"] == pytest.approx(np.std(accuracy["folds"]))
        assert len(accuracy["folds"]) == 3


def test_own_split_trains_on_the_others(store: FeatureStore) -> None:
    splits = ["test" if i < 30 else "validation" if i < 45 else "train" for i in range(N)]
    store.write_dataset(index("photos", digest_rows(N), LABELS, splits))
    found = run_experiment(store, split="test", recipes=("published",))
    assert found.cv is None
    assert found.to_dict()["split"] == "test"
    assert all(len(score.folds) == 1 for score in found.evaluation.results)


def test_unknown_split_names_those_that_exist(store: FeatureStore) -> None:
    splits = ["train" if i < 60 else "test" for i in range(N)]
    store.write_dataset(index("photos", digest_rows(N), LABELS, splits))
    with pytest.raises(StackError, match=r"train"):
        run_experiment(store, split="tset")


def test_unlabelled_and_failed_images_take_no_part(store: FeatureStore) -> None:
    labels = ["" if i < 6 else label for i, label in enumerate(LABELS)]
    listed = index("photos", digest_rows(N), labels)
    listed.status[6:9] = FAILED
    store.write_dataset(listed)
    found = run_experiment(store, cv=3, recipes=("oof",))
    assert found.n_images == N - 9
    assert found.left_out == {"unlabelled": 6, "failed": 3, "doubles": 0, "conflicting": 0}


def test_dataset_without_labels_is_refused(store: FeatureStore) -> None:
    store.write_dataset(index("photos", digest_rows(N), [""] * N))
    with pytest.raises(StackError, match="no labelled image"):
        run_experiment(store)


def test_one_class_is_refused(store: FeatureStore) -> None:
    store.write_dataset(index("photos", digest_rows(N), ["cat"] * N))
    with pytest.raises(StackError, match="cat"):
        run_experiment(store)


def test_class_with_fewer_images_than_folds_is_named_with_its_count(store: FeatureStore) -> None:
    store.write_dataset(index("photos", digest_rows(N), ["rare", "rare", *LABELS[2:]]))
    with pytest.raises(StackError, match=r"rare.*2"):
        run_experiment(store, cv=3)


def test_features_of_another_dataset_are_not_mixed_in(store: FeatureStore) -> None:
    other = digest_rows(N, "other ")
    store.write_dataset(index("others", other, LABELS))
    with pytest.raises(StackError, match=r"others.*resnet50-[0-9a-f]{12} lacks 90"):
        run_experiment(store, dataset="others")
    with pytest.raises(StackError, match="lacks 90"):
        run_experiment(store, dataset="others", backbones=["resnet50"])
    made = spec("xception")
    store.feature_set("xception", made).append(made, other, features(LABELS, 5), {})
    found = run_experiment(store, dataset="others", cv=3, recipes=("oof",))
    assert list(found.backbones) == ["xception"]


def test_latest_dataset_is_the_default_and_an_unknown_one_is_refused(store: FeatureStore) -> None:
    with pytest.raises(UsageError, match="photos"):
        run_experiment(store, dataset="fotos")


def test_unknown_backbone_names_those_that_are_there(store: FeatureStore) -> None:
    with pytest.raises(UsageError, match=r"resnet50, vgg19"):
        run_experiment(store, backbones=["resnet"])


def test_chosen_backbones_alone_are_stacked(store: FeatureStore) -> None:
    found = run_experiment(store, backbones=["vgg19"], cv=3, recipes=("oof",))
    assert [score.model for score in found.evaluation.results] == [
        "lr:vgg19",
        "svm:vgg19",
        "mean",
        "concat",
        "stack:oof",
    ]


def test_two_feature_sets_of_one_backbone_are_told_apart_by_id(store: FeatureStore) -> None:
    made = spec("vgg19", "bf16")
    store.feature_set("vgg19", made).append(made, digest_rows(N), features(LABELS, 7), {})
    names = list(run_experiment(store, cv=3, recipes=("oof",)).backbones)
    assert names[0] == "resnet50"
    assert all(name.startswith("vgg19-") for name in names[1:])
    assert len(names) == 3


def test_unknown_recipe_is_refused(store: FeatureStore) -> None:
    with pytest.raises(UsageError, match="publised"):
        run_experiment(store, recipes=("publised",))


def test_copies_of_an_image_count_once_and_with_two_labels_not_at_all(store: FeatureStore) -> None:
    digests = digest_rows(N).copy()
    digests[3], digests[6] = digests[0], digests[0]  # one label, three files
    digests[4] = digests[2]  # two labels
    store.write_dataset(index("photos", digests, LABELS))
    found = run_experiment(store, cv=3, recipes=("oof",))
    assert found.left_out == {"unlabelled": 0, "failed": 0, "doubles": 2, "conflicting": 2}
    assert found.n_images == N - 4
    rows = np.array([i for i in range(N) if i not in (2, 3, 4, 6)])
    blocks = {"resnet50": features(LABELS, 0)[rows], "vgg19": features(LABELS, 1)[rows]}
    y = np.array(LABELS)[rows]
    assert found.evaluation == evaluate(blocks, y, stratified_folds(y, 3, 0), recipes=("oof",))


def test_a_copy_of_a_test_image_is_not_trained_on(store: FeatureStore) -> None:
    digests = digest_rows(N).copy()
    digests[3] = digests[30]  # a training file, the same image as one under test
    splits = ["train" if i < 30 else "test" for i in range(N)]
    store.write_dataset(index("photos", digests, LABELS, splits))
    found = run_experiment(store, split="test", recipes=("oof",))
    rows = np.array([i for i in range(N) if i != 3])
    y = np.array(LABELS)[rows]
    blocks = {"resnet50": features(LABELS, 0)[rows], "vgg19": features(LABELS, 1)[rows]}
    fold = split_folds(np.array(splits)[rows], "test")
    assert found.evaluation == evaluate(blocks, y, fold, recipes=("oof",))


def test_groups_that_are_not_kept_together_are_mentioned(store: FeatureStore) -> None:
    listed = index("photos", digest_rows(N), LABELS)
    listed.group[0] = "patient 7"
    store.write_dataset(listed)
    assert "groups" in run_experiment(store, cv=3, recipes=("oof",)).caveats[0]


def test_a_feature_set_that_no_longer_covers_the_dataset_is_mentioned(store: FeatureStore) -> None:
    made = spec("xception")
    store.feature_set("xception", made).append(made, digest_rows(N)[:80], features(LABELS, 5)[:80], {})
    found = run_experiment(store, cv=3, recipes=("oof",))
    assert list(found.backbones) == ["resnet50", "vgg19"]
    assert "lacks 10 images" in found.caveats[0]
    assert "--backbones xception" in found.caveats[0]
