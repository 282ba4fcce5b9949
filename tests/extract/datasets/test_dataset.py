"""Every way to name a dataset ends in the same four columns, or in an error that says what to do."""

from __future__ import annotations

import os
import subprocess
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stackbone.cache.errors import DatasetError, StackboneError, UsageError
from stackbone.extract.datasets.dataset import Dataset, open_dataset
from stackbone.extract.datasets.kind import KINDS
from tests.made.checkout import ROOT

Tree = Callable[..., Path]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Make empty files below a folder named photos, and return the folder."""

    def make(*files: str, root: str = "photos") -> Path:
        folder = tmp_path / root
        folder.mkdir(exist_ok=True)
        for file in files:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).touch()
        return folder

    return make


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Path]:
    """Write a table and return its path."""

    def write(text: str | bytes, name: str = "list.csv") -> Path:
        file = tmp_path / name
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return file

    return write


@pytest.fixture
def cub(tmp_path: Path) -> Path:
    """Write the four listing files of a three-image CUB tree."""
    folder = tmp_path / "CUB_200_2011"
    folder.mkdir()
    images = "1 001.Black_footed_Albatross/b_1.jpg\n2 001.Black_footed_Albatross/a 2.jpg\n3 002.Crow/c.jpg\n"
    (folder / "images.txt").write_text(images)
    (folder / "image_class_labels.txt").write_text("1 1\n2 1\n3 2\n")
    (folder / "train_test_split.txt").write_text("1 0\n2 1\n3 1\n")
    (folder / "classes.txt").write_text("1 001.Black_footed_Albatross\n2 002.Crow\n")
    return folder


def rows(dataset: Dataset) -> list[tuple[str, str, str, str]]:
    return list(zip(dataset.paths, dataset.labels, dataset.splits, dataset.groups, strict=True))


def message(error: type[StackboneError], **arguments: object) -> str:
    """Open a dataset that must fail, and return the error's message."""
    with pytest.raises(error) as caught:
        open_dataset(**arguments)  # type: ignore[arg-type] # tests pass wrong types on purpose, too
    assert type(caught.value) is error
    return str(caught.value)


# --- folders of classes ------------------------------------------------------------------------------------


def test_class_folders_give_labels_in_code_point_order(tree: Tree) -> None:
    folder = tree("skirt/b.jpg", "Dress/a.PNG", "dress/a.jpg", "dress/B.jpeg")
    dataset = open_dataset(folder)
    assert dataset.name == "photos"
    assert dataset.root == folder
    assert rows(dataset) == [
        ("Dress/a.PNG", "Dress", "", ""),
        ("dress/B.jpeg", "dress", "", ""),
        ("dress/a.jpg", "dress", "", ""),
        ("skirt/b.jpg", "skirt", "", ""),
    ]
    assert (dataset.n, dataset.classes) == (4, ["Dress", "dress", "skirt"])
    assert dataset.has_labels
    assert not dataset.has_splits


def test_images_deeper_than_the_class_folder_belong_to_the_class(tree: Tree) -> None:
    dataset = open_dataset(tree("dress/2024/may/a.jpg", "dress/b.jpg", "hat/train/c.jpg"))
    assert dataset.labels == ["dress", "dress", "hat"]
    assert dataset.splits == ["", "", ""]


@pytest.mark.parametrize(
    ("folder", "split"),
    [
        ("train", "train"),
        ("Training", "train"),
        ("val", "validation"),
        ("VALID", "validation"),
        ("validation", "validation"),
        ("Test", "test"),
    ],
)
def test_a_split_folder_is_the_split_and_the_folder_below_it_the_class(tree: Tree, folder: str, split: str) -> None:
    dataset = open_dataset(tree(f"{folder}/dress/x.jpg", "test/hat/deep/y.jpg"))
    assert sorted(rows(dataset)) == sorted(
        [(f"{folder}/dress/x.jpg", "dress", split, ""), ("test/hat/deep/y.jpg", "hat", "test", "")]
    )


