"""CKA, RSA and what others predict, against plain formulas; and matrices that do not fit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr
from sklearn.linear_model import Ridge
from sklearn.model_selection import LeaveOneOut, cross_val_predict

from stackbone.cache import FeatureStore, StackError, UsageError
from stackbone.stack.clustering.reduced import components
from stackbone.stack.exploring.representations import compare as module
from stackbone.stack.exploring.representations.alignment import linear_cka
from stackbone.stack.exploring.representations.compare import compare_backbones
from stackbone.stack.exploring.representations.dissimilarity import correlation_distances, ranks
from stackbone.stack.exploring.representations.redundancy import predicted_shares
from stackbone.stack.models.unlike.novelty import unit_rows
from tests.conftest import MakeCache

Floats = NDArray[np.float32]


def made(n: int, dim: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(1, 2, (n, dim)).astype(np.float32)


def plain_cka(x: Floats, y: Floats) -> float:
    """Return linear CKA by the definition: Gram matrices, doubly centred (Kornblith et al. 2019, equation 3)."""
    n = len(x)
    centring = np.eye(n) - 1 / n
    k, m = (centring @ (each.astype(float) @ each.T.astype(float)) @ centring for each in (x, y))
    return float((k * m).sum() / np.sqrt((k * k).sum() * (m * m).sum()))


@pytest.mark.parametrize(("n", "dims"), [(60, (5, 9)), (20, (50, 7)), (30, (40, 64))])
def test_cka_is_that_of_centred_gram_matrices(n: int, dims: tuple[int, int]) -> None:
    x, y = made(n, dims[0]), made(n, dims[1], 1)
    found = linear_cka([x, y])
    assert found[0, 1] == found[1, 0] == pytest.approx(plain_cka(x, y), abs=1e-9)
    np.testing.assert_allclose(np.diag(found), 1)


def test_cka_does_not_change_where_features_are_turned_scaled_or_moved() -> None:
    x = made(80, 6)
    turned = (3 * x @ np.linalg.qr(np.random.default_rng(1).normal(size=(6, 6)))[0] + 5).astype(np.float32)
    assert linear_cka([x, turned])[0, 1] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("dim", [3, 20])
def test_dissimilarities_are_correlation_distances(dim: int) -> None:
    x = made(25, dim)
    np.testing.assert_allclose(correlation_distances(x), pdist(x.astype(float), "correlation"), atol=1e-9)


def test_products_of_ranks_are_spearman_correlations_ties_included() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 9, 200).astype(float), rng.integers(0, 9, 200).astype(float)
    assert float(ranks(one) @ ranks(other)) == pytest.approx(spearmanr(one, other)[0], abs=1e-12)


def add(store: FeatureStore, name: str, x: Floats) -> None:
    """Add features of the store's dataset."""
    store.add_features(name, store.dataset().image_sha256, x, {"made": "in a test"})


@pytest.fixture
def store(tmp_path: Path, make_cache: MakeCache) -> FeatureStore:
    """Return a cache of 120 images with one backbone of 12 columns."""
    return make_cache(tmp_path / "features", ["cat", "dog", "emu"] * 40, backbones=["first"], dim=12)


def first(store: FeatureStore) -> Floats:
    (found,) = [each for each in store.feature_sets() if each.backbone == "first"]
    return found.load(store.dataset().image_sha256)


def test_the_table_has_the_numbers_of_the_formulas(store: FeatureStore) -> None:
    x, y = first(store), made(120, 30)
    add(store, "other", y)
    found = compare_backbones(store)
    assert found.cka[0, 1] == pytest.approx(plain_cka(x, y), abs=1e-6)
    wanted = spearmanr(pdist(x.astype(float), "correlation"), pdist(y.astype(float), "correlation"))[0]
    assert found.rsa[0, 1] == pytest.approx(wanted, abs=1e-6)
    columns = found.columns()
    assert (columns["backbone"], columns["other"]) == (["first"], ["other"])
    assert (columns["cka"], columns["rsa"]) == ([found.cka[0, 1]], [found.rsa[0, 1]])


@pytest.mark.parametrize("kind", ["scaled", "turned", "some noise", "part"])
def test_a_backbone_that_is_linear_in_another_is_redundant(store: FeatureStore, kind: str) -> None:
    x = first(store)
    rng = np.random.default_rng(3)
    x_unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    features = {
        "scaled": 2 * x,
        "turned": x @ np.linalg.qr(rng.normal(size=(12, 12)))[0],
        "some noise": x_unit + 0.01 * rng.normal(size=x.shape),
        "part": np.hstack([x, np.zeros((120, 3))]),
    }[kind]
    add(store, "again", features.astype(np.float32))
    add(store, "own", made(120, 12, 5))
    found = compare_backbones(store)
    assert len(found.redundant) == 1, "of two that are alike one is redundant"
    (each,) = found.redundant
    assert each.name in ("again", "first")
    assert set(each.others) == {"again", "first", "own"} - {each.name}
    assert each.sentence.startswith(f"{each.name} adds nothing beyond {each.others[0]} and own: they predict ")
    assert found.predicted["own"] < 0.5


