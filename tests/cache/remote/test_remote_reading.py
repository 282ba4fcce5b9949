"""Files behind URLs: what is read is what lies there, whatever the server does meanwhile; errors are one line."""

from __future__ import annotations

import functools
import io
import os
import pickle
import random
import ssl
import tarfile
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import pytest

from stackbone.cache.errors import RemoteError, StackboneError, UsageError, lost_server
from stackbone.cache.places.object_path import ObjectPath
from stackbone.cache.remote import failures
from stackbone.cache.remote import server as server_module
from stackbone.cache.remote.failures import Failure, judged, refused
from stackbone.cache.remote.listing import list_remote, stat_remote
from stackbone.cache.remote.reading import open_remote
from stackbone.cache.remote.server import server_of
from stackbone.cache.remote.url import has_password, is_url, join_url, shown, unescaped
from tests.made.servers import Faults, as_endpoint, faulty_proxy, nobody, running, s3_server, web_server

CONTENT = random.Random(0).randbytes(3_000_001)


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with s3_server() as address, as_endpoint(address):
        put("s3://bucket/shards/a.bin", CONTENT)
        put("s3://bucket/shards/deep/b.bin", b"b")
        put("s3://bucket/shards/odd #1?.bin", b"odd")
        yield address


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "_FIRST_WAIT_S", 0.001)
    monkeypatch.setattr(failures, "_LONGEST_WAIT_S", 0.01)


def put(url: str, content: bytes) -> None:
    options = {"endpoint_url": os.environ["AWS_ENDPOINT_URL"]} if url.startswith("s3") else {}
    files, path = fsspec.core.url_to_fs(url, use_listings_cache=False, **options)
    files.pipe_file(path, content)


@pytest.mark.parametrize("url", ["s3://b/x", "memory://x", "http://host/x", "gs://b", "S3://b"])
def test_urls_are_told_from_paths(url: str) -> None:
    assert is_url(url)


@pytest.mark.parametrize("path", ["photos", "/data/s3", "C:\\photos", "s3:/bucket", "", "a b://c", Path("s3://b")])
def test_paths_are_no_urls(path: object) -> None:
    assert not is_url(path)


def test_names_are_joined_below_a_url() -> None:
    assert join_url("s3://b/x/", "y/z") == join_url("s3://b/x", "y/z") == "s3://b/x/y/z"
    assert join_url("memory://", "a") == "memory://a"


def read_in_jumps(file: io.BufferedIOBase) -> None:
    at = random.Random(1)
    for _ in range(40):
        start, length = at.randrange(len(CONTENT)), at.choice([1, 512, 70_000, 400_000])
        assert file.seek(start) == start
        assert file.read(length) == CONTENT[start : start + length]
    assert file.seek(-5, os.SEEK_END) == len(CONTENT) - 5
    assert file.read() == CONTENT[-5:]
    assert file.read() == b""


def test_what_is_read_equals_what_was_put_in_order_and_in_jumps(s3: str) -> None:
    with open_remote("s3://bucket/shards/a.bin") as file:
        assert file.read() == CONTENT
        read_in_jumps(file)  # type: ignore[arg-type]
    put("memory://remote/a.bin", CONTENT)
    with open_remote("memory://remote/a.bin", block_bytes=1 << 18) as file:
        assert b"".join(iter(lambda: file.read(100_000), b"")) == CONTENT
        read_in_jumps(file)  # type: ignore[arg-type]


def test_reading_on_asks_for_larger_and_larger_pieces_and_a_jump_for_a_small_one(s3: str) -> None:
    faults = Faults()
    with faulty_proxy(s3, faults) as address, as_endpoint(address):
        with open_remote("s3://bucket/shards/a.bin") as file:
            file.read()
        assert faults.n_requests <= 8
        faults.n_requests = 0
        with open_remote("s3://bucket/shards/a.bin") as file:
            file.seek(2_000_000)
            file.read(10)
        assert faults.n_requests == 2  # one for its size, one for the piece


