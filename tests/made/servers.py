"""Servers for tests: a real S3 server in this process, a proxy before it that fails as told, and a plain web server."""

from __future__ import annotations

import contextlib
import http.client
import logging
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

BUCKET = "bucket"
SLOW_DOWN = (
    b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code><Message>Reduce your rate</Message></Error>'
)


@contextmanager
def running(server: ThreadingHTTPServer) -> Iterator[str]:
    """Serve in a thread; yield the address."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def web_server(folder: Path, *, tells_lengths: bool = True) -> Iterator[str]:
    """Serve a folder as ``python -m http.server`` does, which gives no ranges; without lengths as if compressed."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def send_header(self, keyword: str, value: str) -> None:
            if tells_lengths or keyword not in ("Content-Length", "Last-Modified"):
                super().send_header(keyword, value)

    with running(ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))) as address:
        yield address


@contextmanager
def s3_server() -> Iterator[str]:
    """Run moto's S3 server in threads of this process, with an empty bucket; yield its address."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    try:
        request(address, "POST", "/moto-api/reset")  # its buckets are those of the process
        request(address, "PUT", f"/{BUCKET}")
        yield address
    finally:
        server.stop()


def request(address: str, method: str, path: str) -> int:
    """Make a request without credentials; return the status."""
    host = address.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=30)
    connection.request(method, path)
    try:
        return connection.getresponse().status
    finally:
        connection.close()


@contextmanager
def as_endpoint(address: str) -> Iterator[None]:
    """Let S3 be this server for whoever reads the environment, processes started by tests among them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_ENDPOINT_URL", address)
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield


@dataclass
class Faults:
    """What a proxy does to requests: `choose` names a fault for each, or nothing.

    ``busy`` answers 503 SlowDown, ``error`` 500, ``reset`` cuts the connection before an answer, ``lost`` does so after
    the server did as it was told, ``half answer`` cuts within the answer, ``half upload`` within what is sent on,
    ``hang`` answers too late. Each answer takes `delay_s`. After `cut_after` requests all are ``reset``.
    """

    choose: Callable[[str, str], str | None] = field(default=lambda method, path: None)
    hang_s: float = 3.0
    delay_s: float = 0.0
    cut_after: int | None = None
    met: list[tuple[str, str, str]] = field(default_factory=list)
    n_requests: int = 0


@contextmanager
def faulty_proxy(address: str, faults: Faults) -> Iterator[str]:
    """Stand between a client and a server; yield the address to use."""
    host = address.removeprefix("http://")

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def _serve(self) -> None:
            faults.n_requests += 1
            is_over = faults.cut_after is not None and faults.n_requests > faults.cut_after
            fault = "reset" if is_over else faults.choose(self.command, self.path)
            if fault:
                faults.met.append((fault, self.command, self.path))
            body = self._body()
            time.sleep(faults.delay_s)
            if fault == "hang":
                threading.Event().wait(faults.hang_s)
            if fault in ("busy", "error"):
                self._answer(503 if fault == "busy" else 500, {"Content-Type": "application/xml"}, SLOW_DOWN)
            elif fault in ("reset", "hang"):
                self._cut()
            elif fault == "half upload":
                self._forward(body[: len(body) // 2], cut=True)
                self._cut()
            else:
                status, headers, content = self._forward(body)
                if fault == "lost":
                    self._cut()
                else:
                    self._answer(status, headers, content, half=fault == "half answer")

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") == "chunked":
                body = b""
                while length := int(self.rfile.readline().split(b";")[0], 16):
                    body += self.rfile.read(length)
                    self.rfile.readline()
                while self.rfile.readline().strip():
                    pass
                return body
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def _forward(self, body: bytes, *, cut: bool = False) -> tuple[int, dict[str, str], bytes]:
            connection = http.client.HTTPConnection(host, timeout=60)
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("transfer-encoding", "content-length", "expect", "connection"):
                    connection.putheader(name, value)
            declared = 2 * len(body) + 1 if cut else len(body)
            connection.putheader("Content-Length", str(declared))
            connection.endheaders(body)
            if cut:
                connection.close()
                return 0, {}, b""
            try:
                answer = connection.getresponse()
                content = answer.read()
                return answer.status, dict(answer.getheaders()), content
            finally:
                connection.close()

        def _answer(self, status: int, headers: dict[str, str], content: bytes, *, half: bool = False) -> None:
            dropped = ("transfer-encoding", "connection", "date", "server")
            kept = {name: value for name, value in headers.items() if name.lower() not in dropped}
            if not any(name.lower() == "content-length" for name in kept):
                kept["Content-Length"] = str(len(content))
            self.send_response(status)
            for name, value in kept.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content[: len(content) // 2] if half else content)
            if half:
                self._cut()

        def _cut(self) -> None:
            self.wfile.flush()
            self.close_connection = True
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

        def finish(self) -> None:
            with contextlib.suppress(OSError, ValueError):
                super().finish()

        def handle(self) -> None:
            with contextlib.suppress(OSError, ValueError):  # cut, by us or by the client
                super().handle()

    with running(ThreadingHTTPServer(("127.0.0.1", 0), Proxy)) as proxied:
        yield proxied


def nobody() -> str:
    """Return an address at which nobody answers."""
    with socket.socket() as each:
        each.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{each.getsockname()[1]}"
