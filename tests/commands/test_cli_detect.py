"""`detect`, and `predict`, `evaluate` and `inspect` with what it saves: what is printed where, exit codes, files."""

from __future__ import annotations

import csv
import json
import re
import subprocess
from collections.abc import Callable
from functools import partial
from io import StringIO
from pathlib import Path

import pytest
from PIL import Image

from stackbone.stack.detection.head import HEADS
from tests.made.annotated import voc_object
from tests.made.detection import CELLS_HEAD, make_voc_cache

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of 24 annotated photographs, a cache with their maps, and a detection model."""
    folder = tmp_path_factory.mktemp("detect")
    make_voc_cache(folder)
    return folder


@pytest.fixture
def run(in_process: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a way to run commands in that folder, with a head that needs no training."""
    monkeypatch.setitem(HEADS._ours, CELLS_HEAD.name, CELLS_HEAD)
    return partial(in_process, cwd=folder)


@pytest.fixture
def model(run: Run, folder: Path) -> Path:
    """Return a detection model."""
    if not (folder / "m.stackbone").exists():
        done = run("detect", "--head", "cells", "--save", "m.stackbone")
        assert done.returncode == 0, done.stderr
    return folder / "m.stackbone"


def rows_of(file: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(file.read_text(encoding="utf-8-sig"))))


def test_a_table_a_verdict_and_files(run: Run, folder: Path) -> None:
    files = ("--result", "r.json", "--csv", "r.csv", "--report", "r.html", "--save", "own")
    done = run("detect", "--head", "cells", *files)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("shapes: 24 images, ")
    assert [line.split()[0] for line in lines[2:6]] == ["cells:net_a", "cells:net_b", "cells:fusion", "best"]
    assert "VOC 11-point" in lines[1]
    assert "chosen inside the training part" in lines[-1]
    told = json.loads((folder / "r.json").read_text())
    assert told["format"] == "stackbone-detection"
    assert [each["model"] for each in told["scores"]] == ["cells:net_a", "cells:net_b", "cells:fusion", "best single"]
    rows = rows_of(folder / "r.csv")
    assert float(rows[0]["ap50"]) == told["scores"][0]["ap50"]
    assert {row["class"] for row in rows} == {"", "disc", "square"}
    page = (folder / "r.html").read_text()
    assert "<svg" in page
    assert "Precision and recall" in page
    assert "use it: stackbone predict PHOTOS --model own" in done.stderr