def test_top_level_folders_without_images_do_not_hide_the_split_level(tree: Tree) -> None:
    folder = tree("train/a/x.jpg", "test/a/y.jpg", "docs/readme.txt", ".git/z.jpg", "features/part.h5", "LICENSE")
    assert open_dataset(folder).splits == ["test", "train"]


def test_a_class_called_test_among_other_classes_is_a_class(tree: Tree) -> None:
    dataset = open_dataset(tree("test/a.jpg", "train/b.jpg", "bus/c.jpg"))
    assert dataset.classes == ["bus", "test", "train"]
    assert not dataset.has_splits


def test_split_folders_with_classes_beside_another_folder_are_refused_as_ambiguous(tree: Tree) -> None:
    text = message(DatasetError, data=tree("train/dress/a.jpg", "test/dress/b.jpg", "extra/c.jpg"))
    assert "'test', 'train'" in text
    assert "'extra'" in text
    assert "Move the other folders out" in text


def test_split_folders_without_class_folders_are_unlabelled(tree: Tree) -> None:
    dataset = open_dataset(tree("train/a.jpg", "test/b.jpg"))
    assert rows(dataset) == [("test/b.jpg", "", "test", ""), ("train/a.jpg", "", "train", "")]
    assert not dataset.has_labels


def test_images_beside_class_folders_are_kept_unlabelled(tree: Tree) -> None:
    assert open_dataset(tree("a.jpg", "hat/b.jpg")).labels == ["", "hat"]
    splits = open_dataset(tree("train/hat/a.jpg", "test/b.jpg", "c.jpg", root="splits"))
    assert rows(splits) == [
        ("c.jpg", "", "", ""),
        ("test/b.jpg", "", "test", ""),
        ("train/hat/a.jpg", "hat", "train", ""),
    ]


def test_no_labels_makes_any_dataset_unlabelled(tree: Tree, cub: Path) -> None:
    assert open_dataset(tree("hat/a.jpg"), label_column=None).labels == [""]
    assert not open_dataset(cub, label_column=None).has_labels
    assert open_dataset(cub, label_column=None).has_splits


def test_the_real_photographs_have_ten_classes_and_three_splits(shared_data: Path) -> None:
    dataset = open_dataset(shared_data / "data" / "clothing-small")
    assert (dataset.name, dataset.n) == ("clothing-small", 3781)
    assert dataset.classes == [
        *("dress", "hat", "longsleeve", "outwear", "pants"),
        *("shirt", "shoes", "shorts", "skirt", "t-shirt"),
    ]
    assert Counter(dataset.splits) == {"train": 3068, "validation": 341, "test": 372}
    in_train = Counter(label for label, split in zip(dataset.labels, dataset.splits, strict=True) if split == "train")
    assert (in_train["t-shirt"], in_train["skirt"]) == (795, 112)
    assert dataset.paths == sorted(dataset.paths)
    assert all((dataset.root / path).is_file() for path in dataset.paths[::100])


# --- which files count -------------------------------------------------------------------------------------


def test_hidden_files_clutter_and_other_files_are_passed_over(tree: Tree) -> None:
    folder = tree(
        *("a/x.jpg", "a/._x.jpg", "a/.jpg", "__MACOSX/a/x.jpg", ".cache/a/x.jpg", "a/Thumbs.db", "a/x.txt"),
        *("a/jpg", "a/x.jpg.part"),
    )
    assert open_dataset(folder).paths == ["a/x.jpg"]


def test_every_plain_image_extension_counts_in_any_case(tree: Tree) -> None:
    plain = ["jpg", "jpeg", "jpe", "jfif", "png", "bmp", "gif", "tif", "tiff", "webp", "avif"]
    endings = [*plain, "ppm", "pgm", "pbm", "JPG", "Png", "tIFF"]
    assert open_dataset(tree(*(f"{i}.{ending}" for i, ending in enumerate(endings)))).n == len(endings)


def test_a_folder_named_like_an_image_is_a_folder(tree: Tree) -> None:
    assert open_dataset(tree("x.jpg/a.jpg")).labels == ["x.jpg"]


def test_a_pipe_named_like_an_image_is_passed_over(tree: Tree) -> None:
    folder = tree("a.jpg")
    os.mkfifo(folder / "b.jpg")
    assert open_dataset(folder).paths == ["a.jpg"]


