"""The commands of a report repeat its experiment: the command line reads them, and asks for the same."""

import hashlib
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from stackbone.cache import FeatureStore, StackError
from stackbone.cli import app
from stackbone.stack import Experiment, StackOptions, run_experiment, stack_options
from stackbone.stack.experiments.provenance import repeat_commands
from stackbone.stack.features.join import join_features
from stackbone.stack.features.source import extract_words
from tests.made.caches import on_disk

pytestmark = pytest.mark.usefixtures("one_blas_thread")

N = 60
LABELS = [f"class {i % 3}" for i in range(N)]
FIXED = StackOptions(c=0.1, inner_splits=3)
Make = Callable[..., FeatureStore]


class Stop(Exception):
    """Raised in place of the work."""


def asked(command: str, monkeypatch: pytest.MonkeyPatch, work: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return what a command asks of the room that does the work."""
    seen: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def record(*args: Any, **options: Any) -> None:  # noqa: ANN401
        seen.append((args, options))
        raise Stop

    words = shlex.split(command)
    assert words[0] == "stackbone"
    with monkeypatch.context() as patch:
        patch.setattr(work, record)
        result = CliRunner().invoke(app, words[1:])
    assert isinstance(result.exception, Stop), result.output
    return seen[0]


def stack_arguments(experiment: Experiment, store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    args, options = asked(repeat_commands(experiment, store)[-1], monkeypatch, "stackbone.stack.run_experiment")
    assert args[0].root == store.root
    return options


@pytest.fixture
def store(tmp_path: Path, make_cache: Make) -> FeatureStore:
    return make_cache(tmp_path / "my photos' $HOME features", LABELS)


ASKED: list[dict[str, Any]] = [
    {},
    {"cv": 2, "seed": 5, "repeats": 2, "recipes": ["published"], "group_by": "none", "near_duplicates": 0.999},
    {"backbones": ["vgg19"], "rare": "keep", "recipes": ["oof"]},
    {"recipes": ["mean"]},
    {"recipes": ["concat"], "seed": 1},
    {
        "recipes": ["oof"],
        "options": stack_options(meta="lr", scores="log-probability", combine="average", c=0.03, inner_splits=2),
    },
    {"options": stack_options(c=0.1, metric="balanced-accuracy", class_weight="balanced")},
    {
        "options": stack_options(
            c=0.1, metric="neg_log_loss", class_weight={"class 0": 1.0, "class 1": 2.5, "class 2": 3.0}
        )
    },
]


@pytest.mark.parametrize("options", ASKED, ids=range(len(ASKED)))
def test_the_command_asks_for_the_same_experiment(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    experiment = run_experiment(store, **({"options": FIXED} | options))
    found = stack_arguments(experiment, store, monkeypatch)
    assert found["options"] == experiment.options
    assert found["backbones"] == ",".join(map(str, experiment.backbones.values()))
    for name in ("cv", "repeats", "split", "seed", "group_by", "near_duplicates", "rare", "task", "dataset"):
        holder = experiment if hasattr(experiment, name) else experiment.division
        assert found[name] == getattr(holder, name), name
    assert tuple(found["recipes"]) == tuple(options.get("recipes", ("oof", "published")))


def test_a_split_and_a_regression_are_asked_for_again(
    tmp_path: Path, make_cache: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = [str(number) for number in np.arange(N) / 4]
    store = make_cache(tmp_path, labels, splits=["hold out" if i % 3 else "rest" for i in range(N)])
    experiment = run_experiment(
        store, split="hold out", task="regression", options=stack_options("regression", meta="svr")
    )
    found = stack_arguments(experiment, store, monkeypatch)
    assert (found["split"], found["task"], found["options"]) == ("hold out", "regression", experiment.options)


def test_a_folder_of_classes_is_extracted_again(
    tmp_path: Path, make_cache: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = tmp_path / "my; photos"
    photos.mkdir()
    store = make_cache(tmp_path / "features", LABELS, root=photos)
    extract, _ = repeat_commands(run_experiment(store, options=FIXED, recipes=["oof"]), store)
    (data,), options = asked(extract, monkeypatch, "stackbone.extract.open_dataset")
    assert data == str(photos)
    assert options["name"] == "photos"
    assert " --backbones resnet50,vgg19 --precision fp32 " in extract


def test_the_cache_does_not_know_the_name_of_a_table(tmp_path: Path, make_cache: Make) -> None:
    store = make_cache(tmp_path, LABELS, paths=[f"{i}.jpg" for i in range(N)])
    [command] = repeat_commands(run_experiment(store, options=FIXED, recipes=["oof"]), store)
    assert command.startswith("stackbone stack ")


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ([{}], ""),
        ([{"allow_truncated": "yes"}], " --allow-truncated"),
        (
            [{"max_pixels": "200000000"}, {"max_pixels": "300000000", "allow_truncated": "yes"}],
            " --allow-truncated --max-pixels 300000000",
        ),
        ([{"max_pixels": "1000"}, {}], ""),
        ([{"max_pixels": "9" * 30}, {"max_pixels": "²"}], ""),
    ],
    ids=["usual", "cut short", "large", "small", "odd"],
)
def test_what_let_images_in_is_asked_for_again(
    tmp_path: Path, make_cache: Make, made: list[dict[str, str]], words: str
) -> None:
    store = make_cache(tmp_path, LABELS, paths=[f"{label}/{i}.jpg" for i, label in enumerate(LABELS)])
    for each, provenance in zip(store.feature_sets(), made, strict=False):
        spec = each.header().spec
        digests = hashlib.sha256(each.id.encode()).digest()
        row = np.frombuffer(digests, np.uint8).reshape(1, 32)
        each.append(spec, row, np.ones((1, 8), np.float32), {"engine": "torch", **provenance})
    extract, _ = repeat_commands(run_experiment(store, options=FIXED, recipes=["oof"]), store)
    assert f" --backbones resnet50,vgg19 --precision fp32{words} --dataset photos " in extract
    advice = extract_words(store, store.dataset(), "--backbones", "xception")
    assert advice == f"`stackbone extract /photos --backbones xception{words} --cache {tmp_path}`"


def test_what_let_in_images_of_incomplete_sets_is_asked_for_again(tmp_path: Path, make_cache: Make) -> None:
    store = make_cache(tmp_path, LABELS)
    _, second = store.feature_sets()
    row, other = (np.frombuffer(hashlib.sha256(each).digest(), np.uint8).reshape(1, 32) for each in (b"new", b"newer"))
    index = store.dataset()
    store.write_dataset(replace(index, image_sha256=np.concatenate([row, other, index.image_sha256[2:]])))
    second.append(second.header().spec, row, np.ones((1, 8), np.float32), {"allow_truncated": "yes"})
    assert store.covering(store.dataset()) == []
    advice = extract_words(store, store.dataset(), "--backbones", "xception")
    assert " --allow-truncated " in advice
    with pytest.raises(StackError, match="--allow-truncated"):
        join_features(store, backbones="resnet50")
    shard = on_disk(second.shards()[0])
    shard.write_bytes(b"no HDF5")  # words of advice say what they can
    assert "stackbone extract" in extract_words(store, store.dataset(), "--backbones", "xception")
