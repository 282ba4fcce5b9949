"""A server that is lost while tables of images are listed is no damage of these, nor of what lies beside them."""

from __future__ import annotations

import json
from pathlib import Path

import fsspec
import pytest

from stackbone.cache.errors import DatasetError, RemoteError
from stackbone.extract.datasets.dataset import open_dataset
from tests.made.archives import members_of
from tests.made.listings import rows
from tests.made.lost_streams import lose_after
from tests.made.tables_of_images import photo, save_to_disk, table, write_parquet

FORMS = ["birds.parquet", "hub", "saved", "splits", "beside"]


def uploaded(folder: Path, name: str) -> str:
    if name == "birds.parquet":
        write_parquet(folder / name, table(range(5)))
    elif name == "hub":
        write_parquet(folder / name / "data" / "train-00000-of-00001.parquet", table(range(5)))
    elif name == "saved":
        save_to_disk(folder / name, table(range(5)))
    elif name == "splits":
        save_to_disk(folder / name / "train", table(range(5)))
        (folder / name / "dataset_dict.json").write_text(json.dumps({"splits": ["train"]}))
    else:  # fewer images than rows of the table
        write_parquet(folder / name / "train.parquet", table(range(5)))
        (folder / name / "example.png").write_bytes(photo(9))
    files = fsspec.filesystem("memory")
    for path, content in members_of(folder).items():
        files.pipe_file(f"/tables/{path}", content)
    return f"memory://tables/{name}"


@pytest.mark.parametrize("name", FORMS)
def test_it_is_told_as_what_it_is_whenever_it_happens(name: str, tmp_path: Path) -> None:
    url, n_lost = uploaded(tmp_path, name), 0
    expected = rows(open_dataset(url))
    assert len(expected) == 5
    for n_requests in range(40):
        with pytest.MonkeyPatch.context() as patch:
            lose_after(patch, n_requests)
            try:
                assert rows(open_dataset(url)) == expected
            except RemoteError as exc:
                n_lost += 1
                said = str(exc)
                assert "could not read memory://tables/" in said
                assert "broke off, 7 times" in said
    assert 0 < n_lost < 40


def test_what_is_damaged_is_told_as_that(tmp_path: Path) -> None:
    url = uploaded(tmp_path, "saved")
    fsspec.filesystem("memory").pipe_file("/tables/saved/state.json", b"{")
    with pytest.raises(DatasetError, match=r"Cannot use 'memory://tables/saved/state\.json'"):
        open_dataset(url)
