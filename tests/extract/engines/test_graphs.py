"""A network is converted for OpenVINO once, and a kept graph that is not what was written is never used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stackbone.cache import UsageError
from stackbone.extract.backbones.backbone import BACKBONES, Backbone, Transform, get_backbone
from stackbone.extract.backbones.outputs import OutputForm
from stackbone.extract.backbones.weights import Weights, random_weights
from stackbone.extract.engines import graphs
from stackbone.extract.engines.engine import OpenVinoEngine, TorchEngine
from stackbone.extract.engines.graphs import graphs_folder, import_openvino, load_graph
from tests.made.checkout import ROOT
from tests.made.networks import relative

TINY = replace(
    BACKBONES["efficientnet_lite0"],
    name="tiny",
    architecture="test_efficientnet.r160_in1k",
    transform=Transform((64, 64), 0.875, "bicubic"),
)
PIXELS = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)

EMBED = """
import json, sys
from dataclasses import replace
import numpy as np
from stackbone.extract.backbones.backbone import BACKBONES, Transform
from stackbone.extract.engines.engine import OpenVinoEngine
from stackbone.extract.backbones.weights import random_weights
tiny = replace(BACKBONES["efficientnet_lite0"], name="tiny", architecture="test_efficientnet.r160_in1k",
               transform=Transform((64, 64), 0.875, "bicubic"))
