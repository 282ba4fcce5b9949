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
from PIL import features

from stackbone.cache.errors import DatasetError, UsageError
from stackbone.extract.datasets.dataset import open_dataset
from stackbone.extract.datasets.kind import KINDS
from stackbone.extract.datasets.missing import missing_message
from tests.made.checkout import ROOT
from tests.made.listings import message, rows

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
    plain = ["jpg", "jpeg", "jpe", "jfif", "png", "bmp", "gif", "tif", "tiff", "webp"]
    plain += ["avif"] if "avif" in features.get_supported() else []  # from Pillow 11.3 on
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
    open_dataset(tree("a/x.jpg", root="first"))  # which loads the kinds of datasets
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
    assert len(examined) < 25


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


def test_a_cub_tree_is_found_in_a_folder_of_its_own(cub: Path, tmp_path: Path) -> None:
    known = rows(open_dataset(cub))
    (tmp_path / "archive" / "__MACOSX").mkdir(parents=True)
    (tmp_path / "archive" / "data").mkdir()
    cub.rename(tmp_path / "archive" / "data" / "birds")
    assert rows(open_dataset(tmp_path / "archive")) == known
    (tmp_path / "archive" / "data" / "more").mkdir()
    assert "No images" in message(DatasetError, data=tmp_path / "archive")


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
    assert "hot'. Did you mean" in message(DatasetError, data=[folder / "hot", folder / "hat" / "a.jpg"])
    assert "empty" in message(UsageError, data=[])


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("photos.7z", "but an archive; unpack it."),
        ("clip.OGV", "but a video; convert to MP4."),
        ("plan.svg", "but a drawing; export it as PNG."),
    ],
)
def test_a_file_of_another_kind_is_answered_by_what_it_is(tree: Tree, name: str, says: str) -> None:
    folder = tree(name)
    assert message(DatasetError, data=folder / name).split(" A dataset can be")[0] == (
        f"{str(folder / name)!r} is neither a folder, nor a table, nor an image, {says}"
    )


# --- what is not there -------------------------------------------------------------------------------------


def test_a_missing_folder_suggests_its_near_sibling(tree: Tree) -> None:
    folder = tree("hat/a.jpg")
    text = message(DatasetError, data=folder.parent / "fotos" / "hat")
    assert f"{str(folder.parent)!r} has no 'fotos'" in text
    assert f"Did you mean {str(folder)!r}?" in text
    assert "Check the spelling" in message(DatasetError, data=folder / "qqqq.csv")
    assert "is not a folder" in message(DatasetError, data=folder / "hat" / "a.jpg" / "b.jpg")


def test_a_link_that_leads_nowhere_is_named_as_one(tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to("nowhere")
    assert "'nowhere'" in message(DatasetError, data=tmp_path / "data")


def test_an_empty_folder_is_an_error(tree: Tree) -> None:
    assert "is empty" in message(DatasetError, data=tree())
    text = message(DatasetError, data=tree(".hidden.jpg"))
    assert "1 hidden" in text
    assert ".jpeg" in text


def test_a_folder_without_images_says_what_it_holds_and_what_was_looked_for(tree: Tree) -> None:
    text = message(DatasetError, data=tree("a/x.ogv", "a/y.OGV", "b/z.txt", "LICENSE"))
    assert "found instead: 2 .ogv (a video; convert to MP4); " in text
    assert "1 no extension (not an image)" in text
    assert ".jpg .jpeg" in text
    assert "convert the files" in text
    assert "the table file itself" in message(DatasetError, data=tree("l.csv", root="tables"))


def test_a_file_that_is_neither_table_nor_image_is_an_error(tree: Tree) -> None:
    text = message(DatasetError, data=tree("notes.txt") / "notes.txt")
    assert "notes.txt" in text
    assert ".parquet" in text


def test_the_kinds_are_asked_from_the_most_to_the_least_particular(tree: Tree) -> None:
    files, folders = ["columns", "table"], ["cub", "voc", "coco", "yolo", "webdataset", "archive", "video", "folder"]
    assert list(KINDS) == [*files, *folders, "arrays", "images"]
    text = message(DatasetError, data=tree("notes.txt") / "notes.txt")
    assert "A dataset can be: Parquet or Arrow files with a column of images, " in text
    assert "; a CSV or Parquet table, or a folder of images with one; a CUB_200_2011 folder; " in text


def test_an_unreadable_folder_is_named_and_ends_nothing(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tree("hat/a.jpg", "dress/b.jpg")
    scandir = os.scandir

    def refuse(path: str) -> Iterator[os.DirEntry[str]]:
        # Simulated, because permissions do not bind a superuser, as whom containers run tests.
        if os.fspath(path).rstrip("/").endswith(refused):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    refused = "dress"
    dataset = open_dataset(folder)
    assert dataset.labels == ["hat"]
    assert "'dress' cannot be read (Permission denied)" in dataset.notes[0]
    assert [(each.sort, each.count) for each in dataset.skipped] == [("dress", 1)]
    refused = "photos"
    text = message(DatasetError, data=folder)
    assert "photos" in text
    assert "Permission denied" in text


def test_an_unreadable_table_is_named(table: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    file = table("path,label\na.jpg,x\n")
    monkeypatch.setattr(sys.modules["stackbone.extract.datasets.tables.encodings"], "open_regular", refuse)
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
    assert "--encoding cp1251 describes" in message(UsageError, data=tree("hat/a.jpg"), encoding="cp1251")
    assert "leave --keep-na out" in message(UsageError, data=tree("hat/a.jpg"), keep_na=True)
    assert "--labels FILE" in message(UsageError, data=tree("hat/a.jpg"), only_listed=True)


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


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("sme.csv", "There is no 'sme.csv'. Did you mean 'some.csv'?"),
        ("other.parquet", "There is no 'other.parquet'. Check the spelling."),
        ("fold/some.csv", "There is no 'fold/some.csv': '.' has no 'fold'. Did you mean 'folder'?"),
    ],
)
def test_a_missing_path_is_named_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, said: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("some.csv").touch()
    Path("folder").mkdir()
    assert missing_message(Path(path)) == said