def test_odd_names_survive_to_the_byte(tree: Tree) -> None:
    composed, decomposed = (unicodedata.normalize(form, "été/ü.jpg") for form in ("NFC", "NFD"))
    names = [
        "a b/c d.jpg",
        "a b/line\nbreak.jpg",
        "写真/衣.jpg",
        "a b/🙂.jpg",
        composed,
        decomposed,
        "a b/-.jpg",
    ]
    folder = tree(*names)
    raw = b"a b/caf\xe9.jpg"
    with open(os.fsencode(folder) + b"/" + raw, "wb"):
        pass
    dataset = open_dataset(folder)
    assert dataset.paths == sorted([*names, os.fsdecode(raw)])
    assert raw in {os.fsencode(path) for path in dataset.paths}
    assert all((dataset.root / path).is_file() for path in dataset.paths)


def test_links_to_files_and_folders_are_followed(tree: Tree) -> None:
    folder, elsewhere = tree("a/x.jpg"), tree("y.jpg", "deep/z.jpg", root="elsewhere")
    (folder / "a" / "linked.jpg").symlink_to(elsewhere / "y.jpg")
    (folder / "b").symlink_to(elsewhere)
    assert open_dataset(folder).paths == ["a/linked.jpg", "a/x.jpg", "b/deep/z.jpg", "b/y.jpg"]


def test_link_loops_are_cut(tree: Tree) -> None:
    folder = tree("a/x.jpg", "b/y.jpg")
    (folder / "a" / "up").symlink_to(folder)
    (folder / "b" / "self").symlink_to(".")
    (folder / "b" / "nowhere.d").symlink_to("nowhere.d")
    assert open_dataset(folder).paths == ["a/x.jpg", "b/y.jpg"]


def test_broken_links_to_images_stay_listed_to_be_reported_when_read(tree: Tree) -> None:
    folder = tree("a/x.jpg")
    (folder / "a" / "gone.jpg").symlink_to("nowhere.jpg")
    (folder / "a" / "loop.jpg").symlink_to("loop.jpg")
    assert open_dataset(folder).paths == ["a/gone.jpg", "a/loop.jpg", "a/x.jpg"]


