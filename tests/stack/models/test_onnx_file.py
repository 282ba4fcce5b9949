"""An ONNX file answers as the model that it was written of, whatever the model is."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stackbone.cache import CacheError, FeatureStore, ModelError, UsageError, feature_set_id
from stackbone.cache.disk.onnx_form import ROWS
from stackbone.stack.models.model import StackModel
from stackbone.stack.models.onnx_file import write_onnx
from stackbone.stack.models.predict import predict
from stackbone.stack.tasks.registry import TASKS
from stackbone.stack.tasks.task import Task
from tests.conftest import MakeCache
from tests.made.multilabel import fill, index_of, make_presence, texts_of
from tests.made.numbers import NAMES, fill_numbers, make_numbers, numbers_index
from tests.stack.models.test_model import DIMS, made_map, made_model, made_regression
from tests.stack.models.test_model_file import viewed_model
from tests.stack.models.test_novelty import model_with_features
from tests.stack.models.test_saved_heads import LABELS, NUMBERS, N, saved

onnx = pytest.importorskip("onnx", reason="the onnx extra brings it")
onnxruntime = pytest.importorskip("onnxruntime", reason="the onnx extra brings it")

pytestmark = pytest.mark.usefixtures("one_blas_thread")

SPLITS = ["test" if i % 4 == 0 else "train" for i in range(N)]
Blocks = dict[str, NDArray[np.float32]]


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory, make_cache: MakeCache) -> FeatureStore:
    return make_cache(tmp_path_factory.mktemp("classes"), LABELS, splits=SPLITS)


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory, make_cache: MakeCache) -> FeatureStore:
    return make_cache(tmp_path_factory.mktemp("numbers"), NUMBERS, splits=SPLITS)


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    presence = make_presence(N)
    return fill(tmp_path_factory.mktemp("labels"), presence, index_of(texts_of(presence), splits=SPLITS))


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    values = make_numbers(N)
    return fill_numbers(tmp_path_factory.mktemp("several"), values, numbers_index(values, splits=SPLITS))


def run(file: Path, features: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return what ONNX Runtime gives for each output, of values by name of the input."""
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return dict(zip([each.name for each in session.get_outputs()], session.run(None, dict(features)), strict=True))


def metadata_of(file: Path) -> dict[str, Any]:
    return {each.key: json.loads(each.value) for each in onnx.load(file).metadata_props}


def check_answers(model: StackModel, folder: Path, blocks: Blocks) -> dict[str, NDArray[Any]]:
    """Write a model, run the file on features by backbone name, and compare it with the model itself."""
    written = write_onnx(model, folder / "m.onnx")
    names = [each["name"] for each in written.inputs]
    assert [each["feature_set"] for each in written.inputs] == list(model.specs)
    found = run(folder / "m.onnx", dict(zip(names, [blocks[each.name] for each in model.backbones], strict=True)))
    paths = [str(i) for i in range(len(next(iter(blocks.values()))))]
    answers = predict(model, paths, blocks, top=len(model.classes))
    if model.targets:
        rows = [[*(each.values or {}).items()] for each in answers]
        assert {tuple(name for name, _ in row) for row in rows} == {tuple(metadata_of(folder / "m.onnx")["targets"])}
        np.testing.assert_allclose(found["values"], [[value for _, value in row] for row in rows], rtol=1e-5, atol=1e-4)
        return found
    if not model.classes:
        values = np.array([each.value for each in answers], np.float64)
        np.testing.assert_allclose(found["values"], values, rtol=1e-5, atol=1e-4)
        assert found["values"].shape == (len(paths),)
        return found
    probabilities = np.array([[dict(each.ranked)[name] for name in model.classes] for each in answers])
    np.testing.assert_allclose(found["probabilities"], probabilities, atol=1e-4)
    if model.thresholds is None:
        assert [model.classes[place] for place in found["class"]] == [each.ranked[0][0] for each in answers]
    else:
        said = [[name for name, there in zip(model.classes, row, strict=True) if there] for row in found["present"]]
        assert said == [each.labels for each in answers]
    return found


def blocks_of(store: FeatureStore, model: StackModel) -> Blocks:
    digests = store.dataset().image_sha256
    return model.blocks({each.id: each.load(digests) for each in store.feature_sets() if each.id in model.specs})


# Fitted models of every kind


