"""What looking for annotations costs: openings of archives, memory, and whether there is anything to look for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from stackbone.extract.containers import opening
from stackbone.extract.datasets.archives import annotations as annotated_archives
from stackbone.extract.datasets.archives import trees
from stackbone.extract.datasets.dataset import open_dataset
from stackbone.extract.datasets.files import archived
from stackbone.extract.datasets.files.archived import ArchivedFiles, Packed
from stackbone.extract.datasets.files.folder import FolderFiles
from stackbone.extract.datasets.files.listed import by_folder
from stackbone.extract.datasets.kinds.coco import annotation_files
from tests.made.annotated import coco_content, make_coco, photo
from tests.made.archives import write_archive


def counted_openings(patch: pytest.MonkeyPatch) -> list[str]:
    """Return what grows by the place of each archive that is opened for files in it."""
    opened: list[str] = []

    def open_container(place: str) -> Any:  # noqa: ANN401 - as it is
        opened.append(place)
        return opening.open_container(place)

    patch.setattr(archived, "open_container", open_container)
    return opened


@pytest.mark.parametrize("kind", [".tar", ".tar.gz", ".zip"])
def test_files_that_may_be_annotations_are_looked_into_in_one_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    image = photo(tmp_path / "a.jpg").read_bytes()
    told = {f"{number:03}-labels.json": b'{"a": 1}' for number in range(150)}
    archive = write_archive(tmp_path / f"set{kind}", {"cat/a.jpg": image, "dog/b.jpg": image, **told})
    opened = counted_openings(monkeypatch)
    assert open_dataset(archive).classes == ["cat", "dog"]
    assert len(opened) == 1


@pytest.mark.parametrize("kind", [".tar", ".tar.gz", ".zip"])
def test_annotations_in_many_files_are_read_in_one_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    members = {}
    for number in range(150):
        members[f"images/{number}.jpg"] = b""
        made = coco_content({f"{number}.jpg": [("cat", 1, 1, 9, 9)]}, ("cat",))
        members[f"annotations/{number:03}-labels.json"] = json.dumps(made).encode()
    archive = write_archive(tmp_path / f"set{kind}", members)
    opened = counted_openings(monkeypatch)
    assert open_dataset(archive).labels == ["cat"] * 150
    assert len(opened) == 3  # whether they are such, asked once more for the archive as a whole, and to read them


@pytest.mark.parametrize(
    ("name", "n_files", "n_looks"),
    [("{:03}-labels.json", 150, 150), ("{:03}.json", 150, 0), ("{:03}.json", 100, 100)],
)
def test_of_more_than_a_hundred_files_those_are_looked_into_whose_names_tell(
    tmp_path: Path, name: str, n_files: int, n_looks: int
) -> None:
    for number in range(n_files):
        make_coco(tmp_path / "set", {"a": 1}, name.format(number))
    asked: list[str] = []

    class Counted(FolderFiles):
        def ends(self, paths: Sequence[str], size: int) -> Iterator[tuple[str, bytes | OSError]]:
            asked.extend(paths)
            return super().ends(paths, size)

    assert annotation_files(Counted(tmp_path / "set")) == []
    assert len(asked) == n_looks


def test_files_of_archives_are_held_up_to_a_bound_and_refused_beyond_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = {f"{number}.txt": bytes([number]) * 10 for number in range(9)}
    file = write_archive(tmp_path / "a.zip", content)
    packed = {name: Packed(file.name, name, 10) for name in content}
    files = ArchivedFiles(by_folder(packed), packed, root=tmp_path, title="a", packed=packed)
    monkeypatch.setattr(archived, "_HELD_BYTES", 25)
    opened = counted_openings(monkeypatch)
    backwards = [*reversed(content), "none.txt", "0.txt"]
    found = list(files.contents(backwards, 10))
    assert [path for path, _ in found] == backwards
    assert [each for _, each in found[:9]] == [*reversed(content.values())]
    assert isinstance(found[9][1], FileNotFoundError)
    assert found[10] == ("0.txt", content["0.txt"])
    assert len(opened) == 5
    monkeypatch.setattr(archived, "_MOST_BYTES", 50)
    refused = [path for path, each in files.contents([*content], 10) if isinstance(each, OSError)]
    assert refused == ["5.txt", "6.txt", "7.txt", "8.txt"]
    assert dict(files.ends(["3.txt"], 4)) == {"3.txt": b"\3" * 8}


@pytest.mark.parametrize(
    ("files", "n_looks"),
    [
        (["cat/info.json", "notes.xml", "dog/run.yaml"], 0),
        (["info.json"], 1),
        (["Annotations/a.xml"], 1),
        (["cat/other.xml"], 1),
        (["train/x.json"], 1),
        (["data.yaml"], 1),
    ],
)
def test_archives_are_taken_for_folders_only_where_a_file_lies_as_annotations_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: list[str], n_looks: int
) -> None:
    image = photo(tmp_path / "a.jpg").read_bytes()
    members = {"cat/a.jpg": image, "dog/b.jpg": image, **dict.fromkeys(files, b"{}")}
    asked: list[object] = []
    monkeypatch.setattr(annotated_archives, "find_annotated", asked.append)
    assert open_dataset(write_archive(tmp_path / "set.zip", members)).classes == ["cat", "dog"]
    assert len(asked) == n_looks


def test_no_archive_stays_open_once_its_names_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        write_archive(tmp_path / "zips" / f"{number:03}.zip", {f"cat/{number}.jpg": b"", "notes.xml": b""})
    kept: list[list[object]] = []

    def list_annotated(_: object, held: list[object], *__: object) -> None:
        kept.append(held)

    monkeypatch.setattr(trees, "list_annotated", list_annotated)
    assert open_dataset(tmp_path / "zips").n == 3
    assert [hasattr(each, "container") for each in kept[0]] == [False] * 3
