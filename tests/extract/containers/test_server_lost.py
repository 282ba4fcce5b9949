"""A server that is lost while a container is read is no damage of the container."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from stackbone.cache.errors import RemoteError
from stackbone.extract.containers.place import kind_of
from tests.made.lost_streams import LostStream
from tests.made.tables_of_images import photo, save_to_disk, table, write_parquet

FORMS = ["a.zip", "a.tar", "a.tar.gz", "a.parquet", "a.arrow"]


def made(folder: Path, name: str) -> bytes:
    path = folder / name
    if name.endswith(".zip"):
        with zipfile.ZipFile(path, "w") as archive:
            for i in range(3):
                archive.writestr(f"{i}.png", photo(i))
    elif ".tar" in name:
        with tarfile.open(path, "w:gz" if name.endswith("gz") else "w") as tar:
            for i in range(3):
                info = tarfile.TarInfo(f"{i}.png")
                info.size = len(photo(i))
                tar.addfile(info, io.BytesIO(photo(i)))
    elif name.endswith(".parquet"):
        write_parquet(path, table(range(3)))
    else:
        save_to_disk(folder / "saved", table(range(3)))
        path = folder / "saved" / "data-00000-of-00001.arrow"
    return path.read_bytes()


@pytest.mark.parametrize("name", FORMS)
def test_it_is_told_as_what_it_is_whenever_it_happens(name: str, tmp_path: Path) -> None:
    content, n_lost = made(tmp_path, name), 0
    kind = kind_of(name)
    assert kind is not None
    for n_reads in range(60):
        try:
            container = kind.open(LostStream(content, n_reads), name)
            found = [*container.stream(None)]
        except RemoteError:
            n_lost += 1
        else:
            assert len(found) == 3
    assert n_lost