def test_listing_neither_opens_nor_examines_single_files(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tree(*(f"{label}/{i}.jpg" for label in "abc" for i in range(50)))
    examined: list[object] = []
    status = os.stat

    def counted(path: str, *args: object, **kwargs: object) -> os.stat_result:
        examined.append(path)
        return status(path)

    monkeypatch.setattr(os, "stat", counted)
    monkeypatch.setattr("builtins.open", lambda *_: pytest.fail("a file was opened"))
    assert open_dataset(folder).n == 150
    assert not [path for path in examined if str(path).endswith(".jpg")]
    assert len(examined) < 15


# --- tables ------------------------------------------------------------------------------------------------


def test_a_csv_gives_labels_splits_and_groups(table: Callable[..., Path]) -> None:
    file = table("path,label,split,group\nb/2.jpg,hat,test,p1\na.jpg,dress,fold 3,\n")
    dataset = open_dataset(file)
    assert (dataset.name, dataset.root) == ("list", file.parent)
    assert rows(dataset) == [("a.jpg", "dress", "fold 3", ""), ("b/2.jpg", "hat", "test", "p1")]


def test_split_and_group_columns_may_be_absent(table: Callable[..., Path]) -> None:
    assert rows(open_dataset(table("label,path\nhat,a.jpg\n"))) == [("a.jpg", "hat", "", "")]


@pytest.mark.parametrize(("name", "delimiter"), [("l.tsv", "\t"), ("l.csv", ";"), ("L.CSV", ",")])
def test_tabs_and_semicolons_separate_too(table: Callable[..., Path], name: str, delimiter: str) -> None:
    file = table(f"path{delimiter}label\na.jpg{delimiter}hat\n", name)
    assert rows(open_dataset(file)) == [("a.jpg", "hat", "", "")]


def test_a_byte_order_mark_empty_lines_and_quoted_line_breaks_are_read(table: Callable[..., Path]) -> None:
    text = '\ufeffpath,label\r\n\r\n"two\nlines.jpg","a ""hat"", red"\r\n,\r\nb.jpg, dress \r\n'
    assert rows(open_dataset(table(text))) == [
        ("b.jpg", "dress", "", ""),
        ("two\nlines.jpg", 'a "hat", red', "", ""),
    ]


def test_columns_of_other_names_are_read_by_option(table: Callable[..., Path]) -> None:
    file = table("file,kind,fold,patient\na.jpg,hat,2,p\n")
    dataset = open_dataset(file, path_column="file", label_column="kind", split_column="fold", group_column="patient")
    assert rows(dataset) == [("a.jpg", "hat", "2", "p")]


def test_a_table_without_labels_is_read_when_asked_for(table: Callable[..., Path]) -> None:
    dataset = open_dataset(table("path\na.jpg\n"), label_column=None)
    assert rows(dataset) == [("a.jpg", "", "", "")]


@pytest.mark.parametrize("suffix", [".jpg", "jpg"])
def test_the_suffix_is_added_only_where_it_is_missing(table: Callable[..., Path], suffix: str) -> None:
    dataset = open_dataset(table("path,label\n0001,3\nb.JPG,4\nc.jpg,4\n"), suffix=suffix)
    assert dataset.paths == ["0001.jpg", "b.JPG", "c.jpg"]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (["3", "10"], ["3", "10"]),
        (["3.0", "10"], ["3", "10"]),
        (["3.0", "12.5"], ["3", "12.5"]),
        (["007", "7"], ["007", "7"]),
        (["3.0", "v1.0"], ["3.0", "v1.0"]),
        (["", "3.0"], ["", "3"]),
    ],
)
def test_numbers_as_labels_become_text(table: Callable[..., Path], written: list[str], read: list[str]) -> None:
    dataset = open_dataset(table(f"path,label\na.jpg,{written[0]}\nb.jpg,{written[1]}\n"))
    assert dataset.labels == read


def test_paths_are_relative_to_the_table_and_absolute_outside_its_folder(tree: Tree) -> None:
    folder, outside = tree("lists/x.txt", "images/o.jpg"), "/somewhere/else.jpg"
    file = folder / "lists" / "l.csv"
    inside = folder / "lists" / "in.jpg"
    file.write_text(f"path,label\n./a.jpg,1\nb//c.jpg,1\n{inside},1\n../images/o.jpg,1\n{outside},1\nd/../e.jpg,1\n")
    dataset = open_dataset(file)
    expected = ["a.jpg", "b/c.jpg", "in.jpg", str(folder / "images" / "o.jpg"), outside, "e.jpg"]
    assert dataset.paths == sorted(expected)


def test_a_parent_step_behind_a_link_names_the_file_the_system_would_open(tree: Tree) -> None:
    folder = tree("list/x.txt")
    target = tree("deep/inside/x.txt", "deep/a.jpg", root="elsewhere")
    (folder / "list" / "link").symlink_to(target / "deep" / "inside")
    (folder / "list" / "l.csv").write_text("path,label\nlink/../a.jpg,1\n")
    dataset = open_dataset(folder / "list" / "l.csv")
    assert (dataset.root / dataset.paths[0]).samefile(target / "deep" / "a.jpg")


def test_a_labels_table_is_relative_to_the_folder_of_images(tree: Tree, table: Callable[..., Path]) -> None:
    folder = tree("a.jpg", "b.jpg", "c/d.jpg")
    file = table("path,label\nc/d.jpg,hat\na.jpg,dress\n")
    dataset = open_dataset(folder, labels=file)
    assert (dataset.name, dataset.root) == ("photos", folder)
    assert rows(dataset) == [("a.jpg", "dress", "", ""), ("c/d.jpg", "hat", "", "")]


def test_missing_images_of_a_table_are_left_to_the_reading(table: Callable[..., Path]) -> None:
    assert open_dataset(table("path,label\nnowhere.jpg,hat\n")).n == 1


def test_a_repeated_row_counts_once(table: Callable[..., Path]) -> None:
    assert open_dataset(table("path,label\na.jpg,hat\n./a.jpg,hat\n")).n == 1


