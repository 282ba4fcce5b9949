"""Several labels of an image are read from whatever says them: text with separators, lists, annotations."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from stackbone.cache.errors import DatasetError, UsageError
from stackbone.extract.datasets.dataset import Dataset, open_dataset


def read(dataset: Dataset) -> dict[str, str]:
    assert dataset.label_form == "sets"
    return dict(zip(dataset.paths, dataset.labels, strict=True))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Make four empty files of images."""
    for i in range(4):
        (tmp_path / f"{i}.jpg").touch()
    return tmp_path


def table(folder: Path, *cells: str, name: str = "list.csv") -> Path:
    lines = ["path\tlabel", *(f"{i}.jpg\t{cell}" for i, cell in enumerate(cells))]
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / name


@pytest.mark.parametrize("separator", ["|", ",", ";", " ", "/", "::"])
def test_a_separator_takes_labels_apart(photos: Path, separator: str) -> None:
    file = table(photos, f"indoor{separator}cat", "cat", separator, "", name="list.tsv")
    dataset = open_dataset(file, label_separator=separator)
    assert read(dataset) == {
        "0.jpg": "cat|indoor",
        "1.jpg": "cat",
        "2.jpg": "|" if separator != " " else "",
        "3.jpg": "",
    }
    assert dataset.classes == ["cat", "indoor"]
    assert list(dataset.asked[-2:]) == ["--label-separator", separator]


def test_spaces_doubles_and_unicode_forms_do_not_count(photos: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "Kühe")
    dataset = open_dataset(table(photos, f" {decomposed} , cat ,, cat", "Kühe", name="list.tsv"), label_separator=",")
    assert read(dataset) == {"0.jpg": "Kühe|cat", "1.jpg": "Kühe"}


def test_without_a_separator_each_combination_is_a_class(photos: Path) -> None:
    dataset = open_dataset(table(photos, "cat|indoor", "cat", name="list.tsv"))
    assert dataset.label_form == ""
    assert dataset.labels == ["cat|indoor", "cat"]
    assert "--label-separator" not in dataset.asked


