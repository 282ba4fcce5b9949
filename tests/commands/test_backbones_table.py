"""`stackbone backbones` tells what a backbone gives, costs and asks for, at every width of the terminal."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stackbone.commands import backbones as command
from stackbone.commands.shared import tables
from stackbone.extract.backbones.backbone import BACKBONES
from tests.conftest import InProcess


class Terminal:
    """Collects lines, as wide as it is."""

    encoding = "utf-8"

    def __init__(self, width: int) -> None:
        self.width = width
        self.lines: list[str] = []

    def print(self, text: str = "", **_: object) -> None:
        self.lines.append(text)


def shown(width: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    terminal = Terminal(width)
    monkeypatch.setattr(tables, "out", terminal)
    monkeypatch.setattr(command, "out", terminal)
    command._list_backbones(as_json=False)
    return terminal.lines


@pytest.mark.parametrize("width", [60, 80, 200])
def test_no_name_and_no_place_of_weights_is_lost(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(width, monkeypatch)
    table = [line for line in lines if line.split(" ", 1)[0] in {*BACKBONES, "name"}]
    assert max(map(len, table)) <= width
    headings = " ".join(line for line in table if line.startswith("name "))
    assert all(word in headings for word in ("width", "GFLOP", "licence", "weights here"))
    assert {line.split()[0] for line in table} == {*BACKBONES, "name"}
    dinov3 = " ".join(line for line in table if line.startswith("dinov3_base "))
    assert all(word in dinov3.split() for word in ("256", "768", "47.1", "85.6", "dinov3-license"))
    assert ("timm model" in headings) == (width == 200)
    assert any(line.startswith("group modern: dinov3_base, ") for line in lines)


def test_what_is_gated_or_not_known_is_said() -> None:
    gated = command._cells(command._row(replace(BACKBONES["dinov3_base"], gated=True), "hub timm/x"))
    assert gated[5:7] == ["dinov3-license, gated", "hub"]
    unknown = command._cells(command._row(replace(BACKBONES["resnet50"], width=None, licence=""), None))
    assert (unknown[2], unknown[5], unknown[6]) == ("-", "-", "-")


def test_programs_get_all_of_it(tmp_path: Path, in_process: InProcess) -> None:
    done = in_process("backbones", "--json", "--csv", "b.csv", cwd=tmp_path)
    rows: list[dict[str, Any]] = json.loads(done.stdout)["backbones"]
    [row] = [each for each in rows if each["name"] == "vit_base_imagenet"]
    assert row.keys() >= {
        "name",
        "input",
        "width",
        "gflop",
        "parameters",
        "licence",
        "gated",
        "weights",
        "architecture",
    }
    assert (row["input"], row["width"], row["licence"], row["gated"]) == ("224 x 224", 768, None, False)
    assert (tmp_path / "b.csv").read_text().splitlines()[0].split(",")[:4] == ["name", "input", "width", "gflop"]
