"""The figures of bench/transfer.py: of one set-up in one file, by seed, and whole after a run that was cut."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transfer import arguments_of, cell, compare, read_figures, set_up_of

import machine
from stackbone.cache import StackError


def _options(*words: str) -> argparse.Namespace:
    return arguments_of(["--photos", ".", "--data", ".", *words])


def _write(file: Path, options: argparse.Namespace, figures: dict[str, Any]) -> None:
    machine.write_figures("Transfer methods", {"set-up": set_up_of(options), "pairs": figures}, file)


def test_figures_of_the_same_set_up_are_gone_on_with(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    assert read_figures(file, set_up_of(_options())) == {}
    assert read_figures(None, set_up_of(_options())) == {}
    _write(file, _options("--seeds", "1"), {"a pair": {}})
    more = _options("--seeds", "5", "--labels", "all", "--pair", "digits to MNIST")
    assert read_figures(file, set_up_of(more)) == {"a pair": {}}, "these add to what is there"


@pytest.mark.parametrize(
    "words", [["--quick"], ["--mnist", "7"], ["--backbones", "1"], ["--methods", "coral"], ["--photos", "/"]]
)
def test_figures_of_another_set_up_are_refused(tmp_path: Path, words: list[str]) -> None:
    file = tmp_path / "figures.json"
    _write(file, _options(), {"a pair": {}})
    with pytest.raises(StackError) as found:
        read_figures(file, set_up_of(_options(*words)))
    for part in (words[0], str(file), "was measured with", "and this run has", "name another file with --json"):
        assert part in str(found.value)


def test_figures_that_do_not_tell_their_set_up_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    machine.write_figures("Transfer methods", {"a pair": {}}, file)
    with pytest.raises(StackError, match="does not tell its set-up"):
        read_figures(file, set_up_of(_options()))


def test_methods_are_compared_on_the_seeds_that_all_have() -> None:
    def of(scores: dict[str, float]) -> dict[str, Any]:
        return {"by seed": scores, "seconds by seed": dict.fromkeys(scores, 1.0)}

    methods = {
        "source-only": of({"0": 0.9, "1": 0.5, "2": 0.6}),
        "target-only": of({"0": 0.1, "1": 0.4, "2": 0.4}),
        "coral": of({"2": 0.8, "1": 0.6}),
    }
    figures: dict[str, Any] = {"methods": methods, "sizes": (20, 10), "gaps": {"0": 1.0, "1": 2.0, "2": 1.5}}
    compare(figures)
    assert figures["seeds"] == 2
    assert methods["source-only"]["accuracy"] == pytest.approx(0.55)
    assert methods["coral"]["difference"]["mean"] == pytest.approx(0.15)


@pytest.mark.parametrize(
    ("seeds", "kept"),
    [
        ({"source-only": "012", "coral": "12", "kmm": "0"}, ["source-only", "coral"]),
        ({"source-only": "12", "target-only": "12", "kmm": "0"}, ["source-only", "target-only"]),
        ({"kmm": "0", "coral": "1", "source-only": "01"}, ["kmm", "source-only"]),
    ],
)
def test_a_method_without_a_seed_in_common_is_left_out(tmp_path: Path, seeds: dict[str, str], kept: list[str]) -> None:
    methods: dict[str, Any] = {
        name: {"by seed": {seed: 0.5 + int(seed) / 10 for seed in own}, "seconds by seed": dict.fromkeys(own, 1.0)}
        for name, own in seeds.items()
    }
    figures: dict[str, Any] = {"methods": methods, "sizes": (20, 10), "gaps": dict.fromkeys("012", 1.0)}
    compare(figures)
    assert [name for name, each in methods.items() if each["accuracy"] is not None] == kept
    assert figures["seeds"] == min(len(seeds[name]) for name in kept)
    assert [each["seconds"] for each in methods.values()] == [1.0] * len(methods)
    assert {name for name, each in methods.items() if cell(each)} == set(kept)
    machine.write_figures("Transfer methods", figures, tmp_path / "figures.json")
    assert "NaN" not in (tmp_path / "figures.json").read_text()


def test_figures_are_whole_where_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "figures.json"
    machine.write_figures("a", {"x": 1}, file)
    write = Path.write_text

    def cut(path: Path, text: str, *others: Any, **options: Any) -> int:  # noqa: ANN401
        write(path, text[:5], *others, **options)
        message = "no space left"
        raise OSError(message)

    monkeypatch.setattr(Path, "write_text", cut)
    with pytest.raises(OSError, match="no space left"):
        machine.write_figures("a", {"x": np.pi}, file)
    assert json.loads(file.read_text())["figures"] == {"x": 1}