def test_a_tar_is_read_member_by_member(s3: str) -> None:
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w") as tar:
        for i in range(5):
            info = tarfile.TarInfo(f"{i}.bin")
            info.size = 200_000
            tar.addfile(info, io.BytesIO(CONTENT[i * 200_000 : (i + 1) * 200_000]))
    put("s3://bucket/t.tar", memory.getvalue())
    with open_remote("s3://bucket/t.tar") as file, tarfile.open(fileobj=file) as tar:
        for i, member in enumerate(tar):
            content = tar.extractfile(member)
            assert content is not None
            assert content.read() == CONTENT[i * 200_000 : (i + 1) * 200_000]


class Ranges(SimpleHTTPRequestHandler):
    """Gives ranges, as most web servers do."""

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        if not wanted:
            return super().do_GET()
        first, last = map(int, wanted.removeprefix("bytes=").split("-"))
        part = CONTENT[first : last + 1]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{first + len(part) - 1}/{len(CONTENT)}")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)
        return None


def test_web_servers_with_ranges_and_without_give_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(CONTENT)
    (tmp_path / "empty.bin").write_bytes(b"")
    handler = functools.partial(Ranges, directory=str(tmp_path))
    with web_server(tmp_path) as plain, running(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as ranges:
        for address in (plain, ranges):
            with open_remote(f"{address}/a.bin") as file:
                read_in_jumps(file)  # type: ignore[arg-type]
            with open_remote(f"{address}/empty.bin") as file:
                assert file.read() == b""
            with pytest.raises(FileNotFoundError):
                open_remote(f"{address}/none.bin")
        assert [each.url for each in list_remote(plain, "*.bin")] == [f"{plain}/a.bin", f"{plain}/empty.bin"]


@pytest.mark.parametrize("url", ["s3://bucket/none.bin", "memory://remote/none", "s3://bucket/shards"])
def test_what_is_not_there_is_not_found(s3: str, url: str) -> None:
    for ask in (stat_remote, open_remote):
        with pytest.raises(FileNotFoundError):
            ask(url)


def test_listings_have_levels_and_stamps_as_asking_for_each_file(s3: str) -> None:
    entries = list_remote("s3://bucket/shards")
    assert [each.url for each in entries] == ["s3://bucket/shards/a.bin", "s3://bucket/shards/odd #1?.bin"]
    assert [each.size for each in entries] == [len(CONTENT), 3]
    deep = ["s3://bucket/shards/a.bin", "s3://bucket/shards/deep/b.bin", "s3://bucket/shards/odd #1?.bin"]
    assert [each.url for each in list_remote("s3://bucket/shards/", "**")] == deep
    assert [each.url for each in list_remote("s3://bucket", "shards/*/?.bin")] == deep[1:2]
    assert [each.url for each in list_remote("s3://bucket", "**/a.*")] == deep[:1]
    assert list_remote("s3://bucket/none") == []
    for entry in entries:
        assert stat_remote(entry.url).stamp == entry.stamp
        assert entry.stamp[0] == entry.size


@pytest.mark.parametrize("base", ["s3://bucket/stamps", "memory://stamps"])
def test_a_stamp_changes_with_the_bytes(s3: str, base: str) -> None:
    put(f"{base}/x", b"one")
    first = stat_remote(f"{base}/x")
    put(f"{base}/x", b"two")
    assert stat_remote(f"{base}/x").stamp != first.stamp
    assert stat_remote(f"{base}/x").size == first.size
    assert list_remote(base)[0].stamp == stat_remote(f"{base}/x").stamp


@pytest.mark.parametrize("fault", ["busy", "error", "reset", "half answer"])
def test_a_server_that_fails_every_other_time_gives_all_bytes(s3: str, fault: str, quick: None) -> None:
    faults = Faults()
    faults.choose = lambda method, path: fault if faults.n_requests % 2 else None
    with faulty_proxy(s3, faults) as address, as_endpoint(address):
        with open_remote("s3://bucket/shards/a.bin") as file:
            assert file.read() == CONTENT
        assert len(list_remote("s3://bucket/shards")) == 2
    assert len(faults.met) >= 4


@pytest.mark.parametrize("fault", ["busy", "reset"])
def test_a_server_that_stays_busy_is_told_in_one_line(s3: str, fault: str, quick: None) -> None:
    faults = Faults(choose=lambda method, path: fault)
    with (
        faulty_proxy(s3, faults) as address,
        as_endpoint(address),
        pytest.raises(
            RemoteError, match=r"find s3://bucket/shards/a.bin: (the server was too busy|no server answers).*7 times"
        ),
    ):
        open_remote("s3://bucket/shards/a.bin")
    assert faults.n_requests >= failures.MOST_TRIES


def test_an_answer_that_breaks_off_again_and_again_is_an_error_of_the_reader(s3: str, quick: None) -> None:
    faults = Faults()
    with (
        faulty_proxy(s3, faults) as address,
        as_endpoint(address),
        open_remote("s3://bucket/shards/a.bin") as file,
    ):
        faults.choose = lambda method, path: "half answer"
        with pytest.raises(RemoteError, match="broke off"):
            file.read()


def one_line(call: Callable[[], object]) -> str:
    with pytest.raises(StackboneError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    assert "very-secret" not in text
    return text


def test_no_bucket_no_server_and_no_credentials_are_told_apart(s3: str, quick: None) -> None:
    for ask in (lambda: list_remote("s3://nowhere/x"), lambda: open_remote("s3://nowhere/x")):
        assert "there is no 'nowhere' at the server (NoSuchBucket)" in one_line(ask)
    with as_endpoint(nobody()):
        assert "no server answers there" in one_line(lambda: stat_remote("s3://bucket/x"))
    assert "no server answers there" in one_line(lambda: open_remote(f"{nobody()}/x"))
    with as_endpoint(s3), pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.delenv(name)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        fsspec.get_filesystem_class("s3").clear_instance_cache()
        assert "no usable credentials were found" in one_line(lambda: stat_remote("s3://bucket/x"))
    fsspec.get_filesystem_class("s3").clear_instance_cache()


def test_wrong_credentials_are_refused_in_one_line(s3: str, quick: None) -> None:
    from moto.core import set_initial_no_auth_action_count

    fsspec.get_filesystem_class("s3").clear_instance_cache()

    ask = set_initial_no_auth_action_count(0)(lambda: list_remote("s3://bucket/shards"))
    assert "the server refuses these credentials" in one_line(ask)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("gs://bucket/x", r"pip install 'stackbone\[gs\]'"),
        ("nonsense://x", "a folder is named without any"),
        ("http://me:very-secret@host/x", "given with a password"),
    ],
)
def test_what_cannot_be_asked_is_told_before_it_is(url: str, words: str) -> None:
    if url.startswith("gs"):
        try:
            import gcsfs  # type: ignore[import-not-found, unused-ignore] # noqa: F401
        except ImportError:
            pass
        else:
            pytest.skip("gcsfs is here")
    with pytest.raises(UsageError, match=words):
        open_remote(url)
    assert "very-secret" not in one_line(lambda: open_remote(url))


