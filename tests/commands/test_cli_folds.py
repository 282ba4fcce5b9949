"""Folds of the user's own and few labels, from the command line: from a table to a report."""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from stackbone.cache import FeatureStore

Run = Callable[..., "subprocess.CompletedProcess[str]"]
FAST = ("stack", "--recipe", "oof", "--c", "0.1", "--inner-cv", "2")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, make_cache: Callable[..., FeatureStore]) -> Path:
    folder = tmp_path_factory.mktemp("place")
    store = make_cache(folder / "features", ["cat", "dog", "emu"] * 12, groups=[f"g{i // 6}" for i in range(36)])
    columns = {"my fold": [str(i // 12) for i in range(36)], "taken": [f"2024-03-{1 + i % 31:02}" for i in range(36)]}
    store.write_dataset(replace(store.dataset(), columns=columns))
    rows = "".join(f"{path},{i // 18}\n" for i, path in enumerate(store.dataset().path))
    (folder / "folds.csv").write_text(f"filename,fold\n{rows}")
    return folder


@pytest.fixture
def here(in_process: Run, place: Path) -> Run:
    return partial(in_process, cwd=place)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--folds", "my fold"), "3 folds of 'my fold'"),
        (("--folds", "folds.csv"), "2 folds of '"),
        (("--folds", "group"), "6 folds of 'group'"),
        (("--cv", "logo"), "each group left out once (6 folds)"),
        (("--cv", "loo", "--group-by", "none"), "each image left out once (36 folds)"),
        (("--time-column", "taken", "--cv", "2", "--group-by", "none"), "2 folds in the order of 'taken'"),
    ],
)
def test_the_table_says_which_folds_it_is_of(here: Run, words: tuple[str, ...], said: str) -> None:
    done = here(*FAST, *words)
    assert done.returncode == 0, done.stderr
    assert said in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--folds", "my folt"), "--folds 'my fold'"),
        (("--folds", "absent.csv"), "cannot be read"),
        (("--folds", "taken", "--cv", "3"), "use one of the two"),
        (("--cv", "some"), "--cv some is not a number of folds"),
        (("--cv", "1"), "--cv 1 is not a number of folds"),
        (("--cv", "loo"), "--cv logo"),
        (("--cv", "logo", "--group-by", "none"), "--group-by folder"),
        (("--time-column", "taken", "--cv", "30", "--group-by", "none"), "(--time-column taken --cv "),
        (("--time-column", "my fold", "--cv", "30"), ") in place of --time-column 'my fold'"),
        (("--cv", "logo", "--repeats", "2"), "leave --repeats out"),
        (("--shots", "1,x"), "--shots 1,2,4,8,16"),
        (("--shots", "1,99"), "'cat'"),
        (("--tries", "3"), "add --shots"),
        (("--shots", "1", "--self-check"), "--shots"),
    ],
)
def test_what_is_impossible_ends_with_the_reason(here: Run, words: tuple[str, ...], said: str) -> None:
    own = tuple(word for word in FAST[1:] if "--self-check" not in words)
    done = here("stack", *own, *words)
    assert done.returncode != 0
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_few_labels_are_in_the_table_the_rows_the_result_and_the_report(here: Run, tmp_path: Path) -> None:
    asked = ("--shots", "4,1", "--tries", "2", "--csv", tmp_path / "r.csv", "--result", tmp_path / "r.json")
    done = here(*FAST, "--cv", "2", *asked, "--report", tmp_path / "r.html")
    assert done.returncode == 0, done.stderr
    assert "few labels: accuracy after training on so many images of each class (mean of 2 draws" in done.stdout
    with (tmp_path / "r.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["shots"] for row in rows if row["model"] == "stack:oof"] == ["", "1", "4"]
    assert json.loads((tmp_path / "r.json").read_text())["few_shots"]["shots"] == [1, 4]
    assert "What do few labels teach?" in (tmp_path / "r.html").read_text(encoding="utf-8")
    again = here("report", tmp_path / "r.json", "--out", tmp_path / "again.html")
    assert again.returncode == 0, again.stderr
    assert "What do few labels teach?" in (tmp_path / "again.html").read_text(encoding="utf-8")


def test_json_has_them_too(here: Run) -> None:
    done = here(*FAST, "--folds", "my fold", "--shots", "2", "--tries", "2", "--json")
    content = json.loads(done.stdout)
    assert (content["plan"], content["column"], content["cv"]) == ("given", "my fold", 3)
    assert {row["shots"] for row in content["scores"]} == {None, 2}