@pytest.mark.parametrize(
    ("recipe", "options"),
    [
        ("oof", {"meta": "svm"}),
        ("oof", {"meta": "svm", "scores": "log-probability", "combine": "average"}),
        ("oof", {"meta": "lr"}),
        ("oof", {"meta": "lr", "scores": "decision"}),
        ("oof", {"meta": "convex"}),
        ("oof", {"meta": "greedy"}),
        ("oof", {"meta": "mean"}),
        ("oof", {"heads": "lda"}),
        ("oof", {"heads": "ridge_classifier", "meta": "convex"}),
        ("oof", {"heads": "lr,lda,ridge_classifier", "meta": "lr"}),
        ("oof", {"heads": "lda,lr", "meta": "greedy"}),
        ("mean", {"heads": "lr,lda"}),
        ("mean", {}),
        ("concat", {}),
        ("published", {}),
    ],
    ids=str,
)
def test_models_of_classes_answer_as_they_do(
    classes: FeatureStore, tmp_path: Path, recipe: str, options: dict[str, Any]
) -> None:
    model, _ = saved(classes, tmp_path / "m", recipe, **options)
    found = check_answers(model, tmp_path, blocks_of(classes, model))
    assert len(set(found["class"].tolist())) == len(model.classes)


@pytest.mark.parametrize(
    ("recipe", "meta"),
    [*(("oof", each) for each in ("ridge", "svr", "greedy", "mean")), ("mean", "mean"), ("concat", "ridge")],
)
def test_models_of_numbers_answer_as_they_do(numbers: FeatureStore, tmp_path: Path, recipe: str, meta: str) -> None:
    model, _ = saved(numbers, tmp_path / "m", recipe, "regression", meta=meta)
    found = check_answers(model, tmp_path, blocks_of(numbers, model))
    assert np.ptp(found["values"]) > 3


@pytest.mark.parametrize("meta", ["label-lr", "mean"])
def test_models_of_labels_answer_as_they_do(labels: FeatureStore, tmp_path: Path, meta: str) -> None:
    model, _ = saved(labels, tmp_path / "m", "oof", "multilabel", meta=meta)
    found = check_answers(model, tmp_path, blocks_of(labels, model))
    assert 0 < found["present"].mean() < 1
    assert metadata_of(tmp_path / "m.onnx")["thresholds"] == pytest.approx(model.thresholds)


@pytest.mark.parametrize(("recipe", "meta"), [("oof", "ridge"), ("mean", "mean"), ("concat", "ridge")])
def test_models_of_several_numbers_answer_as_they_do(
    several: FeatureStore, tmp_path: Path, recipe: str, meta: str
) -> None:
    model, _ = saved(several, tmp_path / "m", recipe, "multitarget", meta=meta)
    found = check_answers(model, tmp_path, blocks_of(several, model))
    assert found["values"].shape == (N, 3)
    told = metadata_of(tmp_path / "m.onnx")
    assert (told["targets"], told["classes"], told["task"]) == ([*NAMES], [], "multitarget")
    assert (
        "numbers, in the order of the metadata's targets" in onnx.load(tmp_path / "m.onnx").graph.output[0].doc_string
    )


# Made models: whatever a file may hold


def scaled_blocks(size: float, n: int = 40) -> Blocks:
    rng = np.random.default_rng(5)
    return {name: (size * rng.normal(size=(n, dim))).astype(np.float32) for name, dim in DIMS.items()}


@pytest.mark.parametrize("size", [1e-3, 1.0, 100.0])
@pytest.mark.parametrize("combine", ["concat", "average"])
@pytest.mark.parametrize("scores", ["probability", "log-probability", "decision"])
def test_any_meta_features_of_any_size(tmp_path: Path, scores: str, combine: str, size: float) -> None:
    model = replace(made_model(scores=scores, combine=combine), scale=0.3)
    check_answers(model, tmp_path, scaled_blocks(size))


@pytest.mark.parametrize("size", [1e-3, 1.0, 100.0])
@pytest.mark.parametrize("weights", [None, [0.5, 0.5], [0.9, 0.1], [1.0, 0.0], [0.0, 1.0]])
@pytest.mark.parametrize("scale", [0.05, 1.0, 20.0])
def test_any_mean_of_probabilities(tmp_path: Path, weights: list[float] | None, size: float, scale: float) -> None:
    learner = "mean" if weights is None else "convex"
    model = replace(made_model(learner="mean"), learner=learner, weights=weights, scale=scale)
    check_answers(model, tmp_path, scaled_blocks(size))