def test_rows_that_disagree_about_a_path_are_an_error_with_the_line(table: Callable[..., Path]) -> None:
    text = message(DatasetError, data=table("path,label\na.jpg,hat\n\na.jpg,dress\n"))
    assert "line 4" in text
    assert "'a.jpg'" in text
    assert "'hat'" in text
    assert "'dress'" in text


def test_a_missing_column_names_the_columns_the_nearest_and_the_option(table: Callable[..., Path]) -> None:
    text = message(UsageError, data=table("path,Labels,x\na.jpg,hat,1\n"))
    assert "'path', 'Labels', 'x'" in text
    assert "nearest is 'Labels'" in text
    assert "--label-column Labels" in text
    assert "--no-labels" in text


@pytest.mark.parametrize(
    ("header", "arguments", "advice"),
    [
        ("image_path,label", {}, "--path-column image_path"),
        ("filename,label", {}, "--path-column filename"),
        ("path,species", {}, "--label-column species"),
        ("path,label,my fold", {"split_column": "fold"}, "--split-column 'my fold'"),
        ("path,label", {"group_column": "patient"}, "--group-column NAME"),
        ("path,label,label", {}, "2 columns named 'label'"),
    ],
)
def test_a_missing_or_doubled_column_says_what_to_type(
    table: Callable[..., Path], header: str, arguments: dict[str, str], advice: str
) -> None:
    cells = ",".join("x" for _ in header.split(","))
    assert advice in message(UsageError, data=table(f"{header}\n{cells}\n"), **arguments)


@pytest.mark.parametrize("row", ["b.jpg", "b.jpg,hat,1", "b,c.jpg,hat"])
def test_ragged_rows_are_an_error_with_the_line(table: Callable[..., Path], row: str) -> None:
    text = message(DatasetError, data=table(f'path,label\n"a\n.jpg",x\n{row}\n'))
    assert "line 4" in text
    assert "expected 2" in text


@pytest.mark.parametrize("path", ["", "  ", "a\0b"])
def test_rows_without_a_usable_path_are_an_error_with_the_line(table: Callable[..., Path], path: str) -> None:
    text = message(DatasetError, data=table(f"path,label\na.jpg,x\n{path},hat\n"))
    assert "line 3" in text
    assert "'path'" in text


@pytest.mark.parametrize("text", ["", "\n\n", "path,label\n", "path,label\n\n,\n"])
def test_a_table_without_rows_is_an_error(table: Callable[..., Path], text: str) -> None:
    error = DatasetError if "path" in text else UsageError
    assert "list.csv" in message(error, data=table(text))


@pytest.mark.parametrize("text", ['path,label\n"a.jpg,hat\nb.jpg,hat\n', 'path,label\n"a"b.jpg,hat\n'])
def test_broken_quoting_is_an_error_with_the_line(table: Callable[..., Path], text: str) -> None:
    assert "starts on line 2" in message(DatasetError, data=table(text))


def test_a_table_in_utf_16_is_refused_with_the_way_out(table: Callable[..., Path]) -> None:
    assert "UTF-8" in message(DatasetError, data=table("path,label\na.jpg,é\n".encode("utf-16")))


def test_paths_in_another_encoding_keep_their_bytes(table: Callable[..., Path]) -> None:
    dataset = open_dataset(table(b"path,label\ncaf\xe9.jpg,hat\n"))
    assert os.fsencode(dataset.paths[0]) == b"caf\xe9.jpg"


# --- Parquet -----------------------------------------------------------------------------------------------


def write_parquet(file: Path, columns: dict[str, object]) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table(columns), file)
    return file


def test_a_parquet_file_reads_like_a_csv(tmp_path: Path) -> None:
    file = write_parquet(
        tmp_path / "birds.parquet",
        {
            "path": ["b.jpg", "a.jpg", "c.jpg", "d.jpg"],
            "label": [3.0, 12.5, None, float("nan")],
            "group": [1, 2, 2, None],
            "pixels": [[1], [2], [3], [4]],
        },
    )
    dataset = open_dataset(file)
    assert dataset.name == "birds"
    assert rows(dataset) == [
        ("a.jpg", "12.5", "", "2"),
        ("b.jpg", "3", "", "1"),
        ("c.jpg", "", "", "2"),
        ("d.jpg", "", "", ""),
    ]


