"""The solvers on torch reach what they reach on NumPy; a device that is full takes fewer problems, and says so."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler

from stackbone.cache.errors import StackError
from stackbone.stack.computing.arithmetic import (
    HOST,
    Arithmetic,
    Array,
    DeviceFullError,
    chosen_arithmetic,
    computing_with,
)
from stackbone.stack.computing.torch_arithmetic import TorchArithmetic
from stackbone.stack.fitting.fits import FitCounter, run_fits
from stackbone.stack.learners.labels.label_path import LabelPath
from stackbone.stack.solvers import lbfgs as lbfgs_module
from stackbone.stack.solvers import row_space as row_space_module
from stackbone.stack.solvers import spectrum as spectrum_module
from stackbone.stack.solvers.linear import LinearMap, LinearPath
from tests.stack.solvers.test_linear import KINDS, Kind, Matrix, as_fitted, objective, photos, reference, thirds

pytestmark = pytest.mark.usefixtures("one_blas_thread", "exact_solver")

ON_TORCH = TorchArithmetic("cpu")


def solve(arithmetic: Arithmetic, x: Matrix, *arguments: object, c: float, **options: object) -> list[LinearMap]:
    """Return what a path finds for a small C and then for `c`."""
    with computing_with(arithmetic):
        path = LinearPath(x, *arguments, **options)  # type: ignore[arg-type] # those of the path
        path.solve(c / 100)
        return path.solve(c)


def assert_alike(found: list[LinearMap], expected: list[LinearMap], x: Matrix, share: float = 5e-3) -> None:
    """Require coefficients and outputs that differ by no more than a share of their largest."""
    for one, other in zip(found, expected, strict=True):
        outputs = other.decide(x)
        np.testing.assert_allclose(one.coef, other.coef, atol=share * np.abs(other.coef).max())
        np.testing.assert_allclose(one.decide(x), outputs, atol=share * np.abs(outputs).max())


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("standardise", [True, False])
@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_coefficients_are_those_of_numpy(kind: Kind, n_classes: int, *, standardise: bool, weighted: bool) -> None:
    x, codes = photos(n_classes=n_classes)
    options = {
        "loss": kind,
        "standardise": standardise,
        "weights": np.random.default_rng(1).random(len(x)) + 0.5 if weighted else None,
    }
    ours, numpys = (solve(each, x, codes, n_classes, thirds(len(x)), c=0.1, **options) for each in (ON_TORCH, HOST))
    assert_alike(ours, numpys, x, 1e-4 if kind == "log" else 5e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_the_objective_is_that_of_the_reference(kind: Kind) -> None:
    x, codes = photos()
    (found,) = solve(ON_TORCH, x, codes, 4, [np.arange(len(x))], c=0.1, loss=kind, standardise=True)
    scaler = StandardScaler().fit(x.astype(np.float64))
    scaled = scaler.transform(x.astype(np.float64))
    best = objective(kind, scaled, codes, *reference(kind, scaled, codes, 0.1), 0.1)
    assert objective(kind, scaled, codes, *as_fitted(found, scaler), 0.1) <= best * (1 + 1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("standardise", [True, False])
def test_a_sketched_spectrum_gives_the_same(kind: Kind, monkeypatch: pytest.MonkeyPatch, *, standardise: bool) -> None:
    x, codes = photos()
    asked = (x, codes, 4, thirds(len(x)))
    expected = solve(HOST, *asked, c=0.1, loss=kind, standardise=standardise)
    monkeypatch.setattr(spectrum_module, "FULL_RANK", 8)
    monkeypatch.setattr(spectrum_module, "SKETCH_RANK", 6)
    assert_alike(solve(ON_TORCH, *asked, c=0.1, loss=kind, standardise=standardise), expected, x)


@pytest.mark.parametrize("kind", KINDS)
def test_few_rows_and_a_prior_give_the_same(kind: Kind) -> None:
    x, codes = photos(n=60, dim=150)
    prior = LinearMap(np.random.default_rng(2).normal(0, 0.01, (150, 4)).astype(np.float32), np.ones(4, np.float32))
    found, expected = (
        solve(each, x, codes, 4, thirds(60), c=0.1, loss=kind, standardise=False, prior=prior)
        for each in (ON_TORCH, HOST)
    )
    assert_alike(found, expected, x)


def test_a_support_of_few_rows_is_sharpened_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    x, codes = photos(n=400, dim=60)
    asked = (x, codes, 4, [np.arange(400)])
    expected = solve(HOST, *asked, c=1.0, loss="squared_hinge", standardise=True)
    monkeypatch.setattr(lbfgs_module, "PATIENCE", 2)
    monkeypatch.setattr(lbfgs_module, "NEWTON_SHARE", 400)
    assert_alike(solve(ON_TORCH, *asked, c=1.0, loss="squared_hinge", standardise=True), expected, x)


def test_labels_side_by_side_give_the_same() -> None:
    x, codes = photos()
    presence = np.stack([codes == 0, codes < 2, codes % 2 == 1], axis=1).astype(np.int8)
    found = []
    for arithmetic in (ON_TORCH, HOST):
        with computing_with(arithmetic):
            found.append(LabelPath(x, presence, thirds(len(x))).solve(0.1))
    assert_alike(found[0], found[1], x)


def test_the_fits_of_an_experiment_run_one_after_another_where_they_were_sent() -> None:
    running: list[int] = []

    def fit() -> tuple[Arithmetic, int]:
        running.append(1)
        found = chosen_arithmetic(), len(running)
        running.pop()
        return found

    with computing_with(ON_TORCH):
        found = run_fits({("lr", number): fit for number in range(4)}, 4, FitCounter(None, 4))
    assert set(found.values()) == {(ON_TORCH, 1)}
    assert chosen_arithmetic() is HOST


class SmallDevice(TorchArithmetic):
    """A device whose memory holds so many decision values, or coefficients, of problems at once."""

    def __init__(self, most_values: int, most_matrix: int = 10**9) -> None:
        super().__init__("cpu")
        self.name, self._most, self._most_matrix = "gpu:0", most_values, most_matrix
        self.sizes: list[int] = []

    def copy(self, values: Array) -> Array:
        self.sizes.append(len(values))
        if values.numel() > self._most:
            message = "CUDA out of memory. Tried to allocate 3.00 GiB\nmore"
            raise torch.OutOfMemoryError(message)
        return super().copy(values)

    def empty(self, shape: tuple[int, int]) -> Array:
        if shape[0] * shape[1] > self._most_matrix:
            message = "CUDA out of memory. Tried to allocate 9.00 GiB"
            raise torch.OutOfMemoryError(message)
        return super().empty(shape)


def test_a_full_device_takes_half_the_problems_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    x, codes = photos()
    asked = {"loss": "squared_hinge", "standardise": True}
    device = SmallDevice(240 * 5)  # five of sixteen problems of 240 rows
    with caplog.at_level(logging.WARNING):
        found = solve(device, x, codes, 4, thirds(len(x)), c=0.1, **asked)
        again = solve(device, x, codes, 4, thirds(len(x)), c=0.1, **asked)
    for each in (found, again):
        assert_alike(each, solve(HOST, x, codes, 4, thirds(len(x)), c=0.1, **asked), x)
    assert [record.getMessage().split(",")[0] for record in caplog.records] == [
        "the memory of gpu:0 is full: 8 problems are solved at once from here on",
        "the memory of gpu:0 is full: 4 problems are solved at once from here on",
    ]
    assert max(device.sizes[device.sizes.index(4) :]) == 4


@pytest.mark.parametrize("device", [SmallDevice(100), SmallDevice(10**9, 1000)], ids=["values", "matrix"])
def test_a_device_that_is_too_small_is_an_error_with_a_way_out(device: SmallDevice) -> None:
    x, codes = photos()
    with pytest.raises(StackError, match=r"memory of gpu:0 is full \(CUDA out of memory.*use --device cpu"):
        solve(device, x, codes, 4, thirds(len(x)), c=0.1, loss="log", standardise=True)


@pytest.mark.parametrize(
    "message",
    [
        "CUDA error: out of memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cusolver error: CUSOLVER_STATUS_ALLOC_FAILED",
    ],
)
def test_a_full_device_is_known_by_the_words_of_every_library(message: str) -> None:
    with pytest.raises(DeviceFullError, match=message.split(" when", maxsplit=1)[0]), ON_TORCH.within_memory():
        raise RuntimeError(message)


@pytest.mark.parametrize(("step", "c", "tol", "max_iter"), [("alone", 100.0, 1e-12, 2), ("unfold", 0.1, 1e-6, 1000)])
def test_a_device_that_is_full_after_the_batches_is_an_error_with_a_way_out(
    monkeypatch: pytest.MonkeyPatch, step: str, c: float, tol: float, max_iter: int
) -> None:
    def fail(*_: object) -> None:
        message = "CUDA out of memory. Tried to allocate 3.00 GiB"
        raise torch.OutOfMemoryError(message)

    x, codes = photos()
    with computing_with(ON_TORCH):
        path = LinearPath(x, codes, 4, thirds(len(x)), loss="log", standardise=True, tol=tol, max_iter=max_iter)
    monkeypatch.setattr(type(path._design), step, fail)
    with pytest.raises(StackError, match=r"memory of cpu is full \(CUDA out of memory.*use --device cpu"):
        path.solve(c)


def test_other_errors_of_a_device_are_no_matter_of_memory() -> None:
    message = "an illegal memory access was encountered"
    with pytest.raises(RuntimeError, match="illegal"), ON_TORCH.within_memory():
        raise RuntimeError(message)


def test_row_space_is_what_few_rows_take() -> None:
    """So that the test of few rows above is one of `RowSpaceDesign`."""
    assert row_space_module.few_rows(np.ones((1, 60), np.bool_), 1, 150)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
@pytest.mark.parametrize("kind", KINDS)
def test_a_gpu_finds_what_numpy_finds(kind: Kind) -> None:
    x, codes = photos(n=2000, dim=300, n_classes=20)
    options = {"loss": kind, "standardise": True}
    found, expected = (
        solve(each, x, codes, 20, thirds(2000), c=0.01, **options) for each in (TorchArithmetic("cuda:0"), HOST)
    )
    assert_alike(found, expected, x)
