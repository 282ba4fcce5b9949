"""A folder behind a URL, as the root of a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from stackbone.cache.places.object_path import ObjectPath


@dataclass(frozen=True, order=True)
class _RemoteRoot(ObjectPath):
    """What `os.path.join` takes, and messages show without a secret."""

    def __fspath__(self) -> str:
        return self.url

    def __truediv__(self, name: str) -> _RemoteRoot:
        return _RemoteRoot(super().__truediv__(name).url)

    @property
    def parent(self) -> _RemoteRoot:
        return _RemoteRoot(super().parent.url)

    def as_posix(self) -> str:
        return self.url


def remote_root(url: str) -> Path:
    """Return a URL as what stands for a `Path` where those who list datasets join, name and show one."""
    return cast(Path, _RemoteRoot(url))


def common_root(urls: Sequence[str]) -> tuple[Path, list[str]]:
    """Return the folder that some files behind URLs have in common, and their paths in it."""
    folders = [url.rpartition("/")[0] for url in urls]
    parts = [folder.split("/") for folder in folders]
    n = next((i for i, column in enumerate(zip(*parts, strict=False)) if len(set(column)) > 1), min(map(len, parts)))
    root = "/".join(parts[0][:n])
    return remote_root(root), [url[len(root) + 1 :] for url in urls]
