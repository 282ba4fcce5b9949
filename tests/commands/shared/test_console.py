"""What is printed is what was found, and never a command to the terminal."""

from __future__ import annotations

import csv
import json
import os
from io import StringIO
from pathlib import Path

import pytest

from stackbone.cache import CacheError, UsageError
from stackbone.cache.csv_text import csv_lines
from stackbone.cache.disk.output_file import check_output, write_output
from stackbone.cache.text import printable, to_json
from stackbone.commands.shared.console import err, out, print_bars, print_json
from stackbone.commands.shared.tables import print_table

HOSTILE = {
    "escape": ("\x1b]0;owned\x07", r"\x1b]0;owned\x07"),
    "one-byte escape": ("\x9b2J", r"\x9b2J"),
    "new line": ("cat\nerror: none", r"cat\nerror: none"),
    "turned text": ("gpj\u202eexe", r"gpj\u202eexe"),
    "isolate": ("a\u2066b\u2069", r"a\u2066b\u2069"),
    "no width": ("c\u200bat\ufeff", r"c\u200bat\ufeff"),
    "tag": ("cat\U000e0041", r"cat\U000e0041"),
    "odd space": ("c\u00a0at", r"c\xa0at"),
    "no UTF-8": ("caf\udce9", r"caf\udce9"),
}


@pytest.mark.parametrize(("text", "shown"), HOSTILE.values(), ids=HOSTILE)
def test_text_without_ink_is_shown_escaped_wherever_it_is_printed(
    text: str, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert printable(text) == shown
    out.print(f"class {text}")
    err.print(f"class {text}")
    print_table([text, "n"], [[text, "1"]])
    printed = capsys.readouterr()
    assert printed.out.splitlines()[0] == printed.err.splitlines()[0] == f"class {shown}"
    assert printed.out.count(shown) == 3
    assert all(line.isprintable() for line in (printed.out + printed.err).splitlines())


@pytest.mark.parametrize("text", ["épée", "日本語", "🐈", "[bold]cat[/]", "[link=https://x]y[/link]", ":cat:", "a\\b"])
def test_text_of_any_language_and_markup_stay_as_they_are(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert printable(text) == text
    out.print(text)
    print_table(["class", "n"], [[text, "1"]])
    first, _, row = capsys.readouterr().out.splitlines()
    assert first == text
    assert row.startswith(text)


def test_bars_show_names_escaped(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("stackbone.commands.shared.console.can_draw", lambda: True)
    print_bars("images of each class of \x1b[2J", {"\x1b[31mcat": 3, "do\ng": 1})
    shown = capsys.readouterr().out
    assert "\x1b[2J" not in shown
    assert r"\x1b[31mcat" in shown
    assert r"do\ng" in shown


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_json_has_null_for_what_is_no_number(number: float, capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": [number, 1.5], "b": {"c": (number, True, None)}, "name": "\x1b\u202e"})
    text = capsys.readouterr().out
    assert text.isascii()
    expected = {"a": [None, 1.5], "b": {"c": [None, True, None]}, "name": "\x1b\u202e"}
    assert json.loads(text, parse_constant=pytest.fail) == expected
    assert to_json(number) == "null"


@pytest.mark.parametrize("cell", ["=1+1", "+cmd|x", "-cmd", "@SUM(A1)", "\t=1", "\r=1", "\uff1d1", "=", "-"])
def test_a_cell_that_a_spreadsheet_would_run_gets_an_apostrophe(cell: str) -> None:
    [row] = csv.reader(StringIO(csv_lines([[cell, "photos/a.jpg", f"'{cell}"]]), newline=""))
    assert row == [f"'{cell}", "photos/a.jpg", f"'{cell}"]


@pytest.mark.parametrize("cell", [-1.5, -3, "-5", "+2.5", "-1e-3", "-inf", "cat", "a=b", "", "'s-Hertogenbosch"])
def test_numbers_and_plain_text_stay_as_they_are_in_csv(cell: object) -> None:
    assert csv_lines([[cell, "x"]]) == f"{cell},x\n"


@pytest.mark.parametrize("place", ["/dev/null", "/dev/stdout", "/proc/self/fd/1", "/dev/no-such-file"])
def test_no_file_of_the_system_is_replaced(place: str) -> None:
    with pytest.raises(UsageError, match="is a system file; choose a file in one of your own folders"):
        write_output(Path(place), b"x")


def test_a_folder_or_a_pipe_is_no_place_for_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/null")
    for name, words in {"": "folder", "pipe": "pipe", "link": "device"}.items():
        with pytest.raises(UsageError, match=words):
            check_output(tmp_path / name)


def test_a_link_is_replaced_and_what_it_leads_to_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "own").write_bytes(b"precious")
    (tmp_path / "report.html").symlink_to(tmp_path / "own")
    write_output(tmp_path / "report.html", b"new")
    assert (tmp_path / "own").read_bytes() == b"precious"
    assert (tmp_path / "report.html").read_bytes() == b"new"
    assert not (tmp_path / "report.html").is_symlink()


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_no_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    (tmp_path / "model").write_bytes(b"old")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    if call == "replace":
        monkeypatch.setattr(Path, call, full)
    else:
        monkeypatch.setattr(f"os.{call}", full)
    with pytest.raises(CacheError, match=r"could not write .*model: No space left"):
        write_output(tmp_path / "model", b"new")
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert (tmp_path / "model").read_bytes() == b"old"
