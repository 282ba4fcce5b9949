"""Features on a plane: scikit-learn's own principal components, the same every time, UMAP where it is asked for."""

import sys
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from stackbone.cache import UsageError
from stackbone.stack.report.projection import choose_projection, has_umap, project


def test_pca_is_the_exact_one_to_the_digits_shown(digits: tuple[NDArray[np.float32], NDArray[np.int64]]) -> None:
    x = digits[0]
    exact = PCA(2, svd_solver="full").fit(x.astype(np.float64))
    found = project(x)
    assert found.method == "PCA"
    np.testing.assert_allclose(found.points, exact.transform(x), atol=0.01)  # of an extent of about 40
    assert found.explained == pytest.approx(exact.explained_variance_ratio_, abs=1e-4)


def test_the_same_features_give_the_same_plane_whatever_the_order_of_rows_or_sign() -> None:
    x = np.random.default_rng(0).normal(size=(60, 30)).astype(np.float32) * np.linspace(3, 1, 30, dtype=np.float32)
    np.testing.assert_array_equal(project(x).points, project(x).points)
    order = np.random.default_rng(1).permutation(60)
    np.testing.assert_allclose(project(x[order]).points, project(x).points[order], atol=2e-3)


def test_points_have_four_digits_of_the_extent() -> None:
    x = np.random.default_rng(0).normal(size=(50, 5)).astype(np.float32)
    for scale, decimals in ((1e3, 0), (1.0, 3), (1e-3, 6)):
        points = project(x * np.float32(scale)).points
        np.testing.assert_array_equal(points, np.round(points, decimals))
        assert len(np.unique(points)) > 80


@pytest.mark.parametrize("shape", [(1, 5), (2, 5), (7, 1), (20, 4)])
def test_features_without_a_second_direction_lie_on_a_line(shape: tuple[int, int]) -> None:
    x = np.outer(np.arange(shape[0]), np.ones(shape[1])).astype(np.float32)
    found = project(x)
    assert found.points.shape == (shape[0], 2)
    np.testing.assert_allclose(found.points[:, 1], 0, atol=1e-4)
    assert found.explained is not None
    assert sum(found.explained) == pytest.approx(1.0 if shape[0] > 1 else 0.0)


def test_equal_features_are_one_point() -> None:
    found = project(np.ones((5, 3), np.float32))
    np.testing.assert_array_equal(found.points, np.zeros((5, 2)))
    assert found.explained == (0.0, 0.0)


@pytest.fixture
def no_umap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stackbone.stack.report.projection.has_umap", lambda: False)


@pytest.fixture
def pretended_umap(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Install a stand-in that returns the first two columns; the shapes it is given are listed."""
    shapes: list[tuple[int, ...]] = []

    class Umap:
        def __init__(self, *, n_neighbors: int, random_state: int) -> None:
            assert (n_neighbors, random_state) == (15, 7)

        def fit_transform(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
            shapes.append(x.shape)
            return x[:, :2]

    module = ModuleType("umap")
    module.__dict__["UMAP"] = Umap
    monkeypatch.setitem(sys.modules, "umap", module)
    monkeypatch.setattr("stackbone.stack.report.projection.has_umap", lambda: True)
    return shapes


@pytest.mark.usefixtures("no_umap")
def test_without_umap_auto_is_tsne_and_umap_is_refused_with_the_way_to_get_it() -> None:
    assert [choose_projection("auto", n) for n in (30, 5_000, 5_001)] == ["tsne", "tsne", "pca"]
    assert choose_projection("pca") == "pca"
    with pytest.raises(UsageError, match="pip install umap-learn"):
        choose_projection("umap")


def test_unknown_projections_are_refused() -> None:
    with pytest.raises(UsageError, match=r"unknown projection 'som'.*umap"):
        choose_projection("som")


def test_tsne_keeps_clusters_apart_and_repeats_itself() -> None:
    codes = np.arange(60) % 3
    x = (np.eye(3)[codes] * 20 + np.random.default_rng(0).normal(size=(60, 3))).astype(np.float32)
    found = project(x, "tsne")
    assert (found.method, found.explained) == ("t-SNE", None)
    np.testing.assert_array_equal(found.points, project(x, "tsne").points)
    centres = np.stack([found.points[codes == code].mean(axis=0) for code in range(3)])
    nearest = np.linalg.norm(found.points[:, None] - centres, axis=2).argmin(axis=1)
    np.testing.assert_array_equal(nearest, codes)


@pytest.mark.parametrize("n", [30, 400, 900])
def test_what_a_plane_keeps_is_the_share_of_nearest_neighbours(n: int) -> None:
    rng = np.random.default_rng(0)
    flat = np.zeros((n, 6), np.float32)
    flat[:, :2] = rng.normal(size=(n, 2))
    assert project(flat).kept == pytest.approx(1, abs=0.01), "a plane keeps all of what is a plane"
    kept = project(rng.normal(size=(n, 40)).astype(np.float32)).kept
    assert kept is not None
    assert 10 / n < kept + 0.02 < 0.8, "of noise in many dimensions little"


@pytest.mark.parametrize("n", [1, 5, 11])
def test_of_few_images_nothing_is_said_of_neighbours(n: int) -> None:
    assert project(np.random.default_rng(0).normal(size=(n, 6)).astype(np.float32)).kept is None


def test_umap_sees_fifty_components(pretended_umap: list[tuple[int, ...]]) -> None:
    assert choose_projection("auto") == choose_projection("umap") == "umap"
    x = np.random.default_rng(0).normal(size=(80, 60)).astype(np.float32)
    found = project(x, "umap", seed=7)
    assert (found.method, found.explained, pretended_umap) == ("UMAP", None, [(80, 50)])
    np.testing.assert_allclose(found.points, project(x, seed=7).points, atol=0.2)


def test_too_few_images_for_neighbours_get_their_components(pretended_umap: list[tuple[int, ...]]) -> None:
    x = np.random.default_rng(0).normal(size=(16, 6)).astype(np.float32)
    assert project(x, "umap").method == "PCA"
    assert pretended_umap == []


@pytest.mark.slow
@pytest.mark.skipif(not has_umap(), reason="pip install umap-learn")
def test_umap_keeps_clusters_apart_and_repeats_itself() -> None:
    codes = np.arange(60) % 3
    x = (np.eye(3)[codes] * 20 + np.random.default_rng(0).normal(size=(60, 3))).astype(np.float32)
    found = project(x, "umap")
    assert found.method == "UMAP"
    np.testing.assert_array_equal(found.points, project(x, "umap").points)
    centres = np.stack([found.points[codes == code].mean(axis=0) for code in range(3)])
    nearest = np.linalg.norm(found.points[:, None] - centres, axis=2).argmin(axis=1)
    np.testing.assert_array_equal(nearest, codes)