pixels = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
[features] = OpenVinoEngine(tiny, random_weights(0)).embed(pixels)
heavy = sorted({"torch", "timm", "torchvision", "openvino_telemetry"} & {n for n, m in sys.modules.items() if m})
print(json.dumps({"heavy": heavy, "features": features.tolist()}))
"""


def embed() -> NDArray[np.float32]:
    return OpenVinoEngine(TINY, random_weights(0)).embed(PIXELS)[0]


@pytest.fixture(scope="module")
def reference() -> NDArray[np.float32]:
    return TorchEngine(TINY, random_weights(0), "cpu").embed(PIXELS)[0]


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return the three files of a kept graph, by name."""
    folder = tmp_path_factory.mktemp("graphs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STACKBONE_GRAPHS", str(folder))
        load_graph(TINY, random_weights(0))
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def kept(converted: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of graphs that holds the converted one."""
    folder = tmp_path / "graphs"
    folder.mkdir()
    for name, content in converted.items():
        (folder / name).write_bytes(content)
    monkeypatch.setenv("STACKBONE_GRAPHS", str(folder))
    return folder


@pytest.fixture
def conversions(converted: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the backbones converted from here on; the result is read from an untouched copy."""
    names: list[str] = []
    copy = tmp_path / "untouched"
    copy.mkdir()
    for name, content in converted.items():
        (copy / name).write_bytes(content)

    def convert(backbone: Backbone, _weights: Weights, outputs: Sequence[str]) -> graphs.Graph:
        names.append(backbone.name)
        assert list(outputs) == ["pooled"]
        graph = import_openvino().Core().read_model(only(copy, ".xml"), only(copy, ".bin"))
        return graph, (OutputForm("pooled", 256),)

    monkeypatch.setattr(graphs, "convert_graph", convert)
    return names


def only(folder: Path, suffix: str) -> Path:
    (path,) = folder.glob(f"*{suffix}")
    return path


def test_a_conversion_leaves_a_graph_and_its_record(converted: dict[str, bytes]) -> None:
    assert sorted(Path(name).suffix for name in converted) == [".bin", ".json", ".xml"]
    (stem,) = {Path(name).with_suffix("").name for name in converted}
    assert stem.startswith(f"tiny-{TINY.spec('random(0)').fingerprint}-20")


def test_a_kept_graph_is_used_without_torch_or_timm(kept: Path, reference: NDArray[np.float32]) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in kept.iterdir()}
    environment = {**os.environ, "STACKBONE_GRAPHS": str(kept)}
    done = subprocess.run(
        [sys.executable, "-c", EMBED], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert found["heavy"] == []
    assert relative(np.array(found["features"], np.float32), reference) < 1e-4
    assert {path.name: path.stat().st_mtime_ns for path in kept.iterdir()} == before


def test_threads_of_a_graph_are_not_bound_to_cores(kept: Path) -> None:
    """Beside threads that decode they would wait for cores while others are free: see bench/pinning.py."""
    assert OpenVinoEngine(TINY, random_weights(0))._compiled.get_property("ENABLE_CPU_PINNING") is False


def test_a_kept_graph_is_not_converted_again(
    kept: Path, conversions: list[str], reference: NDArray[np.float32]
) -> None:
    assert relative(embed(), reference) < 1e-4
    assert conversions == []
    assert len(list(kept.iterdir())) == 3


@pytest.mark.parametrize("suffix", [".bin", ".xml", ".json"])
@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "gone"])
def test_a_damaged_graph_is_not_used(
    kept: Path, conversions: list[str], reference: NDArray[np.float32], suffix: str, damage: str
) -> None:
    path = only(kept, suffix)
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 3] ^= 0x40
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes({"flipped": bytes(flipped), "cut": content[: len(content) // 2], "empty": b""}[damage])
    assert relative(embed(), reference) < 1e-4
    assert conversions == ["tiny"]
    assert relative(embed(), reference) < 1e-4
    assert conversions == ["tiny"]  # the sound one took its place


def test_a_record_of_another_kind_is_not_used(kept: Path, conversions: list[str]) -> None:
    for content in (b"[]", b"null", b'{".xml": 3}', b'"text"', b"\xff\xfe"):
        only(kept, ".json").write_bytes(content)
        load_graph(TINY, random_weights(0))
    assert conversions == ["tiny"] * 5


def test_another_spec_is_another_graph(kept: Path, conversions: list[str]) -> None:
    load_graph(TINY, random_weights(0))
    load_graph(TINY, random_weights(1))
    load_graph(replace(TINY, mean=(0.4, 0.4, 0.4)), random_weights(0))
    load_graph(replace(TINY, name="other"), random_weights(0))
    assert conversions == ["tiny", "tiny", "other"]
    assert len(list(kept.glob("*.json"))) == 4


@pytest.mark.parametrize("package", ["openvino", "torch", "timm"])
def test_another_version_of_a_converter_is_another_graph(
    kept: Path, conversions: list[str], monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setattr(
        "stackbone.extract.engines.graphs.version", lambda name: "2031.1.0" if name == package else version(name)
    )
    load_graph(TINY, random_weights(0))
    assert conversions == ["tiny"]
    assert len(list(kept.glob("*2031.1.0*.json"))) == 1


@pytest.mark.parametrize("where", ["below a file", "read-only"])
def test_a_folder_that_cannot_be_written_costs_a_conversion_only(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    conversions: list[str],
    reference: NDArray[np.float32],
    where: str,
) -> None:
    (tmp_path / "taken").write_text("a file")
    folder = tmp_path / "taken" / "graphs" if where == "below a file" else Path("/proc/self")
    if where == "read-only" and not folder.is_dir():
        pytest.skip("there is no /proc here, the one folder that not even root can write to")
    monkeypatch.setenv("STACKBONE_GRAPHS", str(folder))
    for n in (1, 2):
        assert relative(embed(), reference) < 1e-4
        assert conversions == ["tiny"] * n


def test_graphs_lie_in_the_users_cache_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("STACKBONE_GRAPHS", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert graphs_folder() == tmp_path / ".cache/stackbone/graphs"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert graphs_folder() == tmp_path / "xdg/stackbone/graphs"
    monkeypatch.setenv("STACKBONE_GRAPHS", str(tmp_path / "mine"))
    assert graphs_folder() == tmp_path / "mine"


@pytest.mark.slow
def test_openvino_writes_nothing_but_the_graph_into_the_home(tmp_path: Path, reference: NDArray[np.float32]) -> None:
    home = tmp_path / "home"
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "STACKBONE_"))}
    environment |= {"HOME": str(home), "USERPROFILE": str(home), "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", EMBED], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert relative(np.array(json.loads(done.stdout)["features"], np.float32), reference) < 1e-4
    assert "torch" in json.loads(done.stdout)["heavy"]  # it was converted there
    assert "openvino_telemetry" not in json.loads(done.stdout)["heavy"]
    files = sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file())
    assert len(files) == 3
    assert all(name.startswith(".cache/stackbone/graphs/tiny-") for name in files)
    assert not (home / "intel").exists()


# Several outputs


SEVERAL = ("pooled", "stages", "mean", "gem", "map", "layer:blocks.1")


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return the three files of a kept graph of several outputs, by name."""
    folder = tmp_path_factory.mktemp("several")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STACKBONE_GRAPHS", str(folder))
        load_graph(TINY, random_weights(0), SEVERAL)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def expected() -> dict[str, NDArray[np.float32]]:
    """Return what torch gives for each output."""
    found = TorchEngine(TINY, random_weights(0), "cpu", outputs=SEVERAL).embed(PIXELS)
    return dict(zip(SEVERAL, found, strict=True))


@pytest.fixture
def kept_several(several: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that holds that graph; nothing can be converted any more."""
    folder = tmp_path / "several"
    folder.mkdir()
    for name, content in several.items():
        (folder / name).write_bytes(content)
    monkeypatch.setenv("STACKBONE_GRAPHS", str(folder))

    def refuse(_backbone: Backbone, _weights: Weights, outputs: Sequence[str]) -> graphs.Graph:
        raise RuntimeError(",".join(outputs))

    monkeypatch.setattr(graphs, "convert_graph", refuse)
    return folder


def test_the_name_of_a_kept_graph_tells_its_outputs(several: dict[str, bytes], converted: dict[str, bytes]) -> None:
    (stem,), (alone,) = ({Path(name).with_suffix("").name for name in kept} for kept in (several, converted))
    assert stem.startswith(f"{alone}+")
    [record] = [json.loads(content) for name, content in several.items() if name.endswith(".json")]
    assert [each["output"] for each in record["outputs"]] == list(SEVERAL)


@pytest.mark.parametrize(
    "outputs", [SEVERAL, ("stages",), ("pooled",), ("map", "pooled"), ("layer:blocks.1", "gem", "stages")]
)
def test_a_graph_of_more_outputs_serves_and_equals_torch(
    kept_several: Path, expected: dict[str, NDArray[np.float32]], outputs: Sequence[str]
) -> None:
    engine = OpenVinoEngine(TINY, random_weights(0), outputs=outputs)
    assert [form.output for form in engine.forms] == list(outputs)
    for output, form, rows in zip(outputs, engine.forms, engine.embed(PIXELS), strict=True):
        assert rows.shape == (3, form.n_columns)
        assert relative(rows, expected[output]) < 1e-4
    assert len(list(kept_several.iterdir())) == 3


@pytest.mark.parametrize("outputs", [("max",), ("pooled", "max"), ("layer:blocks.2",)])
def test_a_graph_that_lacks_an_output_does_not_serve(kept_several: Path, outputs: Sequence[str]) -> None:
    with pytest.raises(RuntimeError, match=",".join(outputs)):
        load_graph(TINY, random_weights(0), outputs)
    assert len(list(kept_several.iterdir())) == 3


@pytest.mark.parametrize("change", ["outputs", "columns", "none", "text"])
def test_a_record_that_tells_other_outputs_is_not_used(kept_several: Path, change: str) -> None:
    path = only(kept_several, ".json")
    record = json.loads(path.read_text())
    told = record["outputs"]
    if change == "outputs":
        told[0]["output"], told[1]["output"] = told[1]["output"], told[0]["output"]
    record["outputs"] = {
        "outputs": told,
        "columns": [{**told[0], "n_columns": 7}, *told[1:]],
        "none": [],
        "text": "pooled",
    }[change]
    path.write_text(json.dumps(record))
    with pytest.raises(RuntimeError, match="pooled"):
        load_graph(TINY, random_weights(0), SEVERAL)


@pytest.mark.parametrize("outputs", [("blocks",), ("pooled", "cls")])
def test_an_output_that_the_network_lacks_is_no_engines_fault(kept_several: Path, outputs: Sequence[str]) -> None:
    assert kept_several
    with pytest.raises(UsageError, match=r"tiny has no output .*: it has pooled, stages, mean, max, gem, map"):
        TorchEngine(TINY, random_weights(0), "cpu", outputs=outputs)


VIT = ("pooled", "blocks", "cls", "mean", "cls+mean", "map", "layer:blocks.0")
CONVNEXT = ("pooled", "stages", "mean", "max", "layer:stages.0")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "outputs"), [("timm:test_vit.r160_in1k", VIT), ("timm:test_convnext.r160_in1k", CONVNEXT)]
)
def test_every_output_of_other_networks_equals_torch_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, outputs: Sequence[str]
) -> None:
    monkeypatch.setenv("STACKBONE_GRAPHS", str(tmp_path))
    backbone = get_backbone(name)
    height, width = backbone.transform.input_size
    pixels = np.random.default_rng(0).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    torch_engine = TorchEngine(backbone, random_weights(0), "cpu", outputs=outputs)
    graph_engine = OpenVinoEngine(backbone, random_weights(0), outputs=outputs)
    assert list(graph_engine.forms) == list(torch_engine.forms)
    for found, expected in zip(graph_engine.embed(pixels), torch_engine.embed(pixels), strict=True):
        assert relative(found, expected) < 1e-4
