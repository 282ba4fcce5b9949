"""Pictures with boxes never take the place of a file that is not one of them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from stackbone.cache import UsageError
from stackbone.extract.images.drawn.boxes import LabelledBox, PictureToDraw, draw_pictures
from tests.made.annotated import photo

BOX = LabelledBox((2, 3, 20, 25), "cat", 0)


def to_draw(root: Path, *names: str) -> list[PictureToDraw]:
    """Return photographs to draw, written below a folder unless they are there."""
    for seed, name in enumerate(names):
        if not (root / name).exists():
            photo(root / name, seed=seed)
    return [
        PictureToDraw(root / name, name, hashlib.sha256((root / name).read_bytes()).digest(), [BOX]) for name in names
    ]


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_second_run_replaces_what_the_first_one_drew(tmp_path: Path) -> None:
    pictures = to_draw(tmp_path / "a", "x.jpg", "in/y.png")
    for _ in range(2):
        assert draw_pictures(pictures, tmp_path / "out") == []
        assert sorted(files_in(tmp_path / "out")) == ["in/y.png.jpg", "x.jpg"]


@pytest.mark.parametrize("names", [("a.png", "a.png.jpg"), ("x:y.jpg", "x_y.jpg"), ("in/a.jpg", "../in/a.jpg")])
def test_two_pictures_of_one_place_are_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    pictures = to_draw(tmp_path / "a" / "b", *names)
    with pytest.raises(UsageError, match="would both be") as found:
        draw_pictures(pictures, tmp_path / "out")
    assert all(repr(name) in str(found.value) for name in names)
    assert not (tmp_path / "out").exists()


def test_a_photograph_of_the_run_is_not_replaced_by_the_picture_of_another(tmp_path: Path) -> None:
    [first] = to_draw(tmp_path / "a", "x.jpg")
    [second] = to_draw(tmp_path / "b", "y.jpg")
    photo(tmp_path / "b" / "x.jpg", seed=9)
    before = files_in(tmp_path)
    third = PictureToDraw(tmp_path / "b" / "x.jpg", "z.jpg", b"", [])
    with pytest.raises(UsageError, match=r"would replace the photograph .*x\.jpg: name another folder"):
        draw_pictures([first, second, third], tmp_path / "b")
    assert files_in(tmp_path) == before


@pytest.mark.parametrize("kind", ["photograph", "text", "empty", "link", "dead link"])
def test_a_file_that_was_not_drawn_is_not_replaced(tmp_path: Path, kind: str) -> None:
    pictures = to_draw(tmp_path / "a", "w.jpg", "x.jpg")
    place = tmp_path / "out" / "x.jpg"
    place.parent.mkdir()
    if kind == "photograph":
        photo(place, seed=5)
    elif kind.endswith("link"):
        drawn = tmp_path / "drawn"
        draw_pictures(pictures, drawn)
        place.symlink_to(drawn / "x.jpg" if kind == "link" else drawn / "gone.jpg")
    else:
        place.write_text("a letter" if kind == "text" else "")
    before = files_in(tmp_path)
    with pytest.raises(UsageError, match="which it did not write: name a new folder"):
        draw_pictures(pictures, tmp_path / "out")
    assert files_in(tmp_path) == before