def test_folders_names_can_be_taken_apart_too(tmp_path: Path) -> None:
    for name in ("red+dress", "red+skirt", "dress"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jpg").touch()
    dataset = open_dataset(tmp_path, label_separator="+")
    assert read(dataset) == {"dress/a.jpg": "dress", "red+dress/a.jpg": "dress|red", "red+skirt/a.jpg": "red|skirt"}


def test_corrections_are_taken_apart_like_the_rest(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        (tmp_path / "photos" / name / "a.jpg").touch()
    (tmp_path / "fixes.csv").write_text("path,label\ncat/a.jpg,cat;dog\n")
    dataset = open_dataset(tmp_path / "photos", labels=tmp_path / "fixes.csv", label_separator=";")
    assert read(dataset) == {"cat/a.jpg": "cat|dog", "dog/a.jpg": "dog"}


def test_lists_in_parquet_are_labels(photos: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    for lists in ([["indoor", "cat"], ["cat"], [], None], [[3, 1], [3], [], None]):
        rows = {"path": [f"{i}.jpg" for i in range(4)], "label": lists}
        parquet.write_table(pyarrow.table(rows), photos / "list.parquet")
        first = "cat|indoor" if lists[1] == ["cat"] else "1|3"
        second = "cat" if lists[1] == ["cat"] else "3"
        found = read(open_dataset(photos / "list.parquet"))
        assert found == {"0.jpg": first, "1.jpg": second, "2.jpg": "|", "3.jpg": ""}


def test_lists_of_lists_and_of_structures_are_no_labels(photos: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    for odd in ([["a"]], [{"name": "a"}]):
        parquet.write_table(pyarrow.table({"path": ["0.jpg"], "label": [odd]}), photos / "list.parquet")
        with pytest.raises(DatasetError, match="Expected text or numbers as the label"):
            open_dataset(photos / "list.parquet")


def test_lists_in_json_lines_beside_images_are_labels(photos: Path) -> None:
    rows = [{"file_name": f"{i}.jpg", "label": label} for i, label in enumerate([["b", "a"], "a", [], None])]
    (photos / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert read(open_dataset(photos)) == {"0.jpg": "a|b", "1.jpg": "a", "2.jpg": "|", "3.jpg": ""}


@pytest.mark.parametrize("labels", [[["b", "a"], ["a"], []], [("b", "a"), {"a"}, frozenset()], [["b", "a"], "a", ()]])
def test_arrays_take_lists_of_labels(labels: list[object]) -> None:
    images = np.zeros((3, 8, 8, 3), np.uint8)
    assert list(read(open_dataset(images, labels=labels)).values()) == ["a|b", "a", "|"]


def test_arrays_take_a_separator() -> None:
    images = np.zeros((2, 8, 8, 3), np.uint8)
    assert open_dataset(images, labels=["a, b", "b"], label_separator=",").labels == ["a|b", "b"]


def test_a_bar_in_a_name_is_refused(photos: Path) -> None:
    with pytest.raises(DatasetError, match=r"The label 'a\|b' in the labels holds '\|'"):
        open_dataset(table(photos, "a|b,c", "c", name="list.tsv"), label_separator=",")


@pytest.mark.parametrize("separator", ["\t", "\n", "  "])
def test_a_separator_of_nothing_is_refused(photos: Path, separator: str) -> None:
    with pytest.raises(UsageError, match="--label-separator is"):
        open_dataset(table(photos, "a", "b", name="list.tsv"), label_separator=separator)


def test_a_separator_for_lists_is_refused(photos: Path) -> None:
    images = np.zeros((2, 8, 8, 3), np.uint8)
    with pytest.raises(UsageError, match="lists or marks of presence already"):
        open_dataset(images, labels=[["a"], ["b"]], label_separator=",")


# --- one label each beside several ---------------------------------------------------------------------------


def class_folder(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "a.jpg").touch()
    return folder


def lists(file: Path, key: str, rows: dict[str, list[str]]) -> Path:
    if file.suffix == ".jsonl":
        file.write_text("\n".join(json.dumps({key: path, "label": label}) for path, label in rows.items()))
    else:
        pyarrow = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        parquet.write_table(pyarrow.table({key: list(rows), "label": list(rows.values())}), file)
    return file


def test_a_folder_stands_beside_corrections_that_are_lists(tmp_path: Path) -> None:
    folder = class_folder(tmp_path / "photos", "cat", "dog")
    fixes = lists(tmp_path / "fixes.parquet", "path", {"cat/a.jpg": ["cat", "indoor"]})
    assert read(open_dataset(folder, labels=fixes)) == {"cat/a.jpg": "cat|indoor", "dog/a.jpg": "dog"}
    class_folder(folder, "cat|dog")
    with pytest.raises(DatasetError, match=r"The label 'cat\|dog' in what the folder 'photos' says.*Rename") as found:
        open_dataset(folder, labels=fixes)
    assert "--label-separator" not in str(found.value)


def test_lists_beside_some_images_stand_beside_names_of_folders(tmp_path: Path) -> None:
    folder = class_folder(tmp_path / "photos", "cat", "dog")
    lists(folder / "cat" / "metadata.jsonl", "file_name", {"a.jpg": ["indoor", "cat"]})
    assert read(open_dataset(folder)) == {"cat/a.jpg": "cat|indoor", "dog/a.jpg": "dog"}
    class_folder(folder, "cat|dog")
    with pytest.raises(DatasetError, match=r"The label 'cat\|dog' in what folders and other tables say"):
        open_dataset(folder)


@pytest.mark.parametrize("correct", [True, False], ids=["--labels", "a table further down"])
def test_lists_stand_beside_a_plain_table(tmp_path: Path, *, correct: bool) -> None:
    folder = class_folder(tmp_path / "photos", "x", "y")
    lists(folder / "metadata.jsonl", "file_name", {"x/a.jpg": ["indoor", "cat"], "y/a.jpg": ["dog"]})
    file, key = (tmp_path / "fixes.csv", "path") if correct else (folder / "y" / "metadata.csv", "file_name")
    given = {"labels": file} if correct else {}
    path = "y/a.jpg" if correct else "a.jpg"
    file.write_text(f"{key},label\n{path},red dress\n")
    assert read(open_dataset(folder, **given)) == {"x/a.jpg": "cat|indoor", "y/a.jpg": "red dress"}  # type: ignore[arg-type]
    file.write_text(f'{key},label\n{path},"red|dress"\n')
    with pytest.raises(DatasetError, match=r"The label 'red\|dress' in '.*csv' holds '\|'"):
        open_dataset(folder, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("labels", [np.eye(3), list(np.eye(3)), [np.array(["a", "b"]), np.array(["a"]), "b"]])
def test_an_array_for_each_image_is_no_label(labels: object) -> None:
    with pytest.raises(UsageError, match=r"labels= holds arrays.*a list of their names"):
        open_dataset(np.zeros((3, 8, 8, 3), np.uint8), labels=labels)  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [",", " , ", [""]])
def test_columns_without_a_name_are_refused(photos: Path, given: str | list[str]) -> None:
    with pytest.raises(UsageError, match="--label-columns names no column"):
        open_dataset(table(photos, "a", name="list.tsv"), label_columns=given)


@pytest.mark.parametrize("given", [{"label_separator": ","}, {"label_columns": "cat,dog"}, {"label_columns": ["cat"]}])
def test_labels_are_not_both_read_and_left_out(photos: Path, given: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="says how labels are read, and --no-labels"):
        open_dataset(table(photos, "a", name="list.tsv"), label_column=None, **given)  # type: ignore[arg-type]


def test_a_damaged_table_of_label_columns_is_an_error(photos: Path) -> None:
    (photos / "metadata.csv").write_text("file_name,cat\n0.jpg,1\n1.jpg,1,2,3\n")
    with pytest.raises(DatasetError, match="Or leave this table out"):
        open_dataset(photos, label_columns="cat")


# --- Pascal VOC ----------------------------------------------------------------------------------------------


def annotation(*names: str) -> str:
    objects = "".join(f"<object><name>{name}</name><difficult>1</difficult></object>" for name in names)
    return f"<annotation><filename>x.jpg</filename>{objects}</annotation>"


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    """Make a folder in the form of Pascal VOC, of four images, one of them without an annotation."""
    folder = tmp_path / "VOCdevkit" / "VOC2007"
    for name in ("JPEGImages", "Annotations", "ImageSets/Main", "SegmentationClass"):
        (folder / name).mkdir(parents=True)
    for i in range(4):
        (folder / "JPEGImages" / f"{i}.jpg").touch()
    (folder / "SegmentationClass" / "0.png").touch()
    for i, names in enumerate([("dog", "cat", "dog"), ("cat",), ()]):
        (folder / "Annotations" / f"{i}.xml").write_text(annotation(*names))
    (folder / "Annotations" / "9.xml").write_text(annotation("cow"))
    for name, text in {
        "train": "0\n",
        "val": "1 \n",
        "test": "3\n",
        "trainval": "0\n1\n2\n",
        "cat_train": "0 1\n",
    }.items():
        (folder / "ImageSets" / "Main" / f"{name}.txt").write_text(text)
    return tmp_path / "VOCdevkit"


def test_annotations_are_labels_and_lists_are_splits(voc: Path) -> None:
    dataset = open_dataset(voc)
    assert read(dataset) == {
        "JPEGImages/0.jpg": "cat|dog",
        "JPEGImages/1.jpg": "cat",
        "JPEGImages/2.jpg": "|",
        "JPEGImages/3.jpg": "",
    }
    assert dataset.splits == ["train", "validation", "train", "test"]
    assert "1 image without an annotation ('3')." in dataset.notes
    assert "1 annotation of no image in 'JPEGImages' ('9')." in dataset.notes
    assert open_dataset(voc, label_column=None).label_form == ""


@pytest.mark.parametrize(
    ("stem", "line"),
    [("img 5", "img 5"), ("img 1", "img 1"), ("img 5", "img 5  1 "), ("a b c", "a b c -1")],
    ids=["a space", "a name that ends like a flag", "a flag behind", "several spaces"],
)
def test_names_in_lists_may_hold_spaces(voc: Path, stem: str, line: str) -> None:
    (voc / "VOC2007" / "JPEGImages" / f"{stem}.jpg").touch()
    (voc / "VOC2007" / "ImageSets" / "Main" / "test.txt").write_text(f"{line}\n")
    dataset = open_dataset(voc)
    assert dict(zip(dataset.paths, dataset.splits, strict=True))[f"JPEGImages/{stem}.jpg"] == "test"


@pytest.mark.parametrize("name", ["._0.jpg", ".hidden.png"])
def test_hidden_files_are_no_images(voc: Path, name: str) -> None:
    (voc / "VOC2007" / "JPEGImages" / name).touch()
    (voc / "VOC2007" / "Annotations" / "._0.xml").write_bytes(b"\0\5\26\7")
    dataset = open_dataset(voc)
    assert dataset.n == 4
    assert not any("._0" in note for note in dataset.notes)


def test_annotations_are_not_read_where_labels_are_not_asked_for(voc: Path) -> None:
    (voc / "VOC2007" / "Annotations" / "1.xml").write_text("<annotation><object>")
    dataset = open_dataset(voc, label_column=None)
    assert (dataset.n, dataset.has_labels, list(dataset.notes)) == (4, False, [])
    assert dataset.splits == ["train", "validation", "train", "test"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("<annotation><object>", "is not XML"),
        ("<html/>", "has the root 'html'"),
        ("<annotation><object><pose>x</pose></object></annotation>", "an object without a name"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><annotation/>', "declares a document type"),
        (f"<annotation>{'<!-- -->' * 200_000}</annotation>", "Cannot read"),
    ],
    ids=["cut short", "not an annotation", "no name", "entities", "too large"],
)
def test_a_bad_annotation_is_told_with_its_name_and_all_bad_ones_are_refused(
    voc: Path, content: str, said: str
) -> None:
    folder = voc / "VOC2007" / "Annotations"
    (folder / "1.xml").write_text(content)
    dataset = open_dataset(voc)
    assert read(dataset)["JPEGImages/1.jpg"] == ""
    [note] = [note for note in dataset.notes if "cannot be used" in note]
    assert note.startswith("1 annotation cannot be used (their images count as not annotated): 'Annotations/1.xml'.")
    assert said in note
    for i in (0, 2):
        (folder / f"{i}.xml").write_text(content)
    with pytest.raises(DatasetError, match=said) as found:
        open_dataset(voc)
    assert "0.xml" in str(found.value)


def test_blood_cells_have_the_labels_of_their_annotations(shared_data: Path) -> None:
    folder = shared_data / "data" / "bccd"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    dataset = open_dataset(folder)
    counts = {name: sum(name in text.split("|") for text in dataset.labels) for name in dataset.classes}
    assert (dataset.n, counts) == (364, {"Platelets": 201, "RBC": 349, "WBC": 358})
    assert {split: dataset.splits.count(split) for split in {*dataset.splits}} == {
        "train": 205,
        "validation": 87,
        "test": 72,
    }


# --- columns of ones and zeros -------------------------------------------------------------------------------


def marked(folder: Path, *lines: str) -> Path:
    (folder / "marks.csv").write_text("path,cat,indoor,split,note\n" + "\n".join(lines) + "\n")
    return folder / "marks.csv"


@pytest.mark.parametrize(
    ("yes", "no"),
    [("1", "0"), ("1.0", "0.0"), ("True", "False"), ("true", "0")],
    ids=["01", "floats", "words", "mixed"],
)
def test_columns_of_ones_and_zeros_are_labels(photos: Path, yes: str, no: str) -> None:
    file = marked(photos, f"0.jpg,{yes},{yes},train,a", f"1.jpg,{yes},{no},test,b", f"2.jpg,{no},{no},,c", "3.jpg,,,,d")
    dataset = open_dataset(file, label_columns="indoor, cat")
    assert read(dataset) == {"0.jpg": "cat|indoor", "1.jpg": "cat", "2.jpg": "|", "3.jpg": ""}
    assert dataset.splits == ["train", "test", "", ""]
    assert dataset.columns == {"note": ["a", "b", "c", "d"]}
    assert list(dataset.asked[-2:]) == ["--label-columns", "indoor,cat"]


def test_columns_of_parquet_json_and_corrections_are_labels(photos: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = {"path": ["0.jpg", "1.jpg"], "cat": [1, 0], "indoor": [True, False]}
    parquet.write_table(pyarrow.table(rows), photos / "marks.parquet")
    expected = {"0.jpg": "cat|indoor", "1.jpg": "|"}
    assert read(open_dataset(photos / "marks.parquet", label_columns=["cat", "indoor"])) == expected
    (photos / "fixes.csv").write_text("path,cat,indoor\n0.jpg,1,1\n1.jpg,0,0\n")
    found = read(open_dataset(photos, labels=photos / "fixes.csv", label_columns="cat,indoor"))
    assert found == {**expected, "2.jpg": "", "3.jpg": ""}
    (photos / "fixes.csv").unlink()
    lines = [{"file_name": "0.jpg", "cat": 1, "indoor": True}, {"file_name": "1.jpg", "cat": 0, "indoor": False}]
    (photos / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert read(open_dataset(photos, label_columns="cat,indoor")) == {**expected, "2.jpg": "", "3.jpg": ""}


def test_more_columns_than_an_index_keeps_can_be_labels(photos: Path) -> None:
    names = [f"label {i}" for i in range(150)]
    lines = [",".join(["path", *names]), ",".join(["0.jpg", *["1"] * 150]), ",".join(["1.jpg", *["0"] * 150])]
    (photos / "wide.csv").write_text("\n".join(lines) + "\n")
    dataset = open_dataset(photos / "wide.csv", label_columns=names)
    assert dataset.classes == sorted(names)
    assert not dataset.columns


@pytest.mark.parametrize("cell", ["2", "-1", "0.5", "yes", "nan"])
def test_what_is_neither_0_nor_1_is_refused_with_its_place(photos: Path, cell: str) -> None:
    file = marked(photos, "0.jpg,1,0,,", f"1.jpg,0,{cell},,", "2.jpg,1,1,,")
    found = r"holds" if cell != "nan" else "is empty"
    with pytest.raises(DatasetError, match=rf"The column 'indoor' {found}.* for '1.jpg', .*Expected 0 or 1"):
        open_dataset(file, label_columns="cat,indoor")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"label_columns": "cat,indor"}, "names 'indor', and no such column is kept.*The nearest is 'indoor'"),
        ({"label_columns": "cat,cat"}, "names 'cat' twice"),
        ({"label_columns": "cat", "label_column": "note"}, "both say where labels are"),
        ({"label_columns": "cat", "label_separator": ","}, "lists or marks of presence already"),
    ],
    ids=["unknown", "twice", "two ways", "separator too"],
)
def test_columns_that_cannot_be_meant_are_refused(photos: Path, given: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        open_dataset(marked(photos, "0.jpg,1,0,,", "1.jpg,0,1,,"), **given)  # type: ignore[arg-type]


def test_columns_are_no_option_of_folders(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "a.jpg").touch()
    with pytest.raises(UsageError, match="--label-columns a,b describes a table"):
        open_dataset(tmp_path, label_columns="a,b")