def test_parquet_numbers_serve_as_paths_with_a_suffix(tmp_path: Path) -> None:
    file = write_parquet(tmp_path / "l.parquet", {"id": [17, 4], "label": ["x", "y"]})
    assert open_dataset(file, path_column="id", suffix=".png").paths == ["17.png", "4.png"]


@pytest.mark.parametrize("kind", ["text", "large text", "dictionary", "time"])
def test_parquet_values_that_cannot_be_read_are_refused_in_words(tmp_path: Path, kind: str) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    names = pyarrow.array([b"caf\xe9.jpg", b"b.jpg"])
    columns = {
        "text": names.view(pyarrow.string()),
        "large text": names.cast(pyarrow.large_binary()).view(pyarrow.large_string()),
        "dictionary": pyarrow.DictionaryArray.from_arrays(pyarrow.array([0, 1]), names.view(pyarrow.string())),
        "time": pyarrow.array([2**62, 0]).view(pyarrow.timestamp("ms")),
    }
    file = write_parquet(tmp_path / "l.parquet", {"path": columns[kind], "label": ["x", "y"]})
    with pytest.raises(DatasetError, match=r"l\.parquet"):
        open_dataset(file)


def test_parquet_errors_name_the_row_or_the_column(tmp_path: Path) -> None:
    file = write_parquet(tmp_path / "l.parquet", {"path": ["a.jpg", None], "label": [1, 2]})
    assert "row 2" in message(DatasetError, data=file)
    assert "--label-column label" in message(UsageError, data=file, label_column="lable")
    nested = write_parquet(tmp_path / "n.parquet", {"path": [{"bytes": b""}], "label": [1]})
    assert "struct" in message(DatasetError, data=nested)


@pytest.mark.parametrize("content", [b"", b"not a table", b"PAR1" + bytes(64) + b"PAR1"])
def test_a_broken_parquet_file_is_an_error(table: Callable[..., Path], content: bytes) -> None:
    pytest.importorskip("pyarrow")
    assert "l.parquet" in message(DatasetError, data=table(content, "l.parquet"))


def test_parquet_without_pyarrow_says_what_to_install(
    table: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "pip install pyarrow" in message(StackboneError, data=table(b"", "l.parquet"))


# --- CUB-200-2011 ------------------------------------------------------------------------------------------


def test_a_cub_tree_gives_class_names_and_its_split(cub: Path) -> None:
    dataset = open_dataset(cub)
    assert (dataset.name, dataset.root) == ("CUB_200_2011", cub)
    assert rows(dataset) == [
        ("images/001.Black_footed_Albatross/a 2.jpg", "001.Black_footed_Albatross", "train", ""),
        ("images/001.Black_footed_Albatross/b_1.jpg", "001.Black_footed_Albatross", "test", ""),
        ("images/002.Crow/c.jpg", "002.Crow", "train", ""),
    ]


def test_the_folder_that_holds_a_cub_tree_serves_as_well(cub: Path) -> None:
    (cub.parent / "attributes.txt").touch()
    assert rows(open_dataset(cub.parent)) == rows(open_dataset(cub))


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("images.txt", "1 a/b.jpg\n2\n3 c.jpg\n", "images.txt', line 2: found '2'"),
        (
            "images.txt",
            "1 a/b.jpg\n1 c.jpg\n3 d.jpg\n",
            "images.txt', line 2: found the number 1 a second time",
        ),
        ("images.txt", "1 b.jpg\n2 b.jpg\n3 c.jpg\n", "images.txt', line 2: found 'b.jpg' a second time"),
        ("images.txt", "1 a.jpg\n2 b.jpg\n", "image_class_labels.txt', line 3: found image 3"),
        ("image_class_labels.txt", "1 1\n\n3 2\n", "images.txt', line 2: found image 2"),
        ("image_class_labels.txt", "1 1\n2 1\n3 9\n", "image_class_labels.txt', line 3: found class 9"),
        ("train_test_split.txt", "1 0\n2 1\n3 2\n", "train_test_split.txt', line 3: found '2'"),
        ("train_test_split.txt", "1 0\n2 1\n3 1\n4 1\n", "train_test_split.txt', line 4: found image 4"),
        ("classes.txt", "1 001.A\n", "image_class_labels.txt', line 3: found class 2"),
        ("train_test_split.txt", None, "train_test_split.txt'"),
        ("classes.txt", None, "classes.txt'"),
    ],
)
def test_inconsistent_cub_files_are_an_error_with_file_and_line(
    cub: Path, file: str, text: str | None, expected: str
) -> None:
    if text is None:
        (cub / file).unlink()
    else:
        (cub / file).write_text(text)
    assert expected in message(DatasetError, data=cub)


