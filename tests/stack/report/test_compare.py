"""Results side by side: on the same folds of the same images their differences, else why there are none."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stackbone.cache import FeatureStore, StackError, UsageError
from stackbone.stack import Experiment, StackOptions, run_experiment
from stackbone.stack.experiments.against.earlier import read_earlier
from stackbone.stack.experiments.against.same_folds import fold_sizes
from stackbone.stack.experiments.result_file import write_result
from stackbone.stack.metrics.compare import mean_sizes, paired_difference
from stackbone.stack.report.compare.compared import Compared, lacks_same_folds, paired_models
from stackbone.stack.report.compare.report import collect_comparison
from stackbone.stack.report.page import render_page
from stackbone.stack.report.pictures import Pictures
from tests.conftest import MakeCache

pytestmark = pytest.mark.usefixtures("one_blas_thread")

LABELS = [f"class {i % 3}" for i in range(30)]
FIXED = StackOptions(c=0.1, inner_splits=3)  # nothing to choose: the fastest fits
Content = dict[str, Any]


def result(model: str = "stack:oof", shift: float = 0.0, metric: str = "accuracy", **changes: object) -> Content:
    """Return what a result of a version that told no images had, with another spread of each fold."""

    def scores(name: str, folds: list[float]) -> Content:
        moved = [each + shift * (1 + 0.1 * place) for place, each in enumerate(folds)]
        return {"model": name, metric: {"mean": sum(moved) / len(moved), "std": 0.01, "folds": moved}}

    return {
        **{"format": "stackbone-result", "format_version": 1, "task": "classification", "dataset": "photos"},
        **{"n_images": 90, "cv": 3, "repeats": 1, "split": None, "seed": 0, "recipe": "oof", "c": 1.0},
        "findings": {"stack": model},
        "results": [
            scores("lr:a", [0.7, 0.72, 0.71]),
            scores("stack:oof", [0.8, 0.83, 0.81]),
            scores("concat", [0.8, 0.81, 0.8]),
        ],
        **changes,
    }


def with_images(content: Content, first: int = 0) -> Content:
    """Add what a result of now tells of its images, which are numbered from `first`."""
    n = int(content["n_images"])
    columns: Content = {
        "image_sha256": [f"{first + i:016x}" for i in range(n)],
        "path": [f"{first + i}.jpg" for i in range(n)],
        "label": [f"class {i % 3}" for i in range(n)],
        "fold": [i % 3 + 1 for i in range(n)],
        "predicted": ["class 0"] * n,
    }
    return {**content, "images": columns}


def write(folder: Path, name: str, content: Content) -> Path:
    file = folder / f"{name}.json"
    file.write_text(json.dumps(content))
    return file


def compared(folder: Path, name: str, content: Content) -> Compared:
    return Compared(name, read_earlier(write(folder, name, content)))


def page_of(*files: Path) -> str:
    return render_page(collect_comparison(files), Pictures())


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory, make_cache: MakeCache) -> Experiment:
    store = make_cache(tmp_path_factory.mktemp("compared") / "features", LABELS, noise=1.5)
    return run_experiment(store, recipes=["oof"], options=FIXED, n_jobs=1)


def test_the_page_of_written_results_lists_no_images(experiment: Experiment, tmp_path: Path) -> None:
    write_result(experiment, tmp_path / "A.json")
    content = json.loads((tmp_path / "A.json").read_text())
    page = page_of(tmp_path / "A.json", write(tmp_path, "B", {**content, "c": 0.7}))
    assert content["images"]["image_sha256"][0] not in page
    assert content["images"]["path"][0] not in page
    assert "What differs" in page
    assert "no difference" in page
    assert "was not checked" not in page


def test_models_of_the_same_folds_are_paired(tmp_path: Path) -> None:
    first = compared(tmp_path, "A", result())
    second = compared(tmp_path, "B", result(model="concat", shift=0.02))
    assert lacks_same_folds(first, second) is None
    found = {(each.first, each.second): each.difference for each in paired_models(first, second)}
    assert list(found) == [("stack:oof", "concat"), ("lr:a", "lr:a"), ("stack:oof", "stack:oof"), ("concat", "concat")]
    expected = paired_difference(second.scores["concat"], first.scores["stack:oof"], 60, 30)
    assert found["stack:oof", "concat"] == expected


def test_as_many_images_ahead_in_folds_of_unequal_size_give_no_interval(tmp_path: Path) -> None:
    tested, found = [124, 126, 127], []
    for name, right in {"A": [114, 116, 118], "B": [115, 117, 119]}.items():
        content = with_images(result(n_images=sum(tested)))
        content["images"]["fold"] = [number for number, n in enumerate(tested, start=1) for _ in range(n)]
        for each in content["results"]:
            each["accuracy"]["folds"] = [a / b for a, b in zip(right, tested, strict=True)]
        found.append(compared(tmp_path, name, content))
    assert found[0].result.tested_by_fold == tested
    for pair in paired_models(*found):
        assert pair.difference.mean == pytest.approx(1 / 126, rel=0.01)
        assert (pair.difference.low, pair.difference.p_value) == (None, None)


def test_tests_of_folds_are_told_where_every_fold_is(tmp_path: Path) -> None:
    def tested(content: Content) -> list[int] | None:
        return compared(tmp_path, "A", content).result.tested_by_fold

    told = with_images(result())
    assert tested(told) == [30, 30, 30]
    assert tested(result()) is None
    assert tested(result(n_tested=[29, 30, 31])) == [29, 30, 31]
    for each in told["results"]:
        each["accuracy"]["folds"] *= 2
    assert tested({**told, "repeats": 2}) is None, "its images are of the first repeat alone"
    assert tested({**told, "repeats": 2, "n_tested": [29, 30, 31] * 2}) == [29, 30, 31, 29, 30, 31]


@pytest.mark.parametrize("silent", [None, "A", "B"])
@pytest.mark.parametrize("repeats", [1, 2])
def test_as_many_images_ahead_give_no_interval_where_one_result_tells_the_tests_of_folds(
    tmp_path: Path, repeats: int, silent: str | None
) -> None:
    tested, found = [124, 126, 127] * repeats, []
    for name, right in {"A": [114, 116, 118], "B": [115, 117, 119]}.items():
        told: Content = {} if name == silent else {"n_tested": tested}
        content = result(n_images=377, repeats=repeats, **told)
        for each in content["results"]:
            each["accuracy"]["folds"] = [a / b for a, b in zip(right * repeats, tested, strict=True)]
        found.append(compared(tmp_path, name, content))
    for pair in paired_models(*found):
        assert pair.difference.mean == pytest.approx(1 / 126, rel=0.01)
        assert (pair.difference.low, pair.difference.p_value) == (None, None)
    assert "n tested" not in page_of(tmp_path / "A.json", tmp_path / "B.json")


@pytest.mark.parametrize("repeats", [1, 2])
def test_a_written_result_tells_how_many_images_every_fold_tested(
    tmp_path: Path, make_cache: MakeCache, repeats: int
) -> None:
    store = make_cache(tmp_path / "features", [f"class {i % 2}" for i in range(46)], noise=1.5)
    done = run_experiment(store, recipes=["oof"], options=FIXED, n_jobs=1, repeats=repeats)
    write_result(done, tmp_path / "A.json")
    tested = read_earlier(tmp_path / "A.json").tested_by_fold
    assert tested == [len(fold.test) for fold in done.folds]
    assert len(set(tested)) > 1


@pytest.mark.parametrize("metric", ["log_loss", "mae", "rmse"])
def test_plus_means_better_where_less_is_better(tmp_path: Path, metric: str) -> None:
    first = compared(tmp_path, "A", result(metric=metric))
    second = compared(tmp_path, "B", result(metric=metric, shift=-0.02))
    assert all(each.difference.mean > 0.02 for each in paired_models(first, second))
    assert "plus means that B is better" in page_of(tmp_path / "A.json", tmp_path / "B.json")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": 1}, "seed"),
        ({"n_images": 91}, "number of images"),
        ({"dataset": "others"}, "dataset"),
        ({"cv": 5}, "cv"),
    ],
)
def test_results_of_other_folds_are_not_paired_and_it_is_said_why(tmp_path: Path, change: Content, said: str) -> None:
    page = page_of(write(tmp_path, "A", result()), write(tmp_path, "B", {**result(), **change}))
    assert f"cannot be compared fold by fold: they differ in {said}" in page
    assert "no difference" not in page


def relabel(content: Content) -> None:
    content["images"]["label"][:6] = ["class 9"] * 6


def move(content: Content) -> None:
    content["images"]["fold"][:2] = content["images"]["fold"][1::-1]


def replace_one(content: Content) -> None:
    content["images"]["image_sha256"][0] = "f" * 16


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (relabel, "6 images with another label, of 90 images that both tested"),
        (move, "2 images in another fold"),
        (replace_one, "1 image tested only in A, 1 image tested only in B, of 89 images"),
    ],
)
def test_images_that_differ_are_not_paired(tmp_path: Path, change: Callable[[Content], None], said: str) -> None:
    other = with_images(result(shift=0.02))
    change(other)
    page = page_of(write(tmp_path, "A", with_images(result())), write(tmp_path, "B", other))
    assert f"cannot be compared fold by fold: they differ in {said}" in page
    assert "+0.02" not in page


def test_another_dataset_of_the_same_name_and_size_is_not_paired(tmp_path: Path) -> None:
    first = compared(tmp_path, "A", with_images(result()))
    second = compared(tmp_path, "B", with_images(result(), first=90))
    assert lacks_same_folds(first, second) == "they are of different datasets, with no image in common"
    with pytest.raises(StackError, match="A and B cannot be compared fold by fold: they are of different datasets"):
        paired_models(first, second)


def test_a_dataset_under_another_name_is_known_by_its_images(tmp_path: Path) -> None:
    first = compared(tmp_path, "A", with_images(result()))
    assert lacks_same_folds(first, compared(tmp_path, "B", with_images(result(dataset="renamed")))) is None


@pytest.mark.parametrize("silent", ["B", "A", "AB"])
def test_images_that_a_file_does_not_tell_are_said_to_be_unchecked(tmp_path: Path, silent: str) -> None:
    files = [write(tmp_path, name, result() if name in silent else with_images(result())) for name in "AB"]
    page = page_of(*files)
    said = "A and B do" if silent == "AB" else f"{silent} does"
    assert f"labels and folds are the same was not checked: {said} not tell images one by one" in page
    assert "no difference" in page


@pytest.mark.parametrize("options", [{}, {"rare": "keep"}, {"time_column": "taken"}, {"cv": 4, "repeats": 2}], ids=str)
def test_sizes_are_those_of_the_folds(tmp_path: Path, make_cache: MakeCache, options: Content) -> None:
    labels = [*LABELS, "rare", "rare"] if "rare" in options else LABELS
    store: FeatureStore = make_cache(tmp_path / "features", labels, noise=1.5)
    store.write_dataset(
        replace(store.dataset(), columns={"taken": [f"2026-01-{i + 1:02}" for i in range(len(labels))]})
    )
    done = run_experiment(store, recipes=["oof"], options=FIXED, n_jobs=1, **options)
    write_result(done, tmp_path / "A.json")
    assert fold_sizes(read_earlier(tmp_path / "A.json")) == mean_sizes(done.folds)


@pytest.mark.parametrize("change", [{"rare": "keep"}, {"plan": "ordered"}, {"plan": "given"}])
def test_sizes_that_nothing_tells_give_no_interval(tmp_path: Path, change: Content) -> None:
    files = [write(tmp_path, name, result(**change)) for name in ("A", "B")]
    assert "do not tell how many images each fold was trained and tested on" in page_of(*files)


def test_a_single_split_has_no_spread(tmp_path: Path) -> None:
    single = result(cv=None, split="test")
    for each in single["results"]:
        each["accuracy"]["folds"] = each["accuracy"]["folds"][:1]
    page = page_of(write(tmp_path, "A", single), write(tmp_path, "B", single))
    assert "no spread" in page


def test_equal_differences_in_every_fold_are_said_to_be_alike(tmp_path: Path) -> None:
    content = result()
    for each in content["results"]:
        each["accuracy"]["folds"] = [score + 0.02 for score in each["accuracy"]["folds"]]
    page = page_of(write(tmp_path, "A", result()), write(tmp_path, "B", content))
    assert "alike in every fold" in page
    assert "no clear difference" not in page


def test_the_page_shows_scores_differences_and_what_was_asked(tmp_path: Path) -> None:
    page = page_of(write(tmp_path, "A", result()), write(tmp_path, "<b>", result(shift=0.02, c=0.5)))
    for words in ("A: stack:oof 0.813", "&lt;b&gt; against A", "+0.0220", "clear", "What is the same", "0.5"):
        assert words in page
    assert "<b>: stack" not in page


def test_the_model_is_the_one_that_the_findings_name(tmp_path: Path) -> None:
    page = page_of(write(tmp_path, "A", result(recipe="unknown")), write(tmp_path, "B", result(model="concat")))
    assert "A: stack:oof 0.813" in page
    assert "B: concat 0.803" in page


@pytest.mark.parametrize("names", [("A", "A"), ("A", "B", "A")])
def test_a_result_named_twice_is_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    files = [write(tmp_path, name, result()) for name in names]
    with pytest.raises(UsageError, match="named twice"):
        collect_comparison(files)


def test_results_of_different_metrics_are_refused(tmp_path: Path) -> None:
    files = [write(tmp_path, "A", result()), write(tmp_path, "B", result(metric="macro_f1"))]
    with pytest.raises(StackError, match=r"different metrics: A by accuracy, B by macro_f1"):
        collect_comparison(files)


@pytest.mark.parametrize("content", ["", "[]", '{"format": "stackbone-transfer", "format_version": 1}'])
def test_what_is_no_result_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "B.json").write_text(content)
    with pytest.raises(StackError, match=r"B\.json is not a valid result"):
        collect_comparison([write(tmp_path, "A", result()), tmp_path / "B.json"])


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda content: [content.pop(key) for key in list(content)[2:]], "does not name its dataset"),
        (lambda content: content.update(results=None), "has no list of scores"),
        (lambda content: content.update(n_images=None), "its n_images is null, where a number from 1 is expected"),
        (lambda content: content.update(repeats=0), "its repeats is 0, where a number from 1"),
        (
            lambda content: content["results"][0]["accuracy"]["folds"].__setitem__(1, None),
            "the accuracy of 'lr:a' in fold 2 is null, which is no number",
        ),
        (lambda content: content["results"][1]["accuracy"]["folds"].pop(), "scores of 3 and 2 folds"),
        (lambda content: content["results"][2].pop("accuracy"), "its model 'concat' has no accuracy of each fold"),
        (lambda content: content["findings"].update(stack="stack:none"), "lacks scores of 'stack:none'"),
        (lambda content: content.pop("findings"), "does not say which model it is about"),
        (lambda content: content.update(images=[1]), "its images are no columns of one length"),
        (lambda content: content.update(n_tested=[30, 60]), r"its n_tested is \[30, 60\], where 3 numbers from 1"),
        (lambda content: content.update(n_tested=[30, 60, 0]), r"its n_tested is \[30, 60, 0\], where 3 numbers"),
        (lambda content: content.update(n_tested=None), "its n_tested is null, where 3 numbers from 1 are expected"),
    ],
)
def test_a_damaged_result_is_refused_in_words(tmp_path: Path, damage: Callable[[Content], Any], said: str) -> None:
    content = result()
    damage(content)
    with pytest.raises(StackError, match=rf"B\.json is not a valid result: .*{said}.*Name a file that"):
        collect_comparison([write(tmp_path, "A", result()), write(tmp_path, "B", content)])


@pytest.mark.parametrize("key", ["cv", "seed", "plan", "rare"])
def test_an_odd_option_ends_in_words(tmp_path: Path, key: str) -> None:
    page = page_of(write(tmp_path, "A", result()), write(tmp_path, "B", {**result(), key: {"odd": [1]}}))
    assert f"they differ in {key}" in page


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (relabel, "again with `--against A.json`. It holds both answers against the labels of now, on the 90 images"),
        (
            replace_one,
            "again with `--against A.json`. It holds both answers against the labels of now, on the 89 images",
        ),
        (lambda content: content.update(seed=1), None),
        (lambda content: content["images"].update(fold=[i // 30 + 1 for i in range(90)]), None),
        (lambda content: None, None),
    ],
)
def test_results_that_stack_can_pair_are_told_how(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Content], None], said: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    other = with_images(result(shift=0.02))
    change(other)
    for name, content in (("A", with_images(result())), ("B", other)):
        write(Path(), name, content)
    page = page_of(Path("A.json"), Path("B.json"))
    assert (said is None or said in page, "--against" in page) == (True, said is not None)


@pytest.mark.parametrize(
    ("task", "metric"),
    [("classification", "macro_f1"), ("classification", "log_loss"), ("multilabel", "mean_ap"), ("regression", "r2")],
)
@pytest.mark.parametrize("n_folds", [1, 3])
def test_no_way_is_told_that_gives_no_interval(tmp_path: Path, task: str, metric: str, n_folds: int) -> None:
    for name, change in (("A", lambda content: None), ("B", relabel)):
        content = with_images(result(metric=metric, task=task))
        change(content)
        for each in content["results"]:
            each[metric]["folds"] = each[metric]["folds"][:n_folds]
        write(tmp_path, name, content)
    page = page_of(tmp_path / "A.json", tmp_path / "B.json")
    assert "cannot be compared fold by fold" in page
    assert "--against" not in page


@pytest.mark.parametrize("change", [lambda content: None, relabel, replace_one])
def test_a_single_split_is_paired_by_its_images(tmp_path: Path, change: Callable[[Content], None]) -> None:
    for name, changed in (("A", lambda content: None), ("B", change)):
        content = with_images(result(cv=None, split="test", n_images=30))
        content["images"]["fold"] = [1] * 30
        for each in content["results"]:
            each["accuracy"]["folds"] = each["accuracy"]["folds"][:1]
        changed(content)
        write(tmp_path, name, content)
    page = page_of(tmp_path / "A.json", tmp_path / "B.json")
    assert "no spread" in page
    assert f"on the {29 if change is replace_one else 30} images that both tested in the same fold" in page