@pytest.mark.parametrize("size", [1e-3, 1.0, 100.0])
@pytest.mark.parametrize("scale", [0.05, 1.0, 5.0])
def test_any_mean_of_labels(tmp_path: Path, size: float, scale: float) -> None:
    thresholds = np.array([0.1, 0.3, 0.9], np.float32)  # two backbones that are sure of opposites meet at 0.5
    model = replace(made_model(learner="mean"), task="multilabel", thresholds=thresholds, scale=scale)
    check_answers(model, tmp_path, scaled_blocks(size))


def test_features_far_from_zero_lose_nothing(tmp_path: Path) -> None:
    model, far = made_model(), np.float32(1e4)
    bases = [replace(base, mean=np.full(len(base.coef), far, np.float32)) for base in model.bases]
    blocks = {name: block + far for name, block in scaled_blocks(1.0).items()}
    check_answers(replace(model, bases=bases), tmp_path, blocks)


def test_two_classes_and_a_regression(tmp_path: Path) -> None:
    check_answers(made_model(classes=["no", "yes"]), tmp_path, scaled_blocks(1.0))
    check_answers(made_regression(), tmp_path, scaled_blocks(1.0))


def test_outputs_of_one_network_add_up(tmp_path: Path) -> None:
    model = replace(made_model(), members=[2], meta_linear=made_map(9, 3, 3))
    check_answers(model, tmp_path, scaled_blocks(1.0))


def test_views_have_an_input_each_and_their_mean_is_taken(tmp_path: Path) -> None:
    model = viewed_model()
    written = write_onnx(model, tmp_path / "m.onnx")
    assert [each["name"] for each in written.inputs] == ["resnet50", "resnet50_hflip", "vgg19"]
    rng = np.random.default_rng(0)
    features = {each["name"]: rng.normal(size=(9, each["shape"][1])).astype(np.float32) for each in written.inputs}
    by_id = {each["feature_set"]: features[each["name"]] for each in written.inputs}
    expected = np.exp(model.log_probabilities(model.blocks(by_id)))
    np.testing.assert_allclose(run(tmp_path / "m.onnx", features)["probabilities"], expected, atol=1e-4)


# What the file says of itself


def test_the_metadata_say_all_that_a_caller_must_know(tmp_path: Path) -> None:
    model = replace(made_model(), classes=["coat", "h\udce4t", "Schuh 鞋"])
    written = write_onnx(model, tmp_path / "m.onnx")
    told = metadata_of(tmp_path / "m.onnx")
    assert sorted(told) == ["classes", "inputs", "model", "task"]
    assert (told["classes"], told["task"]) == (model.classes, "classification")
    assert told["inputs"] == written.inputs
    first = told["inputs"][0]
    assert (first["name"], first["shape"], first["type"]) == ("resnet50", ["n", 5], "float32")
    assert first["feature_set"] == feature_set_id("resnet50", model.backbones[0].spec)
    assert first["spec"] == json.loads(model.backbones[0].spec.to_json())
    assert told["model"]["score"] == model.score
    proto = onnx.load(tmp_path / "m.onnx")
    assert [(each.domain, each.version) for each in proto.opset_import] == [("", 18)]
    assert proto.ir_version == 8
    assert proto.producer_name == "stackbone"
    assert written.n_bytes == (tmp_path / "m.onnx").stat().st_size
    assert [each["shape"] for each in written.outputs] == [["n", 3], ["n"]]


@pytest.mark.parametrize(
    ("names", "inputs"),
    [
        (["timm:resnet18.a1_in1k", "timm:resnet18_a1_in1k"], ["timm_resnet18_a1_in1k", "timm_resnet18_a1_in1k_2"]),
        (["probabilities", "class"], ["features_probabilities", "features_class"]),
        (["8bit", "x"], ["features_8bit", "x"]),
        (["", "_constant_1"], ["features_", "features__constant_1"]),
        (["-constant-1", "_network_1_pixels"], ["features__constant_1", "features__network_1_pixels"]),
        (["\u978b", "é"], ["features__", "features___2"]),
    ],
)
def test_names_of_inputs_are_identifiers_of_their_own(tmp_path: Path, names: list[str], inputs: list[str]) -> None:
    model = made_model()
    backbones = [
        replace(each, name=name)  # a file of a model may have any
        for each, name in zip(model.backbones, names, strict=True)
    ]
    written = write_onnx(replace(model, backbones=backbones), tmp_path / "m.onnx")
    assert [each["name"] for each in written.inputs] == inputs
    run(
        tmp_path / "m.onnx",
        {name: np.zeros((1, dim), np.float32) for name, dim in zip(inputs, DIMS.values(), strict=True)},
    )


