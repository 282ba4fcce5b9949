"""A table of corrections is matched with a dataset by path, written by image, and refused where it says nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from stackbone.cache import DatasetError, FeatureStore, UsageError, empty_index
from stackbone.cache.csv_text import csv_lines
from stackbone.extract.relabelling.relabel import Relabelled, relabel
from tests.conftest import MakeCache

LABELS = ["cat", "cat", "dog", "dog", "cat"]


@pytest.fixture
def store(tmp_path: Path, make_cache: MakeCache) -> FeatureStore:
    """Return a cache whose last image is a copy of its first."""
    return make_cache(tmp_path / "features", LABELS, content=[0, 1, 2, 3, 0])


def corrected(
    store: FeatureStore, tmp_path: Path, *rows: tuple[str, ...], header: str = "path,label,was"
) -> Relabelled:
    file = tmp_path / "fixes.csv"
    file.write_text(csv_lines([header.split(","), *rows]))
    return relabel(file, store)


def test_a_correction_is_of_an_image_with_all_its_copies(store: FeatureStore, tmp_path: Path) -> None:
    first, copy = store.dataset().path[0], store.dataset().path[4]
    done = corrected(store, tmp_path, (first, "dog", "cat"))
    assert (done.path, done.label, done.was, done.n_images) == ([first, copy], ["dog"] * 2, ["cat"] * 2, 1)
    assert store.dataset().label == ["dog", "cat", "dog", "dog", "dog"]


def test_what_is_not_there_or_has_changed_is_counted_and_listed(store: FeatureStore, tmp_path: Path) -> None:
    paths = store.dataset().path
    rows = [("gone.jpg", "dog", "cat"), (paths[2], "cat", "emu"), (paths[3], "dog", "cat"), (paths[1], "dog", "cat")]
    done = corrected(store, tmp_path, *rows)
    assert done.gone == ["gone.jpg"]
    assert done.outdated == [(paths[2], "emu", "dog")]
    assert done.n_same == 1
    assert store.dataset().label == ["cat", "dog", "dog", "dog", "cat"]


@pytest.mark.parametrize("header", ["path,label", "image,class", "path,label,was,score"])
def test_tables_of_other_headers_are_read(store: FeatureStore, tmp_path: Path, header: str) -> None:
    path = store.dataset().path[1]
    row = (path, "dog", *(["cat", "1.0"] if "was" in header else []))
    corrected(store, tmp_path, row, header=header)
    assert store.dataset().label[1] == "dog"


@pytest.mark.parametrize("written", ["./{}", "{root}/{}", "  {}"])
def test_paths_are_found_as_people_write_them(store: FeatureStore, tmp_path: Path, written: str) -> None:
    index = store.dataset()
    corrected(store, tmp_path, (written.format(index.path[1], root=index.root), "dog", "cat"))
    assert store.dataset().label[1] == "dog"


@pytest.mark.parametrize("name", ["=cat", "-dog", "@emu"])
def test_labels_that_a_spreadsheet_would_run_come_back(store: FeatureStore, tmp_path: Path, name: str) -> None:
    corrected(store, tmp_path, (store.dataset().path[1], name, "cat"))
    assert store.dataset().label[1] == name


def test_an_empty_label_takes_one_away_and_is_no_correction_where_there_is_none(
    store: FeatureStore, tmp_path: Path
) -> None:
    paths = store.dataset().path
    assert corrected(store, tmp_path, (paths[1], "", "cat")).label == [""]
    again = corrected(store, tmp_path, (paths[1], "", ""))
    assert (again.path, again.n_same) == ([], 1)
    assert len(store.corrections("photos")) == 1


def test_what_audit_wrote_is_taken_where_it_suggests_a_label(store: FeatureStore, tmp_path: Path) -> None:
    paths = store.dataset().path
    header = "kind,image,score,label,suggested_label,suggestion,evidence"
    done = corrected(
        store,
        tmp_path,
        ("label", paths[1], "0.9", "cat", "dog", "label it dog", "it looks so"),
        ("copy", paths[1], "1.0", "cat", "", "leave it out", "a copy"),
        ("blurred", paths[2], "1.0", "dog", "", "leave it out", "blurred"),
        header=header,
    )
    assert (done.path, done.label, done.was) == ([paths[1]], ["dog"], ["cat"])
    assert "1 of its 3 rows" in done.notes[1]


def test_a_new_name_and_a_name_that_goes_are_noted(store: FeatureStore, tmp_path: Path) -> None:
    paths = store.dataset().path
    done = corrected(store, tmp_path, (paths[2], "dogg", "dog"), (paths[3], "cat", "dog"))
    assert done.notes == [
        "1 file gets the label 'dogg', which no image had before; did you mean 'dog'? Then correct it, and run again.",
        "No image has the label 'dog' any more.",
    ]


def test_rows_that_disagree_are_refused_and_nothing_is_written(store: FeatureStore, tmp_path: Path) -> None:
    paths = store.dataset().path
    with pytest.raises(DatasetError, match=r"Two rows of .* disagree about 'cat/1.jpg'"):
        corrected(store, tmp_path, (paths[1], "dog", "cat"), (paths[1], "emu", "cat"))
    with pytest.raises(DatasetError, match="disagree about one image"):
        corrected(store, tmp_path, (paths[0], "dog", "cat"), (paths[4], "emu", "cat"))
    with pytest.raises(DatasetError, match="disagree about one image"):
        corrected(store, tmp_path, (paths[1], "dog", "cat"), (f"./{paths[1]}", "emu", "cat"))
    assert store.corrections("photos") == []


@pytest.mark.parametrize("table", ["absent.csv", "fixes.txt", "folder"])
def test_what_is_no_table_is_refused(store: FeatureStore, tmp_path: Path, table: str) -> None:
    (tmp_path / "fixes.txt").write_text("path,label\n")
    (tmp_path / "folder").mkdir()
    with pytest.raises((DatasetError, UsageError)):
        relabel(tmp_path / table, store)


def test_a_table_of_another_dataset_says_how_paths_look(store: FeatureStore, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"None of the 2 paths .* 'x.jpg', and .* such as 'cat/0.jpg'"):
        corrected(store, tmp_path, ("x.jpg", "cat", ""), ("y.jpg", "cat", ""))


@pytest.mark.parametrize(("label", "kept"), [("dog|cat", "cat|dog"), ("|", "|"), (" dog | dog ", "dog")])
def test_sets_of_labels_are_read_as_an_index_holds_them(
    store: FeatureStore, tmp_path: Path, label: str, kept: str
) -> None:
    store.write_dataset(replace(store.dataset(), label_form="sets", label=["cat|emu", *LABELS[1:]]))
    corrected(store, tmp_path, (store.dataset().path[2], label, ""), header="path,label,note")
    assert store.dataset().label[2] == kept or label.strip(" |") == "dog"
    assert store.dataset().label_form == "sets"


@pytest.mark.parametrize("label", ["width=1", "width=1|height=tall", "height=1|width=2"])
def test_numbers_of_another_form_are_refused(store: FeatureStore, tmp_path: Path, label: str) -> None:
    numbers = [f"width={i}|height={i}.5" for i in range(5)]
    store.write_dataset(replace(store.dataset(), label_form="numbers", label=numbers))
    path = store.dataset().path[1]
    with pytest.raises(DatasetError, match=r"Expected all of them, as in 'width=1.5\|height=1.5'"):
        corrected(store, tmp_path, (path, label, numbers[1]))
    corrected(store, tmp_path, (path, "width=7|height=8", numbers[1]))
    assert store.dataset().label[1] == "width=7|height=8"


def test_a_word_among_quantities_is_refused(tmp_path: Path, make_cache: MakeCache) -> None:
    store = make_cache(tmp_path / "features", [f"{i}.5" for i in range(12)])
    with pytest.raises(DatasetError, match="are numbers"):
        corrected(store, tmp_path, (store.dataset().path[1], "long", "1.5"))
    assert corrected(store, tmp_path, (store.dataset().path[1], "3.25", "1.5")).notes == []


UNLIKE = ["cat", "cat", "dog", "dog", ""]
"""The copy of the first image has no label, as one that a later `extract` listed."""


@pytest.fixture
def unlike(store: FeatureStore) -> FeatureStore:
    store.write_dataset(replace(store.dataset(), label=UNLIKE))
    return store


@pytest.mark.parametrize("header", ["path,label,was", "path,label"])
def test_a_row_that_stays_empty_takes_no_label_from_a_copy(unlike: FeatureStore, tmp_path: Path, header: str) -> None:
    row = (unlike.dataset().path[4], "", "")[: header.count(",") + 1]
    done = corrected(unlike, tmp_path, row, header=header)
    assert (done.path, done.n_same, done.outdated) == ([], 1, [])
    assert unlike.dataset().label == UNLIKE


def test_a_row_that_stays_empty_does_not_disagree_with_a_copy_that_is_filled_in(
    unlike: FeatureStore, tmp_path: Path
) -> None:
    paths = unlike.dataset().path
    done = corrected(unlike, tmp_path, (paths[4], "", ""), (paths[0], "dog", "cat"))
    assert (done.path, done.n_same) == ([paths[0]], 1)
    assert done.outdated == [(paths[4], "cat", "")]
    assert unlike.dataset().label == ["dog", *UNLIKE[1:]]


@pytest.mark.parametrize(
    ("label", "was", "outdated"),
    [("cat", "cat", "cat"), ("dog", "cat", "cat"), ("", "cat", None), ("cat", "", None), ("cat", "emu", "emu")],
)
def test_a_copy_with_another_label_than_was_says_is_passed_over_and_listed(
    unlike: FeatureStore, tmp_path: Path, label: str, was: str, outdated: str | None
) -> None:
    paths = unlike.dataset().path
    done = corrected(unlike, tmp_path, (paths[0], label, was))
    assert done.outdated == ([] if outdated is None else [(paths[4], outdated, "")])
    assert unlike.dataset().label == [label, *UNLIKE[1:4], "cat" if (label, was) == ("cat", "") else ""]


@pytest.mark.parametrize("column", ["rightLabel", "ÉTIQUETTE", "label of Anna"])
def test_advice_names_a_column_as_it_was_typed(store: FeatureStore, tmp_path: Path, column: str) -> None:
    (tmp_path / "fixes.csv").write_text("path,was\na.jpg,cat\n")
    with pytest.raises(UsageError) as found:
        relabel(tmp_path / "fixes.csv", store, label_column=column)
    assert f". Add a column {column!r} with the right label of each image." in str(found.value)


def test_without_was_every_copy_gets_the_label_that_the_image_has(unlike: FeatureStore, tmp_path: Path) -> None:
    done = corrected(unlike, tmp_path, (unlike.dataset().path[0], "cat"), header="path,label")
    assert (done.path, done.label, done.n_same) == ([unlike.dataset().path[4]], ["cat"], 1)


def test_copies_of_other_labels_are_corrected_each_by_its_own_row(unlike: FeatureStore, tmp_path: Path) -> None:
    paths = unlike.dataset().path
    done = corrected(unlike, tmp_path, (paths[0], "dog", "cat"), (paths[4], "dog", ""))
    assert (done.path, done.outdated) == ([paths[0], paths[4]], [])
    with pytest.raises(DatasetError, match="disagree about one image"):
        corrected(unlike, tmp_path, (paths[0], "emu", "dog"), (paths[4], "cat", "dog"))


def test_a_dataset_without_files_has_none_of_the_paths(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "features")
    store.write_dataset(empty_index("photos", "/photos"))
    with pytest.raises(DatasetError, match=r"None of the 1 path .* 'x.jpg', and the dataset has no files"):
        corrected(store, tmp_path, ("x.jpg", "cat", ""))


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("path,was\na.jpg,cat\n", "Add a column 'label' with the right label of each image."),
        ("path\na.jpg\n", "Add a column 'label' with the right label of each image."),
        ("a.jpg\n", "Add that column, or give the table a header."),
        ("path,was,kind\na.jpg,cat,dog\n", "Type --label-column kind, or add a column 'label' with the right label"),
    ],
)
def test_a_table_without_labels_is_told_to_get_them(
    store: FeatureStore, tmp_path: Path, text: str, advice: str
) -> None:
    (tmp_path / "fixes.csv").write_text(text)
    with pytest.raises(UsageError) as found:
        relabel(tmp_path / "fixes.csv", store)
    assert advice in str(found.value)
    assert "--no-labels" not in str(found.value)
