"""Views are feature sets of their own, made of one decoded picture by one network, whatever order and threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stackbone.cache import FeatureStore, UsageError
from stackbone.cache.records.feature_name import POOLED
from stackbone.cache.records.views import expand_views
from stackbone.extract import ExtractReport, open_dataset
from stackbone.extract.backbones.backbone import BACKBONES, Backbone
from stackbone.extract.backbones.outputs import OutputForm
from stackbone.extract.backbones.weights import random_weights
from stackbone.extract.embedding import pipeline, plan, predict
from stackbone.extract.embedding import run as run_module
from stackbone.extract.images.decode import decode, decoded
from stackbone.extract.views.views import make_views
from tests.made.engines import block_means
from tests.made.photos import write_photos

NAME = "efficientnet_lite0"
LITES = f"{NAME},efficientnet_lite1"
VIEWS = "ten-crop,augment:2"


class Means:
    """An engine of `block_means`, times k for the k-th output; it counts what it takes."""

    def __init__(self, batches: list[int], outputs: Sequence[str]) -> None:
        self.batch_size, self.batches, self.is_bound_to_batch = 5, batches, False
        self.provenance = {"engine": "means", "device": "cpu"}
        self.forms = [OutputForm(output, 192) for output in outputs]

    def embed(self, pixels: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        self.batches.append(len(pixels))
        return [block_means(pixels) * np.float32(place) for place in range(1, len(self.forms) + 1)]


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[list[int]]]:
    """Replace the engines, and return the sizes of the batches of each engine that was made, by backbone."""
    made: dict[str, list[list[int]]] = {}

    def make(backbone: Backbone, *_: object, outputs: Sequence[str] = (POOLED,)) -> Means:
        made.setdefault(backbone.name, []).append([])
        return Means(made[backbone.name][-1], outputs)

    monkeypatch.setattr(plan, "make_engine", make)
    return made


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "photos" / "cat", range(7)).parent


Run = Callable[..., ExtractReport]


def run(photos: Path, store: FeatureStore, backbones: str = NAME, **asked: Any) -> ExtractReport:  # noqa: ANN401
    return run_module.extract(open_dataset(photos), backbones, store, random_seed=0, **asked)


def check_rows(store: FeatureStore, report: ExtractReport, names: Sequence[str], views: Sequence[str]) -> None:
    """Compare every feature with that of its view made by itself."""
    index = report.index
    for name in names:
        for view in views:
            (found,) = [s for s in store.feature_sets() if (s.name.backbone, s.name.view) == (name, view)]
            assert found.header().spec.view == view
            rows = found.load(index.image_sha256)
            for path, digest, row in zip(index.path, index.image_sha256, rows, strict=True):
                shown = decode((Path(index.root) / path).read_bytes())
                pixels = make_views(shown, BACKBONES[name].transform, [view], digest.tobytes())[view]
                np.testing.assert_array_equal(row, block_means(pixels[None])[0])


@pytest.mark.parametrize("workers", [1, 4])
def test_every_row_is_its_views_own(
    photos: Path, store: FeatureStore, batches: dict[str, list[list[int]]], workers: int
) -> None:
    report = run(photos, store, LITES, views=VIEWS, workers=workers)
    views = expand_views(VIEWS)
    check_rows(store, report, LITES.split(","), views)
    assert len(store.feature_sets()) == 2 * len(views)
    for sizes in batches.values():
        assert [sum(each) for each in sizes] == [7 * len(views)]  # one engine, whose batches mix views
        assert set(sizes[0][:-1]) == {5}


def test_a_picture_is_decoded_once_for_all_views_of_all_backbones(
    photos: Path, store: FeatureStore, batches: dict[str, list[list[int]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    n = []

    def count(*args: Any, **options: Any) -> Any:  # noqa: ANN401 - passed on
        n.append(1)
        return decoded(*args, **options)

    monkeypatch.setattr(pipeline, "decoded", count)
    report = run(photos, store, LITES, views="plain,hflip,augment:3")
    assert len(n) == report.n_decoded == 7
    assert set(batches) == set(LITES.split(","))


def test_the_plain_view_keeps_its_id_and_more_views_later_compute_only_themselves(
    photos: Path, store: FeatureStore, batches: dict[str, list[list[int]]]
) -> None:
    before = run(photos, store)
    (plain,) = store.feature_sets()
    run(photos, store, views="plain,augment:2")
    assert [each.feature_set for each in before.backbones] == [plain.id]
    assert plain.id in {each.id for each in store.feature_sets()}
    report = run(photos, store, views="plain,augment:4,hflip")
    assert [sum(each) for each in batches[NAME]] == [7, 14, 21]
    assert {each.backbone: each.n_embedded for each in report.backbones} == {
        NAME: 0,
        f"{NAME}~augment0": 0,
        f"{NAME}~augment1": 0,
        f"{NAME}~augment2": 7,
        f"{NAME}~augment3": 7,
        f"{NAME}~hflip": 7,
    }
    run(photos, store, views="plain,augment:4,hflip")
    assert len(batches[NAME]) == 3


def test_images_that_come_later_get_every_view(
    photos: Path, store: FeatureStore, batches: dict[str, list[list[int]]]
) -> None:
    run(photos, store, views="hflip,augment:1")
    write_photos(photos / "dog", range(7, 10))
    report = run(photos, store, views="plain,hflip,augment:1")
    check_rows(store, report, [NAME], ["plain", "hflip", "augment0"])
    assert sum(batches[NAME][1]) == 10 + 3 + 3


def test_views_and_outputs_multiply(photos: Path, store: FeatureStore, batches: dict[str, list[list[int]]]) -> None:
    report = run(photos, store, f"{NAME}@max~hflip,{NAME}@max,{NAME}", views="plain,augment:1")
    lines = "\n".join(report.lines())
    assert lines.count("in the same pass") == 2  # NAME beside its @max, plain and augment0
    assert lines.count("by the same network") == 2  # the passes of the two other views
    names = {each.backbone for each in report.backbones}
    assert names == {f"{NAME}@max~hflip", f"{NAME}@max", f"{NAME}@max~augment0", NAME, f"{NAME}~augment0"}
    sets = {each.backbone: each.load(report.index.image_sha256) for each in store.feature_sets()}
    ratio = sets[f"{NAME}@max~augment0"] / sets[f"{NAME}~augment0"]
    np.testing.assert_allclose(ratio, ratio[0, 0])  # of one pass of the same pixels
    assert not np.allclose(sets[f"{NAME}@max~hflip"], sets[f"{NAME}@max"])
    assert [sum(each) for each in batches[NAME]] == [3 * 7]


def test_prediction_embeds_the_views_that_it_is_asked_for(
    photos: Path, store: FeatureStore, batches: dict[str, list[list[int]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    report = run(photos, store, views="hflip,augment:1")
    specs = {each.id: each.header().spec for each in store.feature_sets()}
    monkeypatch.setattr(
        predict,
        "checked_weights",
        lambda lacking, made, *_: dict.fromkeys((each.key for each in made.values()), random_weights(0)),
    )
    new = FeatureStore(store.root.parent / "new")
    embedded = predict.embed_for(specs, open_dataset(photos), new)
    assert embedded.n_embedded == 14
    assert len(batches[NAME]) == 2
    for each in store.feature_sets():
        np.testing.assert_array_equal(embedded.features[each.id], each.load(report.index.image_sha256))


@pytest.mark.parametrize(
    ("backbones", "views", "said"),
    [
        (NAME, "hflop", "did you mean 'hflip'?"),
        (f"{NAME}~rotated", None, "unknown view 'rotated'"),
        (NAME, "augment:0", "expected a number from 1"),
        (NAME, "", "no view was named"),
    ],
)
def test_unknown_views_are_refused_before_anything_is_read(
    photos: Path, store: FeatureStore, backbones: str, views: str | None, said: str
) -> None:
    with pytest.raises(UsageError) as refused:
        run(photos, store, backbones, views=views)
    assert said in str(refused.value)
    assert not store.root.exists()
