"""What programs read: one JSON object from every command, the same rows as CSV and Parquet."""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from stackbone.cache import FeatureStore
from stackbone.cli import app
from stackbone.commands.shared.listing import own_commands

Run = Callable[..., "subprocess.CompletedProcess[str]"]
FAST = ("stack", "--recipe", "oof", "--c", "0.1", "--cv", "2", "--inner-cv", "2")
WITH_ROWS = (
    *("audit", "backbones", "cluster", "compare-backbones", "detect", "evaluate", "predict", "relabel", "search"),
    *("similar", "stack", "suggest", "transfer"),
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, make_cache: Callable[..., FeatureStore]) -> Path:
    """Return a folder with a cache, whose images are not there."""
    folder = tmp_path_factory.mktemp("place")
    make_cache(folder / "features", ["cat", "dog", "emu"] * 8)
    return folder


@pytest.fixture
def here(in_process: Run, place: Path) -> Run:
    return partial(in_process, cwd=place)


def options_of(command: str) -> set[str]:
    group: Any = get_command(app)
    parameters = group.get_command(None, command).params
    return {word for each in parameters for word in (*each.opts, *each.secondary_opts)}


@pytest.mark.parametrize("command", own_commands())
def test_every_command_gives_json_and_may_be_quiet(command: str) -> None:
    assert {"--json", "--quiet", "--debug"} <= options_of(command)
    assert ({"--csv", "--parquet"} <= options_of(command)) == (command in WITH_ROWS)


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        (("backbones",), {"backbones", "groups"}),
        (("inspect",), {"cache", "feature_sets", "datasets"}),
        (("audit", "--kinds", "copy,conflict"), {"findings", "counts", "left_out"}),
        (("search", "cat/0.jpg"), {"hits", "failed", "k"}),
        (("similar",), {"neighbours", "classes"}),
        (("cluster", "--clusters", "3"), {"images", "clusters", "agreement"}),
        (("compare-backbones",), {"pairs", "redundant"}),
        (("verify",), {"findings", "recomputed"}),
        (("compact",), {"feature_sets"}),
        (FAST, {"dataset", "results", "scores"}),
        ((*FAST[:1], *FAST[3:], "--self-check", "--near-duplicates", "0.9999"), {"self_check"}),
        (("forget", "--unused", "--yes"), {"removed"}),
    ],
)
def test_standard_output_is_one_object(here: Run, arguments: tuple[str, ...], keys: set[str]) -> None:
    done = here(*arguments, "--json")
    content = json.loads(done.stdout)
    assert isinstance(content, dict), done.stderr
    assert keys <= set(content)


def test_a_report_says_what_it_wrote_as_one_object(here: Run, place: Path) -> None:
    assert here(*FAST, "--result", "r.json").returncode == 0
    done = here("report", "r.json", "--json")
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    assert (content["report"], content["result"], content["dataset"]) == ("r.html", "r.json", "photos")
    assert (place / "r.html").stat().st_size
    assert content["missing_pictures"]


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (("backbones",), "backbones"),
        (FAST, "scores"),
        (("search", "cat/0.jpg", "dog/1.jpg"), "hits"),
        (("similar",), "neighbours"),
        (("cluster", "--clusters", "3"), "images"),
        (("compare-backbones",), "pairs"),
    ],
)
def test_rows_are_the_same_in_every_form(here: Run, tmp_path: Path, arguments: tuple[str, ...], key: str) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="the parquet extra brings it")
    files = ("--csv", tmp_path / "new" / "rows.csv", "--parquet", tmp_path / "rows.parquet")
    done = here(*arguments, *files, "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)[key]
    assert parquet.read_table(tmp_path / "rows.parquet").to_pylist() == rows
    with (tmp_path / "new" / "rows.csv").open(newline="", encoding="utf-8") as file:
        written = list(csv.DictReader(file))
    text = {None: "", True: "true", False: "false"}
    assert written == [
        {name: text[value] if value is None or isinstance(value, bool) else str(value) for name, value in row.items()}
        for row in rows
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--csv", "rows.txt"), "--csv writes .csv"),
        (("--csv", "rows"), "--csv writes .csv"),
        (("--parquet", "rows.csv"), "--parquet writes .parquet"),
        (("--csv", "."), "is a folder"),
        (("--csv", "/dev/rows.csv"), "system file"),
    ],
)
@pytest.mark.parametrize("arguments", [("backbones",), FAST])
def test_files_of_other_kinds_are_refused_before_the_work(
    here: Run, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], options: tuple[str, str], words: str
) -> None:
    monkeypatch.setattr("stackbone.stack.run_experiment", lambda *_, **__: pytest.fail("work was begun"))
    done = here(*arguments, *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


@pytest.mark.parametrize("place_of_flag", ["before", "behind", "both"])
def test_quiet_leaves_the_table_alone(here: Run, place_of_flag: str) -> None:
    before = ["--quiet"] if place_of_flag != "behind" else []
    behind = ["--quiet"] if place_of_flag != "before" else []
    loud, quiet = here(*FAST, "--result", "q.json"), here(*before, *FAST, "--result", "q.json", *behind)
    assert "all numbers are in q.json" in loud.stderr
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, loud.stdout, "")


