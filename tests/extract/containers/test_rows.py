"""Images in the rows of Parquet and Arrow files: all, some, or one by one; and files that are damaged."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stackbone.cache.errors import ImageError, Malformed
from stackbone.extract.containers.container import Container
from stackbone.extract.containers.opening import open_container
from tests.made.tables_of_images import photo, table, write_arrow, write_parquet

N = 23


def as_file(file: Path, content: object) -> Path:
    return write_arrow(file, content, stream=False)


FORMS: dict[str, tuple[str, Callable[..., Path]]] = {
    "parquet": ("t.parquet", write_parquet),
    "arrow stream": ("t.arrow", write_arrow),
    "arrow file": ("t.arrow", as_file),
}


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> tuple[str, Callable[..., Path]]:
    return FORMS[request.param]


@pytest.fixture
def opened(tmp_path: Path, form: tuple[str, Callable[..., Path]]) -> Iterator[Container]:
    name, write = form
    container = open_container(str(write(tmp_path / name, table(range(N)))))
    yield container
    container.close()


def test_every_row_is_an_image_in_the_order_of_rows(opened: Container) -> None:
    names = [f"{row:09}" for row in range(N)]
    assert [member.name for member in opened.members()] == names
    assert list(opened.stream(None)) == [(name, photo(row)) for row, name in enumerate(names)]


def test_some_rows_are_streamed_and_no_others(opened: Container) -> None:
    rows = [0, 3, 4, 13, 22]
    wanted = {f"{row:09}" for row in rows} | {"000000099", "nothing", "left/000000001"}
    assert list(opened.stream(wanted)) == [(f"{row:09}", photo(row)) for row in rows]


@pytest.mark.parametrize("seed", range(3))
def test_rows_are_read_in_any_order(opened: Container, seed: int) -> None:
    rows = random.Random(seed).sample(range(N), N)
    assert [opened.read(f"{row:09}") for row in rows] == [photo(row) for row in rows]


@pytest.mark.parametrize(
    "name", ["000000023", "23", "000000001/x", "label/000000001", "-00000001", "\u0660" + "00000001", ""]
)
def test_what_is_no_row_of_images_is_an_image_error(opened: Container, name: str) -> None:
    with pytest.raises(ImageError, match="no such row"):
        opened.read(name)


def test_empty_cells_are_passed_over_and_said_when_asked_for(
    tmp_path: Path, form: tuple[str, Callable[..., Path]]
) -> None:
    import pyarrow

    name, write = form
    whole = table(range(6))
    rows = whole.to_pylist()
    rows[1]["image"], rows[4]["image"] = None, {"bytes": None, "path": "elsewhere.jpg"}
    container = open_container(str(write(tmp_path / name, pyarrow.Table.from_pylist(rows, schema=whole.schema))))
    assert [row for row, _ in container.stream(None)] == ["000000000", "000000002", "000000003", "000000005"]
    with pytest.raises(ImageError, match="is an empty cell"):
        container.read("000000001")
    with pytest.raises(ImageError, match=r"is not in the table, which says that it is 'elsewhere\.jpg'"):
        container.read("000000004")
    container.close()


def test_of_several_columns_each_is_named(tmp_path: Path, form: tuple[str, Callable[..., Path]]) -> None:
    import pyarrow

    name, write = form
    content = pyarrow.table({"left": [photo(1), photo(2)], "right": [photo(3), photo(4)], "label": [0, 1]})
    container = open_container(str(write(tmp_path / name, content)))
    names = ["left/000000000", "left/000000001", "right/000000000", "right/000000001"]
    assert [member.name for member in container.members()] == names
    assert dict(container.stream(None)) == dict(zip(names, map(photo, (1, 2, 3, 4)), strict=True))
    assert container.read("right/000000000") == photo(3)
    with pytest.raises(ImageError, match="no such row"):
        container.read("000000000")
    container.close()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.99])
def test_a_file_that_is_cut_short_is_malformed(
    tmp_path: Path, form: tuple[str, Callable[..., Path]], share: float
) -> None:
    name, write = form
    content = write(tmp_path / name, table(range(N))).read_bytes()
    (tmp_path / name).write_bytes(content[: int(share * len(content))])
    with pytest.raises(Malformed):
        open_container(str(tmp_path / name))


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_file_is_malformed_or_gives_other_bytes_and_nothing_worse(
    tmp_path: Path, form: tuple[str, Callable[..., Path]], seed: int
) -> None:
    name, write = form
    content = bytearray(write(tmp_path / name, table(range(N)), **{}).read_bytes())
    chance = random.Random(seed)
    for _ in range(20):
        content[chance.randrange(len(content))] = chance.randrange(256)
    (tmp_path / name).write_bytes(content)
    try:
        container = open_container(str(tmp_path / name))
    except Malformed:
        return
    try:
        for member, found in container.stream(None):
            assert isinstance(found, bytes)
            assert container.read(member) == found
    except (Malformed, ImageError):
        pass
    container.close()


def test_a_row_group_holds_rows_of_its_own_size(tmp_path: Path) -> None:
    file = write_parquet(tmp_path / "t.parquet", table(range(N)), row_group_size=5, use_dictionary=False)
    container = open_container(str(file))
    assert [container.read(f"{row:09}") for row in (22, 0, 14, 15)] == [photo(row) for row in (22, 0, 14, 15)]
    container.close()