def test_nothing_is_written_through_a_reader() -> None:
    with pytest.raises(UsageError, match="to be read"):
        open_remote("memory://x", "wb")


def named(*names: str, status: int = 0) -> Exception:
    """Return an error of a class with these names, its own first."""
    kind: type[Exception] = OSError
    for name in reversed(names):
        kind = type(name, (kind,), {"status": status})
    return kind("x")


def caused(exc: Exception, by: Exception) -> Exception:
    exc.__cause__ = by
    return exc


@pytest.mark.parametrize(
    ("exc", "kind", "advice"),
    [
        (ssl.SSLCertVerificationError("bad"), Failure.CERTIFICATE, "AWS_CA_BUNDLE"),
        (named("SSLError", "ConnectionError"), Failure.CERTIFICATE, "http://"),
        (named("ClientConnectorCertificateError", "ClientOSError"), Failure.CERTIFICATE, "AWS_CA_BUNDLE"),
        (named("ProxyConnectionError", "ConnectionError"), Failure.PROXY, "HTTPS_PROXY"),
        (named("ClientHttpProxyError", status=502), Failure.PROXY, "NO_PROXY"),
        (caused(named("ProxyConnectionError"), named("ConnectionRefusedError")), Failure.PROXY, "HTTPS_PROXY"),
        (named("AnyError", status=407), Failure.PROXY, "HTTPS_PROXY"),
        (ssl.SSLEOFError("cut"), Failure.BUSY, "Run again later"),
    ],
)
def test_certificates_and_proxies_are_told_from_a_busy_server(exc: Exception, kind: Failure, advice: str) -> None:
    found, code = judged(exc)
    assert found is kind
    assert advice in str(refused("s3://bucket/x", "read", found, code))


