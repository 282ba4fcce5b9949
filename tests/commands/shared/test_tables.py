"""Tables on wide and narrow terminals: a path may lose its middle, an answer is never lost."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from rich.cells import cell_len

from stackbone.commands.shared import console
from stackbone.commands.shared.tables import print_table, shortened

WIDTHS = (60, 80, 200)
PATHS = [f"photos/holiday in the mountains/coat/IMG_{number:05}.jpg" for number in range(3)]
ANSWERS = [[path, name, "0.987", "winter hat 0.012", "shoe 0.001"] for path, name in zip(PATHS, "abc", strict=True)]
SCORES = [
    "model",
    "accuracy",
    "± std",
    "macro-F1",
    "log-loss",
    "cal. error",
    "fold 1",
    "fold 2",
    "fold 3",
    "what it is",
]
MODELS = [
    [f"lr:efficientnet_lite{i}", *(f"0.{i}{j}1" for j in range(8)), f"logistic regression on efficientnet_lite{i}"]
    for i in range(3)
]


@pytest.fixture(params=WIDTHS)
def width(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(console.out, "_width", request.param)
    return int(request.param)


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def words(shown: Sequence[str]) -> list[str]:
    return [word for line in shown for word in re.split(r" {2,}", line.strip()) if word]


def test_predictions_keep_every_class_and_the_end_of_every_path(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["path", "class", "probability", "2nd", "3rd"], ANSWERS, shorten=["path"])
    shown = lines(capsys)
    assert max(map(cell_len, shown)) <= width
    for path, name, *others in ANSWERS:
        assert {name, *others} <= set(words(shown))
        assert any(word.endswith(path[-12:]) for word in words(shown))
    assert all((path in words(shown)) == (width == 200) for path in PATHS)


def test_a_part_that_is_continued_below_shortens_no_more_than_it_has_to(
    width: int, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"package_of_the_weights_of_backbone_{number}" for number in range(3)]
    models = [f"a_rather_long_name_of_model_{number}" for number in range(3)]
    print_table(
        ["name", "input", "weights here", "timm model"],
        [[f"efficientnet_lite{i}", "224 x 224", names[i], models[i]] for i in range(3)],
        shorten=["weights here", "timm model"],
    )
    shown = lines(capsys)
    assert max(map(cell_len, shown)) <= width
    parts = "\n".join(shown).split("\n\n")
    assert len(parts) == (2 if width == 60 else 1)
    assert set(models) <= set(words(shown)) or width == 80
    if width == 60:
        assert max(map(cell_len, parts[0].splitlines())) == width
    assert all(len(word) > 20 for word in words(shown) if "\u2026" in word)


def test_scores_keep_every_fold_and_lose_the_words_first(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    print_table(SCORES, MODELS, bold=1, spare=["what it is"])
    shown = lines(capsys)
    assert max(map(cell_len, shown)) <= width
    assert set(SCORES[:-1]) <= set(words(shown))
    for row in MODELS:
        assert set(row[:-1]) <= set(words(shown))
    [folds] = [line for line in shown if "fold 1" in line]
    assert "fold 3" in folds, "some folds without the others mislead"
    assert ("what it is" in words(shown)) == (width == 200)


def test_each_part_begins_with_what_its_rows_are_about(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    print_table(SCORES, MODELS, spare=["what it is"])
    parts = "\n".join(lines(capsys)).split("\n\n")
    assert len(parts) == {60: 2, 80: 2, 200: 1}[width]
    for part in parts:
        assert [line.split()[0] for line in part.splitlines()] == ["model", *(row[0] for row in MODELS)]


@pytest.mark.parametrize("name", ["日本語の写真" * 6, "é" * 70, "🐈" * 40])
def test_cells_are_counted_as_the_terminal_counts_them(
    width: int, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    print_table(["path", "class"], [[name, "cat"]], shorten=["path"])
    shown = lines(capsys)
    assert max(map(cell_len, shown)) <= width
    assert shown[1].rstrip().endswith("cat")


def test_a_cell_that_no_terminal_holds_is_whole_all_the_same(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["model", "class"], [["m" * 250, "c" * 300]])
    assert {"m" * 250, "c" * 300} <= set(words(lines(capsys)))


def test_in_a_pipe_nothing_is_shortened(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["path", "class"], [["p" * 3000, "cat"]], shorten=["path"], spare=["class"])
    assert words(lines(capsys)) == ["path", "class", "p" * 3000, "cat"]


@pytest.mark.parametrize(
    ("text", "width", "short"),
    [
        ("abcdefghij", 10, "abcdefghij"),
        ("abcdefghij", 7, "ab…ghij"),
        ("日本語写真機", 7, "日…真機"),
    ],
)
def test_the_middle_goes_and_more_of_the_end_stays(text: str, width: int, short: str) -> None:
    assert shortened(text, width) == short
    assert cell_len(shortened(text, width)) <= width


def test_a_table_without_rows_has_its_header(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["path", "class"], [], shorten=["path"])
    assert words(lines(capsys)) == ["path", "class"]
