"""A result file's experiment runs again and gives its numbers, or says which one it does not give."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stackbone.cache import FeatureStore, StackError, UsageError
from stackbone.stack import Experiment, StackOptions, run_experiment, stack_options
from stackbone.stack.experiments.against.image_answers import image_answers
from stackbone.stack.experiments.reproduce import reproduce_experiment
from stackbone.stack.experiments.result_file import read_result, write_result

pytestmark = pytest.mark.usefixtures("one_blas_thread")

N = 60
LABELS = [f"class {i % 3}" for i in range(N)]
FIXED = StackOptions(c=0.1, inner_splits=3)
Make = Callable[..., FeatureStore]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, make_cache: Make) -> FeatureStore:
    return make_cache(tmp_path_factory.mktemp("features"), LABELS)


@pytest.fixture(scope="module")
def experiment(store: FeatureStore) -> Experiment:
    return run_experiment(store, options=FIXED)


@pytest.fixture
def file(tmp_path: Path, experiment: Experiment) -> Path:
    """Return the result of an experiment."""
    file = tmp_path / "result.json"
    write_result(experiment, file)
    return file


def rewrite(file: Path, **changes: Any) -> None:  # noqa: ANN401
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_what_was_written_is_read(experiment: Experiment, file: Path) -> None:
    content = read_result(file)
    images = content.pop("images")
    assert content.pop("n_tested") == [len(fold.test) for fold in experiment.folds]
    assert content == experiment.to_dict()
    assert images == image_answers(experiment).to_dict()
    assert len(images["image_sha256"]) == experiment.n_images


ASKED: list[dict[str, Any]] = [
    {"options": FIXED},
    {"options": stack_options(meta="lr", scores="decision", combine="average", c=0.1, inner_splits=2), "cv": 2},
    {"options": FIXED, "recipes": ["published"], "seed": 4, "repeats": 2, "cv": 2, "group_by": "folder"},
    {"options": FIXED, "backbones": ["vgg19"], "rare": "keep", "near_duplicates": 0.9999},
    {"options": FIXED, "split": "test"},
    {"options": stack_options(c=0.1, inner_splits=3, metric="roc_auc", class_weight="balanced"), "split": "test"},
    {"options": stack_options(c=0.1, metric="log_loss", class_weight={f"class {i}": i + 1.0 for i in range(3)})},
]


@pytest.mark.parametrize("asked", ASKED, ids=range(len(ASKED)))
def test_the_same_experiment_comes_out_without_a_fit_of_a_backbone(
    tmp_path: Path, make_cache: Make, monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any]
) -> None:
    splits = ["test" if i % 2 else "train" for i in range(N)]
    paths = [f"folder {i // 2}/{i}.jpg" for i in range(N)]
    store = make_cache(tmp_path, LABELS, splits=splits, paths=paths)
    first = run_experiment(store, **asked)
    write_result(first, tmp_path / "result.json")
    monkeypatch.setattr(
        sys.modules["stackbone.stack.learners.bases.lr"],
        "score_classes",
        lambda *_: pytest.fail("a fit was run again"),
    )
    again = reproduce_experiment(tmp_path / "result.json", store)
    assert again.to_dict() == first.to_dict()


def test_a_regression_is_repeated(tmp_path: Path, make_cache: Make) -> None:
    store = make_cache(tmp_path, [str(i) for i in range(N)], noise=20.0)
    first = run_experiment(store, task="regression", options=stack_options("regression", meta="mean"))
    write_result(first, tmp_path / "result.json")
    assert reproduce_experiment(tmp_path / "result.json", store).to_dict() == first.to_dict()


def test_a_steered_backbone_lists_a_feature_set_for_each_fold(store: FeatureStore, file: Path) -> None:
    content = json.loads(file.read_text())
    rewrite(file, backbones={name: [identity] * 3 for name, identity in content["backbones"].items()})
    assert list(reproduce_experiment(file, store).backbones) == ["resnet50", "vgg19"]


def test_changed_labels_are_refused_with_the_first_number_that_differs(
    tmp_path: Path, make_cache: Make, file: Path
) -> None:
    make_cache(tmp_path / "features", LABELS)
    store = make_cache(tmp_path / "features", [LABELS[1], LABELS[0], *LABELS[2:]])
    with pytest.raises(StackError, match=r"result\.json does not describe.*it records .* in fold \d.*--result again"):
        reproduce_experiment(file, store)


def test_other_images_are_refused(tmp_path: Path, make_cache: Make, file: Path) -> None:
    store = make_cache(tmp_path, [*LABELS, "class 0"])
    with pytest.raises(StackError, match="it records 60 images, and there are 61"):
        reproduce_experiment(file, store)


def test_the_version_that_recorded_other_numbers_is_named(store: FeatureStore, file: Path) -> None:
    content = json.loads(file.read_text())
    content["results"][0]["accuracy"]["folds"][1] += 0.01
    rewrite(file, results=content["results"], stackbone="0.0.7")
    with pytest.raises(StackError, match=r"accuracy of lr:resnet50 in fold 2.*recorded by Stackbone 0\.0\.7"):
        reproduce_experiment(file, store)


def test_a_result_that_names_no_dealing_is_repeated_with_the_folds_of_rows(store: FeatureStore, file: Path) -> None:
    write_result(run_experiment(store, dealing="rows", options=FIXED), file)
    content = json.loads(file.read_text())
    assert content.pop("dealing") == "rows"
    file.write_text(json.dumps(content))
    assert reproduce_experiment(file, store).division.dealing == "rows"
    rewrite(file, dealing="digests")
    with pytest.raises(StackError, match="does not describe what is in the cache"):
        reproduce_experiment(file, store)
    rewrite(file, dealing="cards")
    with pytest.raises(StackError, match="its dealing is 'cards'"):
        reproduce_experiment(file, store)


def test_rows_that_repeated_a_single_backbone_are_no_difference(store: FeatureStore, file: Path) -> None:
    asked: dict[str, Any] = {"backbones": ["vgg19"], "options": FIXED}
    older = run_experiment(store, recipes=("oof", "mean", "concat"), **asked).to_dict()
    write_result(run_experiment(store, recipes=("oof",), **asked), file)
    rewrite(file, results=older["results"], recipe="oof")
    assert list(reproduce_experiment(file, store).backbones) == ["vgg19"]


def test_rounding_is_no_difference(store: FeatureStore, file: Path) -> None:
    content = json.loads(file.read_text())
    content["results"][0]["log_loss"]["folds"][1] *= 1 + 1e-8
    rewrite(file, results=content["results"])
    reproduce_experiment(file, store)


def test_numbers_that_one_side_lacks_are_a_difference(store: FeatureStore, file: Path) -> None:
    content = json.loads(file.read_text())
    content["results"][0]["kappa"] = {"folds": [0.5] * 3}
    rewrite(file, results=content["results"])
    with pytest.raises(StackError, match="only one of the two has lr:resnet50 kappa"):
        reproduce_experiment(file, store)
    del content["results"][0]["kappa"]
    content["results"][0]["accuracy"]["folds"].pop()
    rewrite(file, results=content["results"])
    with pytest.raises(StackError, match="1 repeats of 3 folds and lists the scores of 2, 3"):
        reproduce_experiment(file, store)


def test_a_dataset_that_is_gone_is_named(store: FeatureStore, file: Path) -> None:
    rewrite(file, dataset="flowers")
    with pytest.raises(UsageError, match="no dataset 'flowers'"):
        reproduce_experiment(file, store)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "other"}, "its format is not 'stackbone-result'"),
        ({"format_version": "x"}, "its format version is 'x'"),
        ({"format_version": 99}, "format version 99.*Update Stackbone"),
        ({"cv": "three"}, "its field 'cv' is missing or of another type"),
        ({"backbones": ["resnet50"]}, "its field 'backbones'"),
        ({"meta": {"learner": "svm"}}, "its field 'meta' has learner"),
        ({"results": [{"model": "lr:resnet50", "accuracy": 3}]}, "its scores are not as they are written"),
        ({"results": ["lr:resnet50"]}, "its scores are not as they are written"),
    ],
)
def test_what_is_no_sound_result_is_refused(
    store: FeatureStore, file: Path, changes: dict[str, Any], message: str
) -> None:
    rewrite(file, **changes)
    with pytest.raises(StackError, match=message) as raised:
        reproduce_experiment(file, store)
    assert str(file) in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_object_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "result.json"
    file.write_bytes(content)
    with pytest.raises(StackError, match=r"result\.json is not a valid result.*stack --result FILE"):
        read_result(file)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"none\.json does not exist.*--result FILE"):
        read_result(tmp_path / "none.json")
    with pytest.raises(StackError, match="is a folder"):
        read_result(tmp_path)