def test_a_backbone_that_two_others_make_up_is_redundant() -> None:
    one, other = made(400, 10), made(400, 10, 1)
    lengths = [np.linalg.norm(each, axis=1, keepdims=True) for each in (one, other)]
    both = np.hstack([one / lengths[0], other / lengths[1]])
    shares, redundant = predicted_shares({"one": one, "other": other, "both": both}, 0)
    assert [each.name for each in redundant][:1] == ["both"]
    assert redundant[0].others == ("one", "other")
    assert len(redundant) == 1, "each of the two is its own again"
    assert shares["both"] > 0.95


@pytest.mark.parametrize(("n", "signal", "differs"), [(60, 0.0, False), (200, 3.0, True), (120, 2.0, True)])
def test_the_penalty_is_chosen_on_the_training_half_alone(n: int, signal: float, *, differs: bool) -> None:
    one, other = made(n, 20), made(n, 3, 1)
    other += np.float32(signal) * one[:, :3]
    found = predicted_shares({"one": one, "other": other}, 0)[0]["other"]
    x, y = (components(unit_rows(each), 128, 0).astype(np.float64) for each in (one, other))
    shuffled = np.random.default_rng(0).permutation(n)
    shares, peeped = [], []
    for train, test in ((shuffled[: n // 2], shuffled[n // 2 :]), (shuffled[n // 2 :], shuffled[: n // 2])):
        scale = np.square(x[train] - x[train].mean(axis=0)).sum(axis=0).mean()
        alphas = [scale * 10.0**exponent for exponent in range(-5, 1)]
        errors = []
        for alpha in alphas:
            left_out = cross_val_predict(Ridge(alpha=alpha), x[train], y[train], cv=LeaveOneOut())
            errors.append(np.square(y[train] - left_out).sum())
        left = [y[test] - Ridge(alpha=alpha).fit(x[train], y[train]).predict(x[test]) for alpha in alphas]
        of_each = [1 - np.square(each).sum() / np.square(y[test] - y[train].mean(axis=0)).sum() for each in left]
        shares.append(of_each[int(np.argmin(errors))])
        peeped.append(max(of_each))
    assert found == pytest.approx(np.mean(shares), abs=1e-6)
    assert (np.mean(peeped) > np.mean(shares) + 1e-5) == differs, "a choice that looks at the test half shows"


def test_of_two_that_are_alike_the_sentence_names_one(store: FeatureStore) -> None:
    add(store, "again", 2 * first(store))
    (each,) = compare_backbones(store).redundant
    assert each.sentence.startswith(f"{each.name} adds nothing beyond {each.others[0]}: it predicts ")


def test_backbones_that_differ_are_not_redundant(store: FeatureStore) -> None:
    add(store, "other", made(120, 12, 5))
    found = compare_backbones(store)
    assert found.redundant == []
    assert set(found.predicted) == {"first", "other"}


def save(file: Path, matrix: object, names: Sequence[str] | None = None) -> Path:
    values = np.asarray(matrix, float)
    if file.suffix == ".npy":
        np.save(file, values)
    else:
        rows = [",".join(map(repr, row)) for row in values.tolist()]
        if names:
            rows = [f"path,{','.join(names)}", *(f"{name},{row}" for name, row in zip(names, rows, strict=True))]
        file.write_text("\n".join(rows) + "\n")
    return file


def square(condensed: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    found = np.zeros((n, n))
    found[np.triu_indices(n, 1)] = condensed
    return found + found.T


@pytest.mark.parametrize("name", ["m.npy", "m.csv"])
def test_a_given_matrix_is_compared_in_the_order_of_the_dataset(store: FeatureStore, tmp_path: Path, name: str) -> None:
    x, rng = first(store), np.random.default_rng(0)
    wanted = pdist(x.astype(float), "correlation")
    noisy = wanted + rng.normal(0, 0.2, len(wanted))
    same = compare_backbones(store, against=save(tmp_path / name, square(wanted, 120)))
    assert same.agreement["first"] == pytest.approx(1)
    assert (same.against, same.columns()["other"], same.columns()["cka"]) == (name, [name], [None])
    found = compare_backbones(store, against=save(tmp_path / name, square(noisy, 120)))
    assert found.agreement["first"] == pytest.approx(spearmanr(wanted, noisy)[0], abs=1e-9)


def test_a_table_with_paths_may_have_some_images_in_any_order(store: FeatureStore, tmp_path: Path) -> None:
    rows = np.random.default_rng(0).permutation(120)[:40]
    wanted = square(pdist(first(store)[rows].astype(float), "correlation"), 40)
    paths = [store.dataset().path[row] for row in rows]
    found = compare_backbones(store, against=save(tmp_path / "m.csv", wanted, paths))
    assert found.agreement["first"] == pytest.approx(1)
    assert found.n_paired == 40


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_columns_in_another_order_are_found_by_their_titles(store: FeatureStore, tmp_path: Path, seed: int) -> None:
    rows = np.random.default_rng(0).permutation(120)[:40]
    wanted = square(pdist(first(store)[rows].astype(float), "correlation"), 40)
    paths = [store.dataset().path[row] for row in rows]
    order = np.random.default_rng(seed).permutation(40)
    table = pd.DataFrame(wanted, index=pd.Index(paths, name="path"), columns=paths).iloc[:, order]
    table.to_csv(tmp_path / "m.csv")
    assert compare_backbones(store, against=tmp_path / "m.csv").agreement["first"] == pytest.approx(1)


@pytest.mark.parametrize("content", ["path,a,b,c\n", "path\n", "image,cat/0.jpg\n\n"])
def test_a_header_alone_is_told(store: FeatureStore, tmp_path: Path, content: str) -> None:
    (tmp_path / "m.csv").write_text(content)
    with pytest.raises(StackError, match="it has a header, and no row below it"):
        compare_backbones(store, against=tmp_path / "m.csv")


@pytest.mark.parametrize("most", [30, 119])
def test_of_many_images_a_sample_is_ranked_and_said(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(module, "MOST_PAIRED", most)
    matrix = square(pdist(first(store).astype(float), "correlation"), 120)
    found = compare_backbones(store, against=save(tmp_path / "m.npy", matrix))
    assert found.agreement["first"] == pytest.approx(1)
    assert found.n_paired == most
    assert any(f"RSA is measured on {most} images, drawn at random" in note for note in found.notes)


def test_images_whose_features_are_all_equal_are_left_out_and_counted(store: FeatureStore) -> None:
    x = made(120, 6)
    x[7] = 0.5
    add(store, "flat", x)
    found = compare_backbones(store)
    assert np.isfinite(found.rsa).all()
    assert found.n_paired == 119
    assert any("1 image whose features are all equal in a backbone, such as 'dog/7.jpg'" in n for n in found.notes)


GOOD = square(np.random.default_rng(0).uniform(0.1, 1, 120 * 119 // 2), 120)
LOPSIDED = GOOD.copy()
LOPSIDED[3, 5] += 0.5
HOLED = GOOD.copy()
HOLED[2, 1] = HOLED[1, 2] = np.nan


@pytest.mark.parametrize("ending", [".npy", ".csv"])
@pytest.mark.parametrize(
    ("matrix", "said"),
    [
        (GOOD[:100, :100], "has 100 rows, and the dataset 120 images"),
        (GOOD[:, :100], r"shape \(120, 100\)"),
        (LOPSIDED, "not symmetric: row 4, column 6"),
        (HOLED, "holds nan in row 2, column 3"),
        (1 - GOOD, "holds similarities"),
        (GOOD[:2, :2], "is of 2 images"),
    ],
)
def test_a_matrix_that_does_not_serve_is_refused(
    store: FeatureStore, tmp_path: Path, matrix: NDArray[np.float64], said: str, ending: str
) -> None:
    with pytest.raises(StackError, match=said):
        compare_backbones(store, against=save(tmp_path / f"m{ending}", matrix))


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", "0,1\n1\n", "path,x\n", "\x00\x01", "0;1\n1;0\n"])
def test_a_table_without_a_matrix_is_refused(store: FeatureStore, tmp_path: Path, content: str) -> None:
    (tmp_path / "m.csv").write_text(content)
    with pytest.raises(StackError, match=r"m\.csv (holds no matrix of numbers|is of|holds an array)"):
        compare_backbones(store, against=tmp_path / "m.csv")


def test_a_pickle_is_never_loaded(store: FeatureStore, tmp_path: Path) -> None:
    np.save(tmp_path / "m.npy", np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(StackError, match="holds no matrix of numbers"):
        compare_backbones(store, against=tmp_path / "m.npy")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["cat/0.jpg", "dog/1.jpg", "ape/2.jpg"], "1 image that the dataset has not, such as 'ape/2.jpg'"),
        (["cat/0.jpg", "dog/1.jpg", "cat/0.jpg"], "names 'cat/0.jpg' twice"),
    ],
)
def test_names_that_do_not_fit_are_refused(store: FeatureStore, tmp_path: Path, names: list[str], said: str) -> None:
    with pytest.raises(StackError, match=said):
        compare_backbones(store, against=save(tmp_path / "m.csv", GOOD[:3, :3], names))


def test_other_files_are_refused(store: FeatureStore, tmp_path: Path) -> None:
    for name, error in (("m.txt", UsageError), ("absent.npy", StackError)):
        with pytest.raises(error, match=name):
            compare_backbones(store, against=tmp_path / name)


def test_one_backbone_alone_is_told(store: FeatureStore) -> None:
    with pytest.raises(StackError, match="there is one feature set to compare, first, and it takes two"):
        compare_backbones(store)


def test_a_few_images_tell_nothing_of_what_is_redundant(tmp_path: Path, make_cache: MakeCache) -> None:
    found = compare_backbones(make_cache(tmp_path, ["cat", "dog"] * 10))
    assert found.predicted == {}
    assert "whether a backbone adds anything is not told of fewer than 50 images" in found.notes
    with pytest.raises(StackError, match="2 images: to compare pairs takes three or more"):
        compare_backbones(make_cache(tmp_path / "two", ["cat", "dog"]))
