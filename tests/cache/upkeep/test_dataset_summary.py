"""A dataset is told in a few lines, with what looks odd and nothing that does not."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import pytest

from stackbone.cache import DatasetIndex
from stackbone.cache.hdf5.coded_texts import count_texts
from stackbone.cache.labels.numbers import NUMBERS
from stackbone.cache.labels.sets import SETS, join_names
from stackbone.cache.records.indexes import index as index_module
from stackbone.cache.records.indexes.listed import Listed, Skipped
from stackbone.cache.upkeep.dataset_summary import summarise_dataset
from stackbone.cache.upkeep.oddities import looks as looks_module
from stackbone.cache.upkeep.oddities.looks import Copies, Looks
from tests.made.caches import make_digests, make_index

LITES = {"lite0": (224, 224), "lite1": (240, 240)}


def dataset(
    labels: Sequence[str],
    *,
    splits: Sequence[str] = (),
    groups: Sequence[str] = (),
    content: Sequence[int] = (),
    sizes: Sequence[tuple[int, int]] = (),
) -> DatasetIndex:
    """Files of equal `content` have the same bytes."""
    n = len(labels)
    digests = make_digests(n)[list(content) or list(range(n))]
    index = make_index("photos", digests)
    return replace(
        index,
        label=list(labels),
        split=list(splits) or [""] * n,
        group=list(groups) or [""] * n,
        sizes=np.array(sizes, np.int64) if len(sizes) else None,
    )


def odd(index: DatasetIndex) -> dict[str, str]:
    return {oddity.kind: oddity.says for oddity in summarise_dataset(index, LITES).oddities}


def lines(index: DatasetIndex) -> str:
    return "\n".join(summarise_dataset(index).lines())


AB = ["a"] * 20 + ["b"] * 20


def test_a_plain_dataset_takes_few_lines_and_looks_odd_in_nothing() -> None:
    splits = ["train", "train", "test", "test"] * 10
    index = dataset(AB, splits=splits, groups=[f"g{i}" for i in range(40)], sizes=[(400, 300)] * 39 + [(800, 600)])
    summary = summarise_dataset(index, LITES)
    assert summary.lines() == [
        "dataset photos, of /data",
        "  40 images",
        "  2 classes: a 20, b 20",
        "  2 splits: test 20, train 20",
        "  40 groups, the largest g0 with 1",
        "  sizes: 400 x 300 pixels in the median, from 400 x 300 to 800 x 600",
    ]
    content = json.loads(json.dumps(summary.to_dict()))
    assert content["classes"] == {"a": 20, "b": 20}
    assert content["sizes"] == {"n_measured": 40, "smallest": [400, 300], "median": [400, 300], "largest": [800, 600]}
    assert (content["n_groups"], content["n_grouped"], content["oddities"]) == (40, 40, [])


def test_what_was_not_taken_and_what_was_believed_is_said() -> None:
    met = [Skipped(f".x{i}", "not an image", i + 1, f"a.x{i}") for i in range(9)]
    index = replace(
        dataset(AB), listed=Listed([Skipped(".heic", "not read here", 12, "a/b.heic"), *met], ["It is so."])
    )
    said = lines(index)
    assert "  skipped: 12 .heic (not read here), such as 'a/b.heic'\n  skipped: 9 .x8" in said
    assert "  skipped: 10 more, of 4 other sorts; `extract --dry-run --json` lists all" in said
    assert said.endswith("  note: It is so.")
    assert len(summarise_dataset(index).to_dict()["skipped"]) == 10


def test_many_classes_are_shown_by_the_largest_and_the_smallest() -> None:
    said = lines(dataset([f"c{i:02}" for i in range(30) for _ in range(i + 3)]))
    assert "30 classes of 3 to 32 images, 17.5 in the median; largest: c29 32, c28 31, " in said
    assert said.endswith("smallest: c02 5, c01 4, c00 3")
    assert "20 classes of 4 images each, such as c00 4" in lines(dataset([f"c{i:02}" for i in range(20)] * 4))


def test_names_are_shown_where_they_end() -> None:
    assert "3 classes: 'cat ' 3, 'a, b' 3, dog 3" not in lines(dataset(["cat ", "a, b", "dog"] * 3))
    assert "3 classes: 'a, b' 3, 'cat ' 3, dog 3" in lines(dataset(["cat ", "a, b", "dog"] * 3))


def test_unlabelled_copies_and_failures_are_counted() -> None:
    index = dataset(["a", "a", "", "b", "b", "b"], content=[0, 0, 2, 3, 4, 5])
    index = replace(index, status=np.array([0, 0, 0, 0, 0, 1], np.uint8))
    assert "  6 images, 1 file byte-identical to another, 1 failed, 1 without a label" in lines(index)
    assert "  2 images, no labels: features only" in lines(dataset(["", ""]))
    assert summarise_dataset(dataset([])).lines() == ["dataset photos, of /data", "  0 images"]


@pytest.mark.parametrize(
    ("kind", "index", "words"),
    [
        ("one class", dataset(["photos"] * 3), "'photos'"),
        ("one class", dataset(["x", "", "x"]), "nothing to tell apart"),
        ("one class", dataset(["x\x1b[31m" * 20] * 30), r"\x1b"),
        ("numbers as classes", dataset([f"{i}.5" for i in range(10)] * 2), "10 different numbers"),
        ("numbers as classes", dataset([str(i - 15) for i in range(30)]), "--task regression"),
        ("numbers as classes", dataset([f"{i}e-3" for i in range(12)]), "12 different"),
        ("a class for each image", dataset([f"IMG_{i}" for i in range(40)]), "40 of 40 labelled images"),
        ("a class for each image", dataset([f"{i:05}" for i in range(20)]), "no other has"),
        ("a class for each image", dataset([*(f"x{i}" for i in range(15)), *["y"] * 10]), "15 of 25"),
        ("classes named like splits", dataset(["train", "dev"] * 5), "'dev', 'train'"),
        ("classes named like splits", dataset(["Train", "TEST ", "a"] * 5), "'TEST ', 'Train'"),
        ("classes named like splits", dataset(["val", "holdout", "x", "y"] * 5), "one level of folders below"),
        ("class names alike", dataset(["Cat", "cat"] * 5), "'Cat' and 'cat'"),
        ("class names alike", dataset(["hot dog", "hot_dog", "Hot-Dog", "cat"] * 5), "'Hot-Dog' and 'hot dog' and"),
        ("class names alike", dataset(["caf\u00e9", "cafe\u0301", "b "] * 5), "count as different classes"),
        ("copies with different labels", dataset(["a", "b"] * 5, content=[0, 0, *range(2, 10)]), "1 image is there"),
        ("copies with different labels", dataset(["a", "b", "c"] * 2, content=[0, 0, 0, 1, 1, 1]), "2 images are"),
        ("copies across splits", dataset(["a", "a"], splits=["train", "test"], content=[0, 0]), "1 image is in more"),
        ("copies across splits", dataset(["a", ""], splits=["x", "y"], content=[0, 0]), "byte for byte"),
        ("groups across splits", dataset(["a"] * 3, splits=["x", "y", "x"], groups=["p", "p", "q"]), "1 group is"),
        ("groups across splits", dataset(AB, splits=["x", "y"] * 20, groups=["p", "q"] * 10 + ["q", "p"] * 10), "2 gr"),
        (
            "classes not in training",
            dataset(["a", "b"], splits=["train", "test"]),
            "1 class has no training image ('b')",
        ),
        ("classes not in training", dataset(["a", "b", "c"], splits=["Training", "x", "y"]), "2 classes have no"),
        ("splits without labels", dataset(["a", "b", "", ""], splits=["train"] * 2 + ["test"] * 2), "the split 'test'"),
        ("splits without labels", dataset(["a", "", ""], splits=["x", "y", "z"]), "the splits 'y', 'z'"),
        ("rare classes", dataset([*AB, "c"]), "1 class has fewer than 3 images ('c' 1)"),
        ("rare classes", dataset([*AB, "c", "d", "d"]), "--rare drop"),
        ("rare classes", dataset([*AB * 2, *(f"r{i}" for i in range(7))]), "and 2 more"),
        ("imbalance", dataset(["a"] * 90 + ["b"] * 10), "90% of the labels are 'a'"),
        ("imbalance", dataset(["a"] * 60 + ["b"] * 60 + ["c"] * 3), "'a' has 60 images and 'c' 3"),
        (
            "small images",
            dataset(AB, sizes=[(32, 32)] * 40),
            "from 32 pixels in the median, of the shorter",
        ),
        ("small images", dataset(AB, sizes=[(1000, 100)] * 21 + [(500, 500)] * 19), "to 224 to 240"),
        ("small images", dataset(AB, sizes=[(230, 230)] * 30 + [(0, 0)] * 10), "to 240. Use larger"),
        ("sizes differ by class", dataset(AB, sizes=[(300, 300)] * 20 + [(600, 700)] * 20), "600 and 300 pixels"),
        ("sizes differ by class", dataset(AB, sizes=[(300, 900)] * 20 + [(900, 60)] * 20), "of 'a' are larger"),
    ],
)
def test_what_looks_odd_is_said(kind: str, index: DatasetIndex, words: str) -> None:
    assert words in odd(index)[kind]


@pytest.mark.parametrize(
    ("kind", "index"),
    [
        ("one class", dataset(["", ""])),
        ("numbers as classes", dataset([str(i % 10) for i in range(100)])),
        ("numbers as classes", dataset([f"{i:03}" for i in range(100)])),
        ("numbers as classes", dataset([*(f"{i}.5" for i in range(50)), "unknown"])),
        ("numbers as classes", dataset(["nan", "inf", *(f"{i}.5" for i in range(20))])),
        ("a class for each image", dataset([f"x{i % 60}" for i in range(120)])),
        ("a class for each image", dataset([f"{i}.25" for i in range(40)])),
        ("classes named like splits", dataset(["test", "train", "bus", "car", "tram"] * 4)),
        ("classes named like splits", dataset(["test", "a"] * 4)),
        ("class names alike", dataset(["cat", "cats", "c4t"] * 4)),
        ("class names alike", dataset(["-1", "1", "1-1", "11"] * 4)),
        ("class names alike", dataset([f"{i}.5" for i in range(-10, 10)])),
        ("copies with different labels", dataset(["a", ""], content=[0, 0])),
        ("copies across splits", dataset(["a", "a"], splits=["train", ""], content=[0, 0])),
        ("groups across splits", dataset(["a"] * 4, splits=["x", "x", "y", ""], groups=["p", "p", "q", "p"])),
        ("classes not in training", dataset(["a", "b"], splits=["x", "y"])),
        ("classes not in training", dataset(["a", ""], splits=["train", "test"])),
        ("splits without labels", dataset(["", ""], splits=["x", "y"])),
        ("rare classes", dataset(["a", "b"] * 3)),
        ("imbalance", dataset(["a"] * 5 + ["b"])),
        ("imbalance", dataset(["a"] * 59 + ["b"] * 59 + ["c"] * 3)),
        ("small images", dataset(AB)),
        ("small images", dataset(AB, sizes=[(0, 0)] * 40)),
        ("small images", dataset(AB, sizes=[(10, 10)] * 20 + [(400, 400)] * 20)),
        ("sizes differ by class", dataset(AB, sizes=[(300, 300)] * 20 + [(500, 500)] * 20)),
        ("sizes differ by class", dataset(AB, sizes=[(300, 300)] * 20 + [(900, 900)] * 9 + [(0, 0)] * 11)),
    ],
)
def test_what_is_not_odd_is_not_said(kind: str, index: DatasetIndex) -> None:
    assert kind not in odd(index)


def test_numbers_as_labels_are_told_by_their_range() -> None:
    assert "50 different numbers as labels, from -1.5 to 48.5" in lines(dataset([f"{i - 2}.5" for i in range(1, 51)]))


def test_a_failed_image_plays_no_part_in_what_looks_odd() -> None:
    index = replace(dataset(["a", "b", "b", "b", "b"]), status=np.array([1, 0, 0, 0, 0], np.uint8))
    assert set(odd(index)) == {"one class"}


def test_names_of_figures_alone_are_set_apart_from_their_counts() -> None:
    assert "2 classes: '1' 3, '2' 3" in lines(dataset(["1", "2"] * 3))


@pytest.mark.parametrize(("rest", "is_offered"), [(["c"], False), (["c"] * 3, False), (["c"] * 3 + ["d"] * 3, True)])
def test_rare_classes_are_left_out_only_where_two_others_stay(rest: list[str], *, is_offered: bool) -> None:
    assert ("--rare drop" in lines(dataset(["a", *rest]))) is is_offered


@pytest.mark.parametrize("form", ["", SETS, NUMBERS])
def test_labels_of_each_split_are_those_that_a_plain_count_finds(form: str) -> None:
    rng = np.random.default_rng(0)
    texts = {"": ["", "b", "a"], SETS: ["", join_names(["a"]), join_names(["a", "b"])], NUMBERS: ["", "1 2", "3 4"]}
    labels = [texts[form][i] for i in rng.integers(0, 3, 200).tolist()]
    splits = [["", "x", "y", "z"][i] for i in rng.integers(0, 4, 200).tolist()]
    index = replace(dataset(labels, splits=splits), label_form=form, status=(rng.random(200) < 0.1).astype(np.uint8))
    expected: dict[str, Counter[str]] = {}
    for row in np.flatnonzero(index.ok).tolist():
        if splits[row]:
            of_split = expected.setdefault(splits[row], Counter())
            of_split.update(index.names_of(row) if labels[row] else [""])
    found = Looks(index, Copies([]), {}).splits
    assert found == expected
    assert list(found) == list(expected)


def test_however_many_splits_there_are_rows_are_gone_through_as_often(monkeypatch: pytest.MonkeyPatch) -> None:
    passes = Mock(wraps=count_texts)
    for module in (looks_module, index_module):
        monkeypatch.setattr(module, "count_texts", passes)
    n_passes = []
    for n_splits in (2, 300):
        splits = [f"s{i % n_splits}" for i in range(600)]
        assert len(Looks(dataset(["a"] * 600, splits=splits), Copies([]), {}).splits) == n_splits
        n_passes.append(passes.call_count)
        passes.reset_mock()
    assert n_passes[0] == n_passes[1]