def test_json_holds_what_the_result_holds(run: Run, folder: Path) -> None:
    done = run("detect", "--head", "cells", "--cv", "2", "--json", "--result", "j.json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads((folder / "j.json").read_text())


def test_a_report_of_a_result_is_that_of_the_run(run: Run, folder: Path) -> None:
    assert run("detect", "--head", "cells", "--cv", "2", "--result", "again.json").returncode == 0
    done = run("report", "again.json")
    assert done.returncode == 0, done.stderr
    page = (folder / "again.html").read_text()
    rows = re.findall(r"<tr[^>]*><t[hd][^>]*>(cells:\w+|best single)</t[hd]><td[^>]*>([.\d]+)</td>", page)
    told = json.loads((folder / "again.json").read_text())
    assert rows == [(each["model"], f"{each['ap50']:.3f}") for each in told["scores"]]


def test_a_report_of_the_test_of_a_model_is_refused(run: Run, folder: Path, in_process: Run, tmp_path: Path) -> None:
    make_voc_cache(tmp_path, split=True)
    here = partial(in_process, cwd=tmp_path)
    made = here("detect", "--head", "cells", "--split", "test", "--save", "half", "--save-train-only")
    assert made.returncode == 0, made.stderr
    (tmp_path / "e.json").write_text(here("evaluate", "shapes", "--model", "half", "--json").stdout)
    done = here("report", "e.json")
    assert done.returncode == 1
    assert "is of a saved model on 6 images" in done.stderr
    assert "stackbone evaluate DATA --model FILE --report PAGE.html" in done.stderr


def test_predict_gives_boxes_as_json_rows_and_pictures(run: Run, folder: Path, model: Path) -> None:
    done = run("predict", "shapes/JPEGImages", "--model", model, "--json", "--csv", "p.csv", "--draw", "drawn")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [each["name"] for each in told["categories"]] == ["disc", "square"]
    assert [each["id"] for each in told["images"]] == list(range(1, 25))
    assert all(each["trained_on"] for each in told["images"])
    first = told["results"][0]
    assert set(first) == {"image_id", "file_name", "category_id", "category", "bbox", "score", "shown"}
    assert len(first["bbox"]) == 4
    assert all(width > 0 and height > 0 for each in told["results"] for *_, width, height in [each["bbox"]])
    rows = rows_of(folder / "p.csv")
    assert len(rows) == sum(each["shown"] for each in told["results"])
    assert list(rows[0]) == ["path", "class", "score", "left", "top", "right", "bottom"]
    drawn = sorted(path.name for path in (folder / "drawn").iterdir())
    assert drawn == [f"photo{i:02}.jpg" for i in range(24)]
    with Image.open(folder / "drawn" / "photo00.jpg") as picture:
        assert picture.size == (64, 64)
    assert "the model was fitted on 24 of these 24 images" in done.stderr


def test_predict_prints_what_is_found_in_each_image(run: Run, model: Path) -> None:
    done = run("predict", "shapes/JPEGImages/photo00.jpg", "--model", model)
    assert done.returncode == 0, done.stderr
    header, row = done.stdout.splitlines()[:2]
    assert header.split() == ["path", "boxes", "found"]
    assert "photo00.jpg" in row


def test_drawing_over_the_photographs_is_refused(run: Run, folder: Path, model: Path) -> None:
    before = (folder / "shapes/JPEGImages/photo00.jpg").read_bytes()
    done = run("predict", "shapes/JPEGImages", "--model", model, "--draw", "shapes/JPEGImages")
    assert done.returncode == 2
    assert "would replace the photograph" in done.stderr
    assert (folder / "shapes/JPEGImages/photo00.jpg").read_bytes() == before


def test_evaluate_leaves_out_what_the_model_was_fitted_on(run: Run, model: Path) -> None:
    done = run("evaluate", "shapes", "--model", model)
    assert done.returncode == 1
    assert "no annotated image of the dataset 'shapes' is left to test" in done.stderr


def test_evaluate_scores_a_model_of_other_images(in_process: Run, run: Run, tmp_path: Path) -> None:
    make_voc_cache(tmp_path, split=True)
    here = partial(in_process, cwd=tmp_path)
    made = ("--head", "cells", "--split", "test", "--save", "half", "--save-train-only")
    experiment = here("detect", *made, "--json")
    assert experiment.returncode == 0, experiment.stderr
    annotation = tmp_path / "shapes" / "Annotations" / "photo00.xml"
    outside = voc_object("disc", 100, 100, 120, 120)
    annotation.write_text(annotation.read_text().replace("</annotation>", f"{outside}</annotation>"))
    done = here("evaluate", "shapes", "--model", "half", "--json", "--report", "e.html")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert any("outside" in note and "photo00" in note for note in told["notes"])
    assert told["left_out"]["trained_on"] == 18
    assert told["n_images"] == 6
    assert [each["model"] for each in told["scores"]] == ["cells:fusion"]
    before = next(each for each in json.loads(experiment.stdout)["scores"] if each["model"] == "cells:fusion")
    assert told["scores"][0]["ap50"] == pytest.approx(before["ap50"])
    assert "a saved model on 6 images" in (tmp_path / "e.html").read_text()


def test_inspect_tells_what_a_detection_model_is(run: Run, model: Path) -> None:
    done = run("inspect", "--model", model)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("finds 2 classes by a fusion of cells heads on net_a, net_b; 24 training images")
    told = json.loads(run("inspect", "--model", model, "--json").stdout)
    assert told["task"] == "detection"
    assert set(told["thresholds"]) == {"disc", "square"}


def test_a_detection_model_is_no_model_of_labels_and_the_other_way_round(run: Run, folder: Path, model: Path) -> None:
    refused = run("export", model, "--onnx", "x.onnx")
    assert refused.returncode == 1
    assert "is a detection model" in refused.stderr
    done = run("predict", "shapes/JPEGImages", "--model", model, "--top", "2")
    assert done.returncode == 2
    assert "finds boxes and labels no images: leave out --top" in done.stderr


def test_draw_is_for_detection_models(run: Run, folder: Path) -> None:
    archive = Path(__file__).parents[1] / "archives" / "model-v2.stackbone"
    done = run("predict", "shapes/JPEGImages", "--model", archive, "--draw", "d2")
    assert done.returncode == 2
    assert "--draw is for detection models" in done.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--head", "conf"), "unknown head 'conf'"),
        (("--head", "cells", "--epochs", "3"), "--epochs is for"),
        (("--cv", "2", "--split", "test"), "use one of the two"),
        (("--save-train-only",), "--save-train-only is for --split with --save"),
        (("--open",), "is for the report"),
    ],
)
def test_wrong_usage_says_what_to_type(run: Run, options: tuple[str, ...], said: str) -> None:
    done = run("detect", *options)
    assert done.returncode == 2
    assert said in done.stderr


def test_scores_lack_their_library(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "faster_coco_eval" else find(name, *rest)
    )
    done = run("detect", "--head", "cells")
    assert done.returncode == 1
    assert "pip install 'stackbone[detection]'" in done.stderr
