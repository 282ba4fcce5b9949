"""Copies with conflicting labels are shown file by file."""

from collections.abc import Callable
from pathlib import Path

from stackbone.cache import FeatureStore
from stackbone.cache.upkeep.dataset_summary import Conflict, summarise_dataset
from stackbone.stack.report.sections.errors import conflicting_rows


def test_conflicts_name_every_file(tmp_path: Path, make_cache: Callable[..., FeatureStore]) -> None:
    labels = ["hat", "cap", "hat", "hat", "wig"]
    index = make_cache(tmp_path, labels, content=[1, 1, 2, 2, 1]).dataset()
    [found] = conflicting_rows(summarise_dataset(index).conflicts, index.path)
    assert [index.path[row] for row in found] == ["hat/0.jpg", "cap/1.jpg", "wig/4.jpg"]
    assert [index.label[row] for row in found] == ["hat", "cap", "wig"]


def test_of_many_conflicts_and_copies_the_first_are_shown() -> None:
    paths = [f"{i}.jpg" for i in range(900)]
    conflicts = [Conflict(paths[9 * i : 9 * i + 9], list("abababaab")) for i in range(100)]
    assert conflicting_rows(conflicts, paths) == [list(range(9 * i, 9 * i + 6)) for i in range(40)]
