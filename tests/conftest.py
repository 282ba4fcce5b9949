"""Fixtures that several test modules share."""

from __future__ import annotations

import fcntl
import hashlib
import io
import operator
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits

from stackbone import cli
from stackbone.cache import DatasetIndex, FeatureSpec, FeatureStore, FileStamps
from stackbone.stack.solvers.linear import LinearPath

MakeCache = Callable[..., FeatureStore]
InProcess = Callable[..., "subprocess.CompletedProcess[str]"]

_FSYNC = os.fsync  # before any test takes its place


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with the photographs and models that are not part of the repository."""
    beside = Path(__file__).resolve().parents[1].parent / "shared"
    folder = Path(os.environ.get("STACKBONE_TEST_DATA") or beside)
    if not (folder / "data").is_dir():
        pytest.skip(f"no test data in {folder}: set STACKBONE_TEST_DATA to the folder that holds data/")
    return folder


@pytest.fixture(autouse=True, scope="session")
def own_graphs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep converted networks of this session apart from the user's; subprocesses inherit the place.

    Workers side by side share it, as users' processes do: each network is converted once.
    """
    folder = tmp_path_factory.getbasetemp()
    everybodys = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STACKBONE_GRAPHS", str(everybodys / "graphs"))
        yield


@pytest.fixture(scope="module")
def ray_for_itself(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let no other process of these tests start a real Ray meanwhile: its processes would be taken for one's own."""
    with (tmp_path_factory.getbasetemp().parent / "ray.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(autouse=True, scope="session")
def no_waiting_for_the_disk() -> Iterator[None]:
    """Let fsync return at once: files of tests are gone before a power loss, and waiting takes longer than most tests.

    Tests of what is durable, and when, ask for `waiting_for_the_disk`; processes that tests start do wait.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", _no_fsync)
        yield


@pytest.fixture
def waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let fsync be that of the system, with all that it refuses."""
    monkeypatch.setattr(os, "fsync", _FSYNC)


def _no_fsync(descriptor: int) -> None:
    """Refuse what is not open, as fsync does, and paths, which `os.fstat` takes and fsync does not."""
    os.fstat(operator.index(descriptor))


@pytest.fixture(scope="module")
def one_blas_thread() -> Iterator[None]:
    """Limit plain references to one thread: with two they are as slow as `stack.evaluation.evaluate` would be."""
    with threadpool_limits(limits=1, user_api="blas"):
        yield


@pytest.fixture(scope="module")
def one_torch_thread() -> Iterator[None]:
    """Limit torch to one thread: arrays as small as those of tests are slower on two cores."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    """Return an empty cache of the test's own."""
    return FeatureStore(tmp_path / "features")


@pytest.fixture(scope="session")
def digits() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Scikit-learn's 1,797 handwritten digits: ``(n, 64)`` pixels and ``(n,)`` codes 0 to 9; read-only, so shared.

    Shuffled, since they lie writer by writer: the first rows would say little of the last.
    """
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    pixels, codes = x[order].astype(np.float32), y[order].astype(np.int64)
    pixels.setflags(write=False)
    codes.setflags(write=False)
    return pixels, codes


@pytest.fixture
def exact_solver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Solve to the last digits of float32, so that what is compared is the method and not where a solver stops."""
    monkeypatch.setitem(LinearPath.__init__.__kwdefaults__ or {}, "tol", 1e-10)


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> InProcess:
    """Return a way to run a command in this process, which spares the seconds that a start costs."""

    def call(*arguments: str | Path, cwd: Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
        with monkeypatch.context() as patch:
            patch.chdir(cwd)
            patch.setattr(sys, "argv", ["stackbone", *map(str, arguments)])
            patch.setattr(sys, "stdin", io.StringIO(stdin))
            patch.setattr(signal, "signal", lambda *_: None)
            capsys.readouterr()
            with pytest.raises(SystemExit) as end:
                cli.main()
        shown = capsys.readouterr()
        code = end.value.code
        assert isinstance(code, int)
        return subprocess.CompletedProcess(arguments, code, shown.out, shown.err)

    return call


@pytest.fixture(scope="session")
def make_cache() -> MakeCache:
    """Return a function that fills a cache with made-up features, which tell classes (or numbers) apart with errors."""

    def make(
        folder: Path,
        labels: Sequence[str],
        *,
        content: Sequence[int] | None = None,
        near: Mapping[int, int] | None = None,
        paths: Sequence[str] | None = None,
        root: Path | str = "/photos",
        splits: Sequence[str] | None = None,
        groups: Sequence[str] | None = None,
        backbones: Sequence[str] = ("resnet50", "vgg19"),
        noise: float = 1.5,
        dim: int = 8,
    ) -> FeatureStore:
        """Files of equal `content` are byte-identical: they have the features of the first.

        Each row that `near` names looks like the one that it names to every backbone: a cosine above .999.
        """
        store, n = FeatureStore(folder), len(labels)
        numbers = list(range(n)) if content is None else list(content)
        digests = np.frombuffer(b"".join(hashlib.sha256(b"%d" % i).digest() for i in numbers), np.uint8).reshape(n, 32)
        _, first = np.unique(numbers, return_index=True)
        _, codes = np.unique(labels, return_inverse=True)
        half = (0.5, 0.5, 0.5)
        for seed, name in enumerate(backbones):
            rng = np.random.default_rng(seed)
            try:
                signal = np.outer([float(label) for label in labels], rng.normal(size=dim))
            except ValueError:
                signal = rng.normal(size=(codes.max() + 1, dim))[codes] * 2
            x = (signal + noise * rng.normal(size=(n, dim))).astype(np.float32)
            for copy, row in (near or {}).items():
                x[copy] = 1.1 * x[row] + 0.01 * rng.normal(size=dim)
            spec = FeatureSpec(name, "random(0)", (224, 224), 0.875, "center", "bicubic", half, half, "avg")
            store.feature_set(name, spec).append(spec, digests[first], x[first], {"engine": "torch"})
        store.write_dataset(
            DatasetIndex(
                name="photos",
                root=str(root),
                path=list(paths or (f"{label}/{i}.jpg" for i, label in enumerate(labels))),
                label=list(labels),
                split=list(splits or [""] * n),
                group=list(groups or [""] * n),
                image_sha256=digests.copy(),
                status=np.zeros(n, np.uint8),
                reason=[""] * n,
                stamps=FileStamps(np.full((n, 4), -1, np.int64)),
            )
        )
        return store

    return make
