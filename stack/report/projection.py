"""Features in two dimensions, for people to see which images lie together and which stray."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from stackbone.cache import usable_cores
from stackbone.cache.choices import check_choice
from stackbone.cache.errors import UsageError

PROJECTIONS = ("auto", "pca", "tsne", "umap")
NEAREST = 10
"""Neighbours that a plane should keep."""

_LEAST_NEIGHBOURS = 15  # UMAP's own number; with no more images than this there is nothing to embed
_BEFORE_NEIGHBOURS = 50  # dimensions in which neighbours are sought
_POWER = 7  # iterations: the plane is then that of the full decomposition to several digits
_DIGITS = 4
_MODERATE = 5_000  # images; t-SNE takes some 12 s of a core for as many, and of more it takes minutes
_STEPS = 500  # of the descent: from the principal components, twice as many change little
_PERPLEXITY = 30
_ASKED = 500  # images whose neighbours are looked for, of more


@dataclass(frozen=True, eq=False)
class Projection:
    """Where each image lies on a plane.

    Attributes
    ----------
    method : str
        ``PCA``, ``t-SNE`` or ``UMAP``.
    points : NDArray[np.float64]
        ``(n, 2)``, without a unit; rounded to four digits of the widest extent.
    explained : tuple of float, optional
        Share of the variance that each axis of a PCA holds, 0 to 1; else None.
    kept : float, optional
        Share of the 10 nearest neighbours of each image that are so on the plane too, 0 to 1; None where there are no
        more images than these.
    """

    method: str
    points: NDArray[np.float64]
    explained: tuple[float, float] | None
    kept: float | None = None


def choose_projection(asked: str, n_images: int = 0) -> str:
    """Return ``pca``, ``tsne`` or ``umap``.

    For ``auto``, UMAP where umap-learn is installed, else t-SNE of up to 5,000 images, else PCA.

    Raises
    ------
    UsageError
        If the name is unknown, or UMAP was asked for and is not installed.
    """
    check_choice("projection", asked, PROJECTIONS)
    installed = has_umap()
    if asked == "auto":
        return "umap" if installed else "tsne" if n_images <= _MODERATE else "pca"
    if asked == "umap" and not installed:
        message = (
            "the projection umap needs umap-learn, which is not installed. Run `pip install umap-learn`, or use the "
            "projection tsne"
        )
        raise UsageError(message)
    return asked


def has_umap() -> bool:
    """Return whether umap-learn is installed; another package, or what is left of this one, has the name umap too."""
    try:
        return bool(version("umap-learn"))
    except PackageNotFoundError:
        return False


def project(x: NDArray[np.float32], method: str = "pca", seed: int = 0) -> Projection:
    """Lay features out on a plane; the same features and seed give the same plane.

    PCA by randomised subspace iteration (Halko, Martinsson & Tropp 2011, SIAM Review 53(2), algorithm 4.4), each
    axis turned so that its largest loading is positive. t-SNE (van der Maaten & Hinton 2008, JMLR 9; from the principal
    components, as Kobak & Berens 2019, Nature Communications 10:5416) and UMAP (McInnes, Healy & Melville 2018, arXiv
    1802.03426) on the first 50 principal components.

    Parameters
    ----------
    x : NDArray[np.float32]
        ``(n, dim)`` finite features.
    method : str
        ``pca``, ``tsne`` or ``umap``; the former also where there are too few images to have neighbours.
    seed : int
        Of the random start.
    """
    if method != "pca" and len(x) > _LEAST_NEIGHBOURS + 1 and np.ptp(x, axis=0).any():
        name, embed = ("UMAP", _umap) if method == "umap" else ("t-SNE", _tsne)
        reduced, _ = _principal(x, min(_BEFORE_NEIGHBOURS, *x.shape), seed)
        points = embed(reduced, seed)
        return Projection(name, _round(points), None, _kept(x, points, seed))
    points, explained = _principal(x, 2, seed)
    shares = (float(explained[0]), float(explained[1]))
    return Projection("PCA", _round(points), shares, _kept(x, points, seed))


def _principal(x: NDArray[np.float32], n: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return ``(len(x), n)`` principal components and the ``(n,)`` shares of the variance, zero where there is none."""
    points, shares = np.zeros((len(x), n), np.float32), np.zeros(n, np.float32)
    found = min(n, *x.shape)
    if np.ptp(x, axis=0).any():
        pca = PCA(found, svd_solver="randomized", iterated_power=_POWER, random_state=seed)
        points[:, :found] = pca.fit_transform(x)
        shares[:found] = pca.explained_variance_ratio_
    return points, shares


def _tsne(reduced: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    from sklearn.manifold import TSNE

    perplexity = min(_PERPLEXITY, (len(reduced) - 1) / 3)
    found = TSNE(
        perplexity=perplexity, init="pca", max_iter=_STEPS, random_state=seed, n_jobs=usable_cores()
    ).fit_transform(reduced)
    return np.asarray(found, np.float32)


def _kept(x: NDArray[np.float32], points: NDArray[np.float32], seed: int) -> float | None:
    """Return which share of the nearest neighbours a plane keeps, over all images or 500 of them."""
    n = len(x)
    if n <= NEAREST + 1:
        return None
    asked = np.arange(n)
    if n > _ASKED:
        asked = np.random.default_rng(seed).choice(n, _ASKED, replace=False)
    before, after = _nearest(x, asked), _nearest(points, asked)
    return float(np.mean([len(np.intersect1d(a, b)) / NEAREST for a, b in zip(before, after, strict=True)]))


def _nearest(x: NDArray[np.float32], asked: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return ``(n_asked, 10)`` rows of the nearest others, by the Euclidean distance."""
    apart = (x**2).sum(axis=1) - 2 * (x[asked] @ x.T)
    apart[np.arange(len(asked)), asked] = np.inf
    return np.argpartition(apart, NEAREST, axis=1)[:, :NEAREST].astype(np.int64)


def _umap(reduced: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    with warnings.catch_warnings():
        # It warns about its own dependencies, and that a seed costs parallelism.
        warnings.simplefilter("ignore")
        from umap import UMAP

        return np.asarray(UMAP(n_neighbors=_LEAST_NEIGHBOURS, random_state=seed).fit_transform(reduced), np.float32)


def _round(points: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return points without digits that no screen shows, which makes a report of many images smaller."""
    exact = points.astype(np.float64)
    extent = float(np.abs(exact).max(initial=0.0))
    return exact if extent == 0 else np.round(exact, _DIGITS - int(np.ceil(np.log10(extent))))
