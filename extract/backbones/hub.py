"""Weights on a model hub, or at an address of their own: what an earlier run left here, what is in reach, downloads."""

from __future__ import annotations

import re
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from stackbone.cache import WeightsError
from stackbone.extract.backbones.backbone import Backbone
from stackbone.extract.backbones.home import torch_downloads
from stackbone.extract.backbones.ways_out import NO_ADDRESS, Problem, no_weights_message

HUB_TIMEOUT_S = 6.0
_HUB_FILES = ("model.safetensors", "pytorch_model.bin")
_HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,})\.")  # files with an address are named by their SHA-256's first digits


def cached_file(backbone: Backbone) -> Path | None:
    """Return the weights file that an earlier download left on this machine; None without."""
    if not backbone.hub:
        return None
    if _is_address(backbone.hub):
        folder = torch_downloads()
        path = folder / backbone.hub.rsplit("/", 1)[1] if folder else None
        return path if path and path.is_file() else None
    from huggingface_hub import try_to_load_from_cache

    for name in _HUB_FILES:
        cached = try_to_load_from_cache(backbone.hub, name)
        if isinstance(cached, str):
            return Path(cached)
    return None


def check_hub(backbones: Sequence[Backbone]) -> dict[str, Problem]:
    """Return, soon, each backbone whose weights the hub does not give, by name, with the reason."""
    problems: dict[str, Problem | None] = {
        backbone.name: Problem(f"no answer within {HUB_TIMEOUT_S:g} s") for backbone in backbones
    }

    def ask(backbone: Backbone) -> None:
        problems[backbone.name] = _probe(backbone)

    # Daemons, since a look-up of a host's name cannot be interrupted and must not hold up the exit.
    probes = [threading.Thread(target=ask, args=(backbone,), daemon=True) for backbone in backbones]
    deadline = time.monotonic() + HUB_TIMEOUT_S
    for probe in probes:
        probe.start()
    for probe in probes:
        probe.join(max(0.0, deadline - time.monotonic()))
    return {name: problem for name, problem in problems.items() if problem}


def download(backbone: Backbone) -> Path:
    """Return a backbone's weights file, downloaded.

    Raises
    ------
    WeightsError
        If the download fails.
    """
    fetch = _download_address if _is_address(backbone.hub) else _download_from_hub
    try:
        return fetch(backbone.hub)
    except Exception as exc:  # the boundary to network libraries, each with its own exception tree
        problem = Problem(f"the download failed: {exc}")
        raise WeightsError(no_weights_message({backbone.name: problem}, ask=None)) from exc


def _is_address(hub: str) -> bool:
    """Return whether weights lie at an address of their own, not in a repository of the hub."""
    return "://" in hub


def _probe(backbone: Backbone) -> Problem | None:
    """Return why the weights of `backbone` cannot be fetched, or None."""
    if not backbone.hub:
        return Problem(NO_ADDRESS)
    if _is_address(backbone.hub):
        return _probe_address(backbone.hub)
    from huggingface_hub import constants, get_token, hf_hub_url

    problem = None
    for name in _HUB_FILES:
        page = f"{constants.ENDPOINT}/{backbone.hub}"
        problem = _probe_address(hf_hub_url(backbone.hub, name), get_token(), page)
        if not problem:
            break
    return problem


def _probe_address(address: str, token: str | None = None, page: str = "") -> Problem | None:
    """Ask for the head of a file.

    Parameters
    ----------
    token
        Of the user, where the address is the hub's.
    page
        Where the hub shows the repository and its licence, where the address is the hub's.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return Problem("HF_HUB_OFFLINE is set")
    request = urllib.request.Request(address, method="HEAD")
    if token:  # for the hub alone, not for where it sends on to
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=HUB_TIMEOUT_S - 1):
            return None
    except urllib.error.HTTPError as exc:
        if exc.code not in (401, 403):
            return Problem(f"the hub answered {exc.code} {exc.reason}")
        code = exc.headers.get("X-Error-Code") if page else None
        # Without a word of the hub's own it is a server behind it, which the download may satisfy.
        return _not_let_in(exc, page, code, token=bool(token)) if code else None
    except (OSError, ValueError) as exc:
        return Problem(str(getattr(exc, "reason", exc)))


def _not_let_in(answer: urllib.error.HTTPError, page: str, code: str, *, token: bool) -> Problem:
    given = "to the token that is set here" if token else "and no token is set here"
    said = f"the hub answered {answer.code} {answer.reason} {given}"
    if code == "GatedRepo":
        return Problem(f"its weights are gated: {said}", page)
    return Problem(f"{said}: it has no such repository, or shows it to some accounts alone ({code})", page)


def _download_address(address: str) -> Path:
    from torch.hub import download_url_to_file

    folder = torch_downloads()
    if folder is None:
        message = "there is no home directory to store it in: set TORCH_HOME to a folder"
        raise OSError(message)
    path = folder / address.rsplit("/", 1)[1]
    path.parent.mkdir(parents=True, exist_ok=True)
    match = _HASH_IN_NAME.search(path.name)
    download_url_to_file(address, str(path), match and match[1], progress=sys.stderr.isatty())
    return path


def _download_from_hub(repository: str) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    try:
        return Path(hf_hub_download(repository, _HUB_FILES[0], library_name="timm"))
    except EntryNotFoundError:
        return Path(hf_hub_download(repository, _HUB_FILES[1], library_name="timm"))