def test_an_empty_cub_listing_is_an_error(cub: Path) -> None:
    for file in ("images.txt", "image_class_labels.txt", "train_test_split.txt"):
        (cub / file).write_text("")
    assert "No images" in message(DatasetError, data=cub)


# --- images without labels ---------------------------------------------------------------------------------


def test_a_folder_of_images_is_unlabelled(tree: Tree) -> None:
    assert rows(open_dataset(tree("b.jpg", "a.jpg"))) == [("a.jpg", "", "", ""), ("b.jpg", "", "", "")]


def test_one_image_is_a_dataset(tree: Tree) -> None:
    folder = tree("my dog.jpg")
    for data in (folder / "my dog.jpg", str(folder / "my dog.jpg"), [folder / "my dog.jpg"]):
        dataset = open_dataset(data)
        assert (dataset.name, dataset.root) == ("my-dog", folder)
        assert rows(dataset) == [("my dog.jpg", "", "", "")]


def test_a_list_of_images_is_relative_to_the_common_folder(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tree("b/2.jpg", "b/1.jpg", "a/3.jpg")
    monkeypatch.chdir(folder / "b")
    dataset = open_dataset(["2.jpg", str(folder / "b" / "1.jpg"), Path("../a/3.jpg"), "./2.jpg"])
    assert (dataset.name, dataset.root) == ("photos-list", folder)
    assert rows(dataset) == [("a/3.jpg", "", "", ""), ("b/1.jpg", "", "", ""), ("b/2.jpg", "", "", "")]


def test_a_list_refuses_what_would_lose_labels_or_is_no_image(tree: Tree) -> None:
    folder = tree("hat/a.jpg", "notes.txt", "l.csv")
    assert "folder" in message(UsageError, data=[folder / "hat", folder / "hat" / "a.jpg"])
    assert "table" in message(UsageError, data=[folder / "l.csv", folder / "hat" / "a.jpg"])
    assert "neither" in message(DatasetError, data=[folder / "notes.txt", folder / "hat" / "a.jpg"])
    assert "'hot'" in message(DatasetError, data=[folder / "hot", folder / "hat" / "a.jpg"])
    assert "empty" in message(UsageError, data=[])


# --- what is not there -------------------------------------------------------------------------------------


def test_a_missing_folder_suggests_its_near_sibling(tree: Tree) -> None:
    folder = tree("hat/a.jpg")
    text = message(DatasetError, data=folder.parent / "fotos" / "hat")
    assert f"no 'fotos' in {str(folder.parent)!r}" in text
    assert f"Did you mean {str(folder)!r}?" in text
    assert "Check the spelling" in message(DatasetError, data=folder / "qqqq.csv")
    assert "is not a folder" in message(DatasetError, data=folder / "hat" / "a.jpg" / "b.jpg")


def test_a_link_that_leads_nowhere_is_named_as_one(tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to("nowhere")
    assert "'nowhere'" in message(DatasetError, data=tmp_path / "data")


def test_an_empty_folder_is_an_error(tree: Tree) -> None:
    text = message(DatasetError, data=tree(".hidden.jpg"))
    assert "is empty" in text
    assert ".jpeg" in text


def test_a_folder_without_images_says_what_it_holds_and_what_was_looked_for(tree: Tree) -> None:
    text = message(DatasetError, data=tree("a/x.mov", "a/y.MOV", "b/z.txt", "LICENSE"))
    assert "found instead: '.mov' (2), " in text
    assert "no extension (1)" in text
    assert ".jpg .jpeg" in text
    assert "convert the files" in text
    assert "the table file itself" in message(DatasetError, data=tree("l.csv", root="tables"))


def test_a_file_that_is_neither_table_nor_image_is_an_error(tree: Tree) -> None:
    text = message(DatasetError, data=tree("notes.txt") / "notes.txt")
    assert "notes.txt" in text
    assert ".parquet" in text


def test_the_kinds_are_asked_from_the_most_to_the_least_particular(tree: Tree) -> None:
    assert list(KINDS) == ["table", "cub", "folder", "arrays", "images"]
    text = message(DatasetError, data=tree("notes.txt") / "notes.txt")
    assert "A dataset can be: a CSV or Parquet table, or a folder of images with one; a CUB_200_2011 folder; " in text


def test_an_unreadable_folder_is_named(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tree("hat/a.jpg", "dress/b.jpg")
    scandir = os.scandir

    def refuse(path: str) -> Iterator[os.DirEntry[str]]:
        # Simulated, because permissions do not bind a superuser, as whom containers run tests.
        if os.fspath(path).rstrip("/").endswith("dress"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    text = message(DatasetError, data=folder)
    assert "photos/dress" in text
    assert "Permission denied" in text


def test_an_unreadable_table_is_named(table: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    file = table("path,label\na.jpg,x\n")
    monkeypatch.setattr(sys.modules["stackbone.extract.datasets.kinds.table"], "open_regular", refuse)
    assert "list.csv" in message(DatasetError, data=file)


def test_labels_that_fit_no_folder_are_refused(tree: Tree, table: Callable[..., Path]) -> None:
    folder, file = tree("a.jpg", "b.jpg", "notes.txt"), table("path,label\na.jpg,x\n")
    assert "is a file" in message(UsageError, data=folder / "a.jpg", labels=file)
    assert "list" in message(UsageError, data=[folder / "a.jpg", folder / "b.jpg"], labels=file)
    assert "is not a table" in message(UsageError, data=folder, labels=folder / "notes.txt")
    assert "list.csv" in message(DatasetError, data=folder, labels=file.parent / "lists.csv")


def test_table_options_without_a_table_are_refused(tree: Tree) -> None:
    assert "--label-column kind" in message(UsageError, data=tree("hat/a.jpg"), label_column="kind")
    assert "--suffix .jpg" in message(UsageError, data=tree("hat/a.jpg"), suffix=".jpg")


# --- names and imports -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("v1.0", "v1.0"),
        ("my photos (2)", "my-photos-2"),
        (".hidden", "hidden"),
        ("(!)", "dataset"),
        ("-x", "x"),
    ],
)
def test_the_name_is_safe_as_a_file_name(tree: Tree, folder: str, name: str) -> None:
    assert open_dataset(tree("a.jpg", root=folder)).name == name


def test_names_in_other_scripts_stay_distinct(tree: Tree) -> None:
    names = {open_dataset(tree("a.jpg", root=root)).name for root in ("写真", "衣服", "été", "ete")}
    assert len(names) == 4
    assert all(name.isascii() and name.replace("-", "").isalnum() for name in names)


def test_a_given_name_is_kept_or_refused(tree: Tree) -> None:
    assert open_dataset(tree("a.jpg"), name="spring-2024").name == "spring-2024"
    assert "--dataset a-b" in message(UsageError, data=tree("a.jpg"), name="a/b")
    assert "''" in message(UsageError, data=tree("a.jpg"), name="")


def test_the_current_folder_is_named_after_itself(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree("hat/a.jpg"))
    assert open_dataset(".").name == "photos"
    monkeypatch.chdir("hat")
    assert open_dataset("..").name == "photos"


def test_importing_datasets_loads_no_heavy_library() -> None:
    code = (
        "import sys, stackbone.extract.datasets.dataset; "
        "print(*{'torch', 'timm', 'pyarrow', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