def test_no_images_give_no_rows(tmp_path: Path) -> None:
    write_onnx(made_model(), tmp_path / "m.onnx")
    features = {"resnet50": np.zeros((0, 5), np.float32), "timm_resnet18_a1_in1k": np.zeros((0, 4), np.float32)}
    assert run(tmp_path / "m.onnx", features)["probabilities"].shape == (0, 3)


def test_of_unlike_images_nothing_is_in_the_file(tmp_path: Path) -> None:
    model = model_with_features()
    assert model.novelty is not None
    rng = np.random.default_rng(2)
    widths = {name: each.shape[1] for name, each in model.novelty.features.items()}
    check_answers(model, tmp_path, {name: rng.normal(size=(9, n)).astype(np.float32) for name, n in widths.items()})
    told = metadata_of(tmp_path / "m.onnx")
    assert "novelty" not in json.dumps(told)
    write_onnx(replace(model, novelty=None), tmp_path / "without.onnx")
    assert (tmp_path / "m.onnx").read_bytes() == (tmp_path / "without.onnx").read_bytes()


# What cannot be written


def test_a_model_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stackbone.stack.models.onnx_file.MOST_BYTES", 100)
    with pytest.raises(ModelError, match=r"an ONNX file less than"):
        write_onnx(made_model(), tmp_path / "m.onnx")
    assert os.listdir(tmp_path) == []


def test_a_model_that_names_and_operators_make_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    constants = 4 * (5 * 3 + 3 + 4 * 3 + 3 + 6 * 3 + 3 + 1)
    size = write_onnx(made_model(), tmp_path / "m.onnx").n_bytes
    for most in (constants, constants + 200, size - 1):
        monkeypatch.setattr("stackbone.stack.models.onnx_file.MOST_BYTES", most)
        with pytest.raises(ModelError, match=r"an ONNX file less than .* Fit it on fewer backbones"):
            write_onnx(made_model(), tmp_path / "m.onnx")
    monkeypatch.setattr("stackbone.stack.models.onnx_file.MOST_BYTES", size)
    write_onnx(made_model(), tmp_path / "m.onnx")


@dataclass(frozen=True)
class MadeNetwork:
    """A network whose graph gives the mean of the pixels by one operator, for every feature set of a model."""

    features: Mapping[str, str]
    graph: Any
    name: str = "made"
    pixels: Mapping[str, Any] = field(default_factory=lambda: {"height": 2, "width": 2, "how": "as it is"})


@pytest.mark.parametrize(
    ("operator", "shape", "words"),
    [
        ("NoSuchOperator", [ROWS, 5], "NoSuchOperator"),
        ("Identity", [ROWS, 3, 2, 2], "."),
        ("Cast", [ROWS, 5], "to"),  # lacks what to cast to
    ],
)
def test_what_onnx_finds_invalid_is_told_in_words(
    tmp_path: Path, operator: str, shape: list[str | int], words: str
) -> None:
    from onnx import TensorProto, helper

    given = helper.make_tensor_value_info("pixels", TensorProto.UINT8, [ROWS, 3, 2, 2])
    taken = helper.make_tensor_value_info("features", TensorProto.FLOAT, shape)
    graph = helper.make_graph([helper.make_node(operator, ["pixels"], ["features"])], "made", [given], [taken])
    model = made_model()
    network = MadeNetwork(dict.fromkeys(model.specs, "features"), graph)
    with pytest.raises(ModelError, match=rf"cannot be written as ONNX \(.*{words}.*\)\. Report it, and use `stackb"):
        write_onnx(model, tmp_path / "m.onnx", [network])
    assert os.listdir(tmp_path) == []


def test_a_place_that_cannot_be_written_is_named_and_what_was_there_stays(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for place in (tmp_path, tmp_path / "file" / "m.onnx"):
        with pytest.raises((CacheError, UsageError), match=rf"{place}.*name a"):
            write_onnx(made_model(), place)
    assert (tmp_path / "file").read_text() == "in the way"
    assert sorted(os.listdir(tmp_path)) == ["file"]


@pytest.mark.parametrize("name", ["onnx", "onnxruntime"])
def test_without_the_libraries_their_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda asked: None if asked == name else object())
    with pytest.raises(UsageError, match=rf"needs {name}, not installed here. Run `pip install 'stackbone\[onnx\]'`"):
        write_onnx(made_model(), tmp_path / "m.onnx")


def test_a_task_of_another_package_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(TASKS["classification"]), "add_to_graph", Task.add_to_graph)
    with pytest.raises(UsageError, match="models of the task classification cannot be written as ONNX"):
        write_onnx(made_model(), tmp_path / "m.onnx")