def test_what_gcsfs_says_without_a_code_is_understood() -> None:
    assert judged(OSError("Forbidden: b/bucket/o\nx has no access"))[0] is Failure.DENIED
    assert judged(type("ProxyError", (OSError,), {})())[0] is Failure.BUSY, "it means 502"
    assert judged(type("ProxyError", (OSError,), {})("Cannot connect to proxy"))[0] is Failure.PROXY
    assert judged(type("HttpError", (Exception,), {"code": 429})("later, 429"))[0] is Failure.BUSY


def test_gcsfs_is_asked_once_each_time_and_over_http() -> None:
    def decorated(self: object) -> str:
        return f"{self.asked()}, six times"  # type: ignore[attr-defined]

    decorated.__wrapped__ = lambda self: self.asked()  # type: ignore[attr-defined]
    plain = type("GCSFileSystem", (), {"_request": decorated, "asked": lambda self: type(self).__name__})
    plain.__module__ = "gcsfs.core"
    by_grpc = type("ExtendedGcsFileSystem", (plain,), {})
    assert server_module._over_http(by_grpc) is plain
    assert server_module._over_http(dict) is dict
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "true")
        assert server_module._over_http(by_grpc) is by_grpc
    files = plain()
    server_module._ask_once(files)
    assert files._request() == "GCSFileSystem"


def test_the_installed_libraries_errors_are_among_those_known() -> None:
    from botocore import exceptions

    assert judged(exceptions.SSLError(endpoint_url="https://x", error="x"))[0] is Failure.CERTIFICATE
    proxy = exceptions.ProxyConnectionError(proxy_url="http://u:secret@x")
    assert judged(proxy)[0] is Failure.PROXY


def test_a_lack_of_memory_is_no_fault_of_the_server() -> None:
    def lack() -> None:
        raise MemoryError

    with pytest.raises(MemoryError):
        failures.ask("memory://x", "read", lack)


SECRET_URLS = [
    ("s3://AKIAEXAMPLE:wJalr/XUtnFEMI@bucket/features", "s3://bucket/features"),
    ("s3://AKIA:se@cret/@TAIL@bucket/f", "s3://bucket/f"),
    ("s3://AKIA:12/34SECRET+x=@bucket/f@2", "s3://2"),
    ("s3://AKIA:sec?ret=1@bucket/x", "s3://bucket/x"),
    ("s3://tok en:p w'@b/x", "s3://b/x"),
    ("http://user:pa/ss@127.0.0.1:9/f", "http://127.0.0.1:9/f"),
    ("http://:secret@host:9/f", "http://host:9/f"),
]