@pytest.mark.parametrize("arguments", [("stack", "--dataset", "fotos"), ("extract", "nowhere"), ("report", "absent")])
def test_quiet_keeps_errors(here: Run, arguments: tuple[str, ...]) -> None:
    loud, quiet = here(*arguments), here(*arguments, "--quiet")
    assert quiet.returncode == loud.returncode != 0
    assert quiet.stderr == loud.stderr
    assert quiet.stderr.startswith("error: ")


def test_a_file_may_be_called_as_a_flag_is(here: Run) -> None:
    assert "--quiet" in here("extract", "--", "--quiet").stderr


def test_two_datasets_in_a_cache_are_told_apart(
    in_process: Run, tmp_path: Path, make_cache: Callable[..., FeatureStore]
) -> None:
    store = make_cache(tmp_path / "features", ["cat", "dog"] * 8)
    assert "--dataset" not in in_process(*FAST, cwd=tmp_path).stderr
    index = store.dataset("photos")
    for name in ("second", "third"):
        object.__setattr__(index, "name", name)
        store.write_dataset(index)
    said = in_process(*FAST, cwd=tmp_path).stderr.splitlines()[0]
    assert said == "note: this is third, the dataset extracted last; --dataset NAME takes another: second, photos"
    assert "--dataset NAME" not in in_process(*FAST, "--dataset", "photos", cwd=tmp_path).stderr
    assert in_process(*FAST, "--quiet", cwd=tmp_path).stderr == ""


@pytest.mark.parametrize("splits", [["train", "test"], ["train", "validation", "test"], ["", "test"]])
def test_a_split_without_labels_is_said(
    in_process: Run, tmp_path: Path, make_cache: Callable[..., FeatureStore], splits: list[str]
) -> None:
    names = (splits * 24)[:24]
    labels = ["" if name == "test" else "cd"[i // 2 % 2] for i, name in enumerate(names)]
    make_cache(tmp_path / "features", labels, splits=names, paths=[f"{i}.jpg" for i in range(24)])
    done = in_process("stack", "--recipe", "oof", "--c", "0.1", "--split", "test", cwd=tmp_path)
    assert done.returncode == 1
    n = names.count("test")
    assert f"the split 'test' of the dataset 'photos' has {n} images and no label" in done.stderr
    assert "(--cv 3)" in done.stderr


@pytest.mark.parametrize(
    ("asked", "backbones"),
    [
        ("all", ["resnet50", "vgg19"]),
        ("published", None),
        ("vgg19, resnet50,vgg19", ["vgg19", "resnet50"]),
        ("offline", None),
    ],
)
def test_groups_mean_the_same_to_stack(here: Run, asked: str, backbones: list[str] | None) -> None:
    done = here(*FAST, "--backbones", asked, "--json")
    if backbones is not None:
        assert list(json.loads(done.stdout)["backbones"]) == backbones
        return
    lacking = {
        "published": ["inception_v3", "xception"],
        "offline": [f"efficientnet_lite{number}" for number in range(3)],
    }[asked]
    assert done.returncode == 2
    assert f"no features of {' or '.join(map(repr, lacking))}; it has resnet50, vgg19" in done.stderr
    assert f"--backbones {','.join(lacking)}`" in done.stderr


@pytest.mark.parametrize("name", ["resnet50-0123456789ab", "timm.vit_tiny-0123456789ab"])
def test_an_unknown_feature_set_is_advised_by_the_name_that_extract_takes(here: Run, name: str) -> None:
    done = here(*FAST, "--backbones", name)
    backbone = name.rsplit("-", 1)[0].replace("timm.", "timm:")
    assert done.returncode == 2
    assert f"--backbones {backbone}`" in done.stderr or f"--backbones {backbone} " in done.stderr
