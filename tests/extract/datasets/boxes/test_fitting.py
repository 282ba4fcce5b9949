"""Boxes in the cache: by what an image is, within it, in its pixels; and anew where the annotations changed."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile
from PIL.PngImagePlugin import PngInfo

from stackbone.cache import CorruptFileError, DatasetIndex, FeatureStore
from stackbone.cache.boxes.box_file import boxes_path
from stackbone.cache.boxes.box_table import BoxTable
from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.cache.upkeep.summary import summarise
from stackbone.extract.datasets.boxes import fitting
from stackbone.extract.datasets.boxes.sizes import Size, upright_sizes
from stackbone.extract.datasets.dataset import open_dataset
from stackbone.extract.embedding.indexing import index_dataset, preview
from stackbone.extract.images.decode import decode
from stackbone.extract.images.png_text import chunks
from tests.made.annotated import make_voc, photo, voc_object, voc_xml
from tests.made.caches import on_disk

CAT = voc_object("cat", 2, 3, 20, 25)


def indexed(store: FeatureStore, folder: Path, *, labelled: bool = True) -> tuple[DatasetIndex, BoxTable | None]:
    dataset = open_dataset(folder, label_column="label" if labelled else None)
    return index_dataset(dataset, store), store.boxes(dataset.name)


def of(index: DatasetIndex, table: BoxTable | None, name: str) -> ImageBoxes | None:
    assert table is not None
    return table.of(index.image_sha256[index.path.index(f"JPEGImages/{name}.jpg")].tobytes())


def notes(index: DatasetIndex, about: str) -> list[str]:
    return [note for note in index.listed.notes if about in note]


def test_boxes_are_found_by_the_bytes_of_their_image(store: FeatureStore, tmp_path: Path) -> None:
    folder = make_voc(tmp_path / "voc", {"a": voc_xml(CAT), "b": voc_xml(), "c": None})
    index, table = indexed(store, folder)
    assert table is not None
    assert (len(table), table.source, table.classes) == (2, "voc", ("cat",))
    found = of(index, table, "a")
    assert found is not None
    assert (found.corners.tolist(), found.width, found.height) == ([[1, 2, 20, 25]], 40, 30)
    nothing = of(index, table, "b")
    assert nothing is not None
    assert (len(nothing), nothing.width, nothing.height) == (0, 40, 30)
    assert of(index, table, "c") is None


def test_boxes_are_cut_at_the_edges_and_left_out_beyond_them(store: FeatureStore, tmp_path: Path) -> None:
    boxes = [
        voc_object("cat", 0, 0, 20, 25),
        voc_object("dog", 30, 20, 99, 99),
        voc_object("cow", 41, 1, 50, 20),
        voc_object("hen", -9, -9, 0, 0),
    ]
    index, table = indexed(store, make_voc(tmp_path / "voc", {"a": voc_xml(*boxes), "b": voc_xml(CAT)}))
    found = of(index, table, "a")
    assert found is not None
    assert found.corners.tolist() == [[0, 0, 20, 25], [29, 19, 40, 30]]
    assert found.classes == ("cat", "dog")
    assert notes(index, "cut at") == [
        "2 boxes cut at the edges of images (boxes that reach beyond them): in 'JPEGImages/a.jpg'."
    ]
    assert notes(index, "outside") == [
        "2 boxes left out (boxes that lie outside of their images): in 'JPEGImages/a.jpg'."
    ]
    assert index.label == ["cat|cow|dog|hen", "cat"]
    assert notes(index, "alone") == ["1 class of which one image alone has objects: 'dog'."]


def test_an_annotation_of_another_size_is_not_taken(store: FeatureStore, tmp_path: Path) -> None:
    xmls = {
        "a": voc_xml(CAT, size=(80, 60)),
        "b": voc_xml(CAT),
        "c": voc_xml(CAT, size=(0, 0)),
        "d": voc_xml(CAT, size=None),
    }
    index, table = indexed(store, make_voc(tmp_path / "voc", xmls))
    assert [of(index, table, name) is not None for name in "abcd"] == [False, True, True, True]
    assert notes(index, "left out (images") == [
        "The boxes of 1 image are left out (images that have another size than their annotations say): "
        "'JPEGImages/a.jpg'."
    ]
    assert index.label == ["cat"] * 4
    again, same = indexed(store, tmp_path / "voc")
    assert again.listed.notes == index.listed.notes
    assert same is not None


def test_no_annotation_that_fits_leaves_no_boxes_and_the_labels(store: FeatureStore, tmp_path: Path) -> None:
    index, table = indexed(store, make_voc(tmp_path / "voc", {"a": voc_xml(CAT, size=(80, 60))}))
    assert table is None
    assert index.label == ["cat"]
    assert len(notes(index, "another size")) == 1


def test_an_image_that_lay_on_its_side_when_annotated_is_told(store: FeatureStore, tmp_path: Path) -> None:
    folder = make_voc(tmp_path / "voc", {"a": voc_xml(CAT), "b": voc_xml(CAT, size=(30, 40)), "c": voc_xml(CAT)})
    exif = Image.Exif()
    exif[0x0112] = 6
    for seed, name in enumerate("ab"):
        photo(folder / "JPEGImages" / f"{name}.jpg", seed=seed, exif=exif)
    index, table = indexed(store, folder)
    assert of(index, table, "a") is None
    found = of(index, table, "b")
    assert found is not None
    assert (found.width, found.height) == (30, 40)
    [note] = notes(index, "left out (images")
    assert "lying on their side, before the turn that their EXIF tag asks for): 'JPEGImages/a.jpg'." in note


def test_the_first_by_path_of_two_equal_files_counts_and_it_is_said(store: FeatureStore, tmp_path: Path) -> None:
    dog = voc_xml(voc_object("dog", 1, 1, 9, 9))
    folder = make_voc(tmp_path / "voc", {"a": None, "b": voc_xml(CAT), "c": dog, "d": voc_xml(CAT)})
    for name in "acd":
        shutil.copy(folder / "JPEGImages" / "b.jpg", folder / "JPEGImages" / f"{name}.jpg")
    index, table = indexed(store, folder)
    assert table is not None
    assert (len(table), table.classes) == (1, ("cat",))
    assert notes(index, "same bytes") == [
        "1 file annotated otherwise than an earlier file with the same bytes, which counts: 'JPEGImages/c.jpg'."
    ]


def test_changed_annotations_are_taken_and_unchanged_ones_not_written_again(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_voc(tmp_path / "voc", {"a": voc_xml(CAT), "b": voc_xml(CAT)})
    indexed(store, folder)
    file = boxes_path(store.root, "voc")
    before = on_disk(file).stat()
    measured: list[str] = []

    def measure(root: Path, paths: list[str]) -> list[tuple[Size, Size]]:
        measured.extend(paths)
        return upright_sizes(root, paths)

    monkeypatch.setattr(fitting, "upright_sizes", measure)
    indexed(store, folder)
    assert on_disk(file).stat().st_mtime_ns == before.st_mtime_ns
    (folder / "Annotations" / "a.xml").write_text(voc_xml(voc_object("dog", 1, 1, 9, 9)))
    index, table = indexed(store, folder)
    found = of(index, table, "a")
    assert found is not None
    assert (found.classes, found.corners.tolist()) == (("dog",), [[0, 0, 9, 9]])
    assert measured == []  # the table remembers how large they are
    (folder / "Annotations" / "b.xml").unlink()
    index, table = indexed(store, folder)
    assert of(index, table, "b") is None


def test_a_listing_without_labels_leaves_no_boxes(store: FeatureStore, tmp_path: Path) -> None:
    folder = make_voc(tmp_path / "voc", {"a": voc_xml(CAT)})
    assert indexed(store, folder)[1] is not None
    assert indexed(store, folder, labelled=False)[1] is None
    assert not boxes_path(store.root, "voc").exists()


def test_a_file_that_cannot_be_read_has_no_boxes(store: FeatureStore, tmp_path: Path) -> None:
    folder = make_voc(tmp_path / "voc", {"a": voc_xml(CAT), "b": voc_xml(CAT)})
    (folder / "JPEGImages" / "a.jpg").write_bytes(b"no image")
    index, table = indexed(store, folder)
    assert index.ok.tolist() == [False, True]
    assert of(index, table, "a") is None
    assert len(notes(index, "whose size cannot be read): 'JPEGImages/a.jpg'")) == 1


def test_damaged_boxes_are_named_and_nothing_is_written_over_them(store: FeatureStore, tmp_path: Path) -> None:
    folder = make_voc(tmp_path / "voc", {"a": voc_xml(CAT)})
    indexed(store, folder)
    on_disk(boxes_path(store.root, "voc")).write_bytes(b"stackbone-boxes 2\nno more")
    with pytest.raises(CorruptFileError, match="verify --repair"):
        indexed(store, folder)
    assert on_disk(boxes_path(store.root, "voc")).read_bytes() == b"stackbone-boxes 2\nno more"


def test_boxes_are_told_before_and_after_they_are_kept(store: FeatureStore, tmp_path: Path) -> None:
    folder = make_voc(tmp_path / "voc", {"a": voc_xml(CAT, CAT, voc_object("dog", 1, 1, 9, 9)), "b": voc_xml()})
    said = "3 boxes on 2 annotated images: cat 2, dog 1"
    assert said in preview(open_dataset(folder), "resnet50", store).facts()
    assert store.boxes("voc") is None
    indexed(store, folder)
    [dataset] = summarise(store).datasets
    assert said in dataset.facts()
    assert dataset.to_dict()["boxes"] == {"cat": 2, "dog": 1}
    assert dataset.to_dict()["n_boxed"] == 2


def _late(path: Path, *kinds: bytes) -> None:
    """Move chunks of a PNG behind its pixels."""
    content = path.read_bytes()
    found = [chunk for kind, chunk in chunks(content) if kind in kinds]
    assert found
    for chunk in found:
        content = content.replace(chunk, b"")
    end = content.index(b"IEND") - 4
    path.write_bytes(content[:end] + b"".join(found) + content[end:])


def _late_exif(path: Path) -> None:
    """Write a PNG whose orientation stands behind its pixels."""
    exif = Image.Exif()
    exif[0x0112] = 8
    photo(path, exif=exif)
    _late(path, b"eXIf")


def _late_text(path: Path, text: str, keyword: str = "XML:com.adobe.xmp", *, is_packed: bool = False) -> None:
    info = PngInfo()
    if keyword.startswith("XML"):
        info.add_itxt(keyword, text, zip=is_packed)
    else:
        info.add_text(keyword, text, zip=is_packed)
    photo(path, pnginfo=info)
    _late(path, b"iTXt", b"tEXt", b"zTXt")


TURNED = '<x tiff:Orientation="6"/>'
PROFILE = "\nexif\n      26\n" + (b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0").hex()


def test_no_pixel_is_decoded_to_know_a_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _late_exif(tmp_path / "exif.png")
    _late_text(tmp_path / "xmp.png", TURNED)
    _late_text(tmp_path / "packed.png", TURNED + " " * 5000, is_packed=True)
    _late_text(tmp_path / "profile.png", PROFILE, "Raw profile type exif")
    _late_text(tmp_path / "packed_profile.png", PROFILE, "Raw profile type exif", is_packed=True)
    _late_text(tmp_path / "comment.png", TURNED, "Comment")
    _late_text(tmp_path / "bomb.png", TURNED + " " * (1 << 22), is_packed=True)
    names = sorted(path.name for path in tmp_path.iterdir())
    expected = [decode((tmp_path / name).read_bytes()).size for name in names]
    assert expected.count((30, 40)) >= 4
    loads: list[object] = []
    monkeypatch.setattr(ImageFile.ImageFile, "load", loads.append)
    assert [upright for upright, _ in upright_sizes(tmp_path, names)] == expected
    assert loads == []


@pytest.mark.parametrize("how", ["cut short", "cut short with a late text", "of many pixels"])
def test_an_image_that_is_let_in_has_its_boxes(store: FeatureStore, tmp_path: Path, how: str) -> None:
    size = (40, 30) if how.startswith("cut") else (20_000, 20_000)
    folder = make_voc(tmp_path / "voc", {"a": voc_xml(CAT), "b": voc_xml(CAT, size=size)})
    file = folder / "JPEGImages" / "b.png"
    (folder / "JPEGImages" / "b.jpg").unlink()
    if how == "of many pixels":
        Image.new("1", size).save(file)
        [found] = upright_sizes(file.parent, [file.name])
        assert found == (size, size)
        return
    if how == "cut short":
        photo(file)
        file.write_bytes(file.read_bytes()[:-400])
    else:
        _late_text(file, "x" * 50, "Comment")
        content = file.read_bytes()
        at = content.index(b"IDAT") + 2000
        file.write_bytes(content[:at])
    index = index_dataset(open_dataset(folder), store, allow_truncated=True)
    assert index.ok.all()
    table = store.boxes("voc")
    assert table is not None
    assert len(table) == 2


def test_sizes_from_headers_are_those_of_decoded_images(tmp_path: Path) -> None:
    names = []
    for orientation in range(10):
        exif = Image.Exif()
        exif[0x0112] = orientation
        for ending in ("jpg", "png", "webp", "tif"):
            names.append(photo(tmp_path / f"{orientation}.{ending}", exif=exif).name)
    _late_exif(tmp_path / "late.png")
    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", '<x tiff:Orientation="6"/>')
    photo(tmp_path / "xmp.png", pnginfo=text)
    photo(tmp_path / "plain.gif")
    photo(tmp_path / "plain.bmp")
    names += ["late.png", "xmp.png", "plain.gif", "plain.bmp"]
    expected = [decode((tmp_path / name).read_bytes()).size for name in names]
    assert {(30, 40), (40, 30)} == {*expected}
    assert expected[names.index("late.png")] == (30, 40)
    found = upright_sizes(tmp_path, names)
    assert [upright for upright, _ in found] == expected
    assert {stored for _, stored in found} == {(40, 30)}


def test_photographs_have_the_sizes_that_they_are_decoded_to(shared_data: Path) -> None:
    paths = sorted((shared_data / "data").glob("clothing-small/**/*.jpg"))[::40]
    if not paths:
        pytest.skip("no photographs")
    found = upright_sizes(Path("/"), [str(path) for path in paths])
    assert [upright for upright, _ in found] == [decode(path.read_bytes()).size for path in paths]


def test_what_is_no_image_has_no_size(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no image")
    (tmp_path / "folder.jpg").mkdir()
    assert upright_sizes(tmp_path, ["a.jpg", "absent.jpg", "folder.jpg"]) == [((0, 0), (0, 0))] * 3
    assert np.array(upright_sizes(tmp_path, [])).size == 0