@pytest.mark.parametrize(("url", "expected"), SECRET_URLS)
def test_a_password_with_slashes_and_ats_is_neither_shown_nor_taken(url: str, expected: str) -> None:
    assert shown(url) == expected
    assert repr(ObjectPath(url)) == f"ObjectPath({expected!r})"
    with pytest.raises(UsageError, match="given with a password") as caught:
        server_of(url)
    assert str(caught.value).startswith(f"{expected} was given")
    refusal = refused(url, "read", Failure.NO_BUCKET, "x")
    assert url[5:20].strip("/") not in str(refusal)


def test_a_password_within_a_text_is_not_shown() -> None:
    text = "no file at 's3://AKIA:wJalr/XUtn@bucket/f' or http://u:p/q@host:80/x?sig=a&b=c (404)"
    assert shown(text) == "no file at 's3://bucket/f' or http://host:80/x?... (404)"


@pytest.mark.parametrize(
    "url",
    [
        "http://host:8080/a@b.jpg",
        "http://host:8080",
        "http://[::1]:80/a@b",
        "s3://bucket/10:30/me@x.jpg",
        "s3://b/std::x",
    ],
)
def test_colons_and_ats_of_names_and_ports_are_no_password(url: str) -> None:
    assert shown(url) == url
    assert not has_password(url)


def test_messages_hold_no_passwords_and_no_signatures() -> None:
    url = "https://me:pass@host/a.tar?X-Amz-Signature=abc&b=c"
    assert shown(url) == "https://host/a.tar?..."
    error = failures.refused(url, "read", Failure.DENIED, "403", 1)
    assert "pass" not in str(error)
    assert "abc" not in str(error)


def test_an_error_of_a_server_is_an_oserror_with_the_reason_alone_and_survives_a_process() -> None:
    error = RemoteError("could not read s3://b/x: no such thing. Do that", "no such thing", of_one_object=True)
    assert isinstance(error, OSError)
    assert pickle.loads(pickle.dumps(error)).of_one_object
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.strerror) == (RemoteError, str(error), "no such thing")


def test_a_not_found_that_hides_a_failure_is_not_taken_for_one() -> None:
    """As of fsspec's web servers, whose every failure to find a size is `FileNotFoundError`."""
    outer = FileNotFoundError("http://host/x")
    outer.__cause__ = ConnectionResetError(104, "reset")
    assert judged(outer)[0] is Failure.BUSY
    outer.__cause__ = ConnectionRefusedError(111, "refused")
    assert judged(outer)[0] is Failure.UNREACHABLE
    assert judged(FileNotFoundError("x"))[0] is Failure.ABSENT
    assert judged(KeyError("x"))[0] is Failure.OTHER


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("caf%C3%A9%20%E2%82%AC.jpg", "café €.jpg"),
        ("caf%E9.jpg", "caf%E9.jpg"),
        ("caf%e8%20b.jpg", "caf%E8 b.jpg"),
        ("é%C3", "é%C3"),
        ("a%2Fb%5cc%00%0A%7F.jpg", "a%2Fb%5cc%00%0A%7F.jpg"),
        ("100%25%23%3F", "100%25%23%3F"),
    ],
)
def test_names_of_web_servers_stay_escaped_where_bytes_or_parts_would_be_lost(text: str, name: str) -> None:
    assert unescaped(text) == name
    assert unescaped(name) == name


def test_a_failure_that_was_set_aside_is_no_lost_server() -> None:
    lost = RemoteError("no server answers there")

    def told(*, aside: bool) -> RemoteError | None:
        try:
            try:
                raise lost
            except RemoteError as exc:
                cause = None if aside else exc
                raise ValueError from cause
        except ValueError as exc:
            return lost_server(exc)

    assert told(aside=True) is None
    assert told(aside=False) is lost
    in_passing = ValueError()
    in_passing.__context__ = lost
    assert lost_server(in_passing) is lost
