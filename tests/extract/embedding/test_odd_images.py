"""What is let in by choice is said: in the report, in the index, in the shards; and nothing else changes."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stackbone.cache import FAILED, OK, FeatureStore
from stackbone.cache.disk.reading import ListedFile
from stackbone.cache.records.provenance import CUT, merged_cut, named_cut
from stackbone.cache.records.shard import read_header
from stackbone.cache.upkeep.compact import compact
from stackbone.extract import ExtractReport, extract, index_dataset, open_dataset
from stackbone.extract.backbones.backbone import Backbone
from stackbone.extract.backbones.weights import random_weights
from stackbone.extract.embedding import predict, recompute
from stackbone.extract.embedding.predict import embed_for
from stackbone.extract.images.opening import FIRST_FRAME
from stackbone.extract.images.thumbnails import thumbnails
from tests.made.engines import BlockMeans
from tests.made.photos import write_photos

LITE = "efficientnet_lite0"
CUT_SHORT = "cut short, with what is missing in grey or black"

Run = Callable[..., ExtractReport]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Four sound images, one cut JPEG, one cut PNG, and one of 20,000 pixels."""
    folder = write_photos(tmp_path / "photos" / "cat", range(4))
    for kind, name in (("JPEG", "cut.jpg"), ("PNG", "cut.png")):
        content = io.BytesIO()
        Image.effect_noise((120, 90), 60).convert("RGB").save(content, kind)
        (folder / name).write_bytes(content.getvalue()[:-400])
    Image.effect_noise((200, 100), 60).save(folder / "large.png")
    return tmp_path / "photos"


@pytest.fixture
def run(store: FeatureStore, photos: Path, counts: dict[str, int]) -> Run:
    def extract_photos(**options: object) -> ExtractReport:
        return extract(open_dataset(photos), LITE, store, random_seed=0, **options)  # type: ignore[arg-type]

    return extract_photos


def reasons(report: ExtractReport) -> dict[str, str]:
    return {Path(path).name: reason for path, reason in zip(report.index.path, report.index.reason, strict=True)}


def test_a_failure_names_the_option_and_the_option_alone_tries_again(
    run: Run, store: FeatureStore, counts: dict[str, int]
) -> None:
    first = run(max_pixels=15_000)
    failed = {Path(path).name: reason for path, reason in first.failures}
    assert sorted(failed) == ["cut.jpg", "cut.png", "large.png"]
    assert failed["cut.jpg"].endswith("; --allow-truncated lets in what is there")
    assert failed["large.png"].endswith("--max-pixels 20000 lets it in")
    assert counts[LITE] == 4

    second = run(allow_truncated=True, max_pixels=19_999)
    assert [Path(path).name for path, _ in second.failures] == ["large.png"]
    assert reasons(second)["cut.jpg"] == CUT_SHORT
    assert second.index.status[second.index.path.index("cat/cut.jpg")] == OK
    assert second.remarks == {CUT_SHORT: 2}
    assert f"2 images: {CUT_SHORT}" in second.lines()
    assert second.to_dict()["remarks"] == {CUT_SHORT: 2}
    assert counts[LITE] == 6

    third = run(max_pixels=20_000)
    assert third.failures == []
    assert third.remarks == {CUT_SHORT: 2}  # known from the run before: nothing was read again
    assert counts[LITE] == 7
    assert run().remarks == {CUT_SHORT: 2}
    assert counts[LITE] == 7
    assert store.dataset("photos").reason == third.index.reason


def test_without_the_option_another_backbone_takes_no_cut_image(run: Run, photos: Path, store: FeatureStore) -> None:
    run(allow_truncated=True)
    report = extract(open_dataset(photos), "efficientnet_lite1", store, random_seed=0)
    assert sorted(Path(path).name for path, _ in report.failures) == ["cut.jpg", "cut.png"]
    assert (report.index.status == FAILED).sum() == 2


@pytest.mark.parametrize("kind", ["same bytes", "after the first was forgotten", "predicted before"])
def test_a_second_dataset_knows_what_was_let_in_for_the_first(
    run: Run, photos: Path, store: FeatureStore, counts: dict[str, int], tmp_path: Path, kind: str
) -> None:
    pages = [Image.effect_noise((40, 30), seed) for seed in (20, 50)]
    pages[0].save(photos / "cat/pages.tif", save_all=True, append_images=pages[1:])
    if kind == "predicted before":
        run()
        held = store.feature_sets()[0]
        specs = {held.id: held.header().spec}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(predict, "find_weights_of", weights_of_tests)
            first = embed_for(specs, open_dataset(photos), store, allow_truncated=True)
        assert [Path(path).name for path, _ in first.remarks] == ["cut.jpg", "cut.png"]
        again = embed_for(specs, open_dataset(photos), store)
        assert (again.remarks, again.failures) == (first.remarks, [])
    else:
        run(allow_truncated=True)
    if kind == "after the first was forgotten":
        (store.root / "datasets" / "photos.h5").unlink()
    n = counts[LITE]
    second = shutil.copytree(photos / "cat", tmp_path / "second")
    report = extract(open_dataset(second), LITE, store, random_seed=0)
    assert counts[LITE] == n
    assert {path: reason for path, reason in reasons(report).items() if reason == CUT_SHORT} == {
        "cut.jpg": CUT_SHORT,
        "cut.png": CUT_SHORT,
    }
    assert reasons(report)["pages.tif"] == ("" if kind == "after the first was forgotten" else FIRST_FRAME)
    assert extract(open_dataset(second), LITE, store, random_seed=0).index.reason == report.index.reason
    assert index_dataset(open_dataset(second, name="third"), store).reason == report.index.reason


def test_what_was_read_before_an_interrupt_is_known_after_it(run: Run, photos: Path, store: FeatureStore) -> None:
    def stop(what: str, done: int, _total: int) -> None:
        if what == "embedding" and done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(allow_truncated=True, on_progress=stop)
    assert run(allow_truncated=True).remarks == {CUT_SHORT: 2}


def test_shards_name_the_cut_images_that_they_hold(run: Run, store: FeatureStore, photos: Path) -> None:
    run()
    report = run(allow_truncated=True, max_pixels=10**9)
    [held] = store.feature_sets()
    found = [header.provenance for _, header in held.read_each(read_header)]
    with_cut = [each for each in found if CUT in each]
    assert len(with_cut) == 1
    assert (with_cut[0]["allow_truncated"], with_cut[0]["max_pixels"]) == ("yes", "1000000000")
    assert all(each["decoding"] == "2" for each in found)
    rows = [report.index.path.index(f"cat/{name}") for name in ("cut.jpg", "cut.png")]
    names = {report.index.image_sha256[row].tobytes().hex()[:16] for row in rows}
    assert set(with_cut[0][CUT].split()) == names

    write_photos(photos / "cat", range(20, 23))
    run()
    compact(held)
    [merged] = [header.provenance for _, header in held.read_each(read_header)]
    assert set(merged[CUT].split()) == names


def test_of_very_many_cut_images_some_are_named() -> None:
    assert named_cut([]) == {}
    many = named_cut(f"{i:064x}"[::-1] for i in range(3000))
    assert len(many[CUT]) < 40_000
    assert many[CUT].endswith(" ...")
    assert merged_cut([many[CUT], named_cut(["f" * 64])[CUT]])[CUT].endswith(" ...")
    assert merged_cut(["b a", "c a"]) == {CUT: "a b c"}


def test_verify_embeds_cut_and_large_images_again(
    run: Run, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(allow_truncated=True)
    monkeypatch.setattr(recompute, "make_engine", lambda *_, **__: BlockMeans())
    monkeypatch.setattr(recompute, "find_weights_of", weights_of_tests)
    [found] = recompute.recompute(store, 10)
    assert (found.n_images, found.problem) == (7, "")


def weights_of_tests(backbones: list[Backbone], _files: object, **_options: object) -> object:
    return {backbone.key: random_weights(0) for backbone in backbones}


def test_a_cut_image_has_a_picture_in_the_report(run: Run) -> None:
    index = run(allow_truncated=True).index
    files = [ListedFile(index.root, path, index.image_sha256[row].tobytes()) for row, path in enumerate(index.path)]
    assert all(isinstance(each, bytes) for each in thumbnails(files, size=32))


def test_an_index_without_features_lets_in_the_same(store: FeatureStore, photos: Path) -> None:
    assert (index_dataset(open_dataset(photos), store).status == FAILED).sum() == 2
    index = index_dataset(open_dataset(photos), store, allow_truncated=True)
    assert index.ok.all()
    assert index.reason.count(CUT_SHORT) == 2


def test_pages_and_ranges_are_said_once_for_all_images(run: Run, photos: Path) -> None:
    pages = [Image.effect_noise((40, 30), seed) for seed in (20, 50)]
    for number in range(3):
        pages[0].resize((40 + number, 30)).save(photos / f"cat/p{number}.tif", save_all=True, append_images=pages[1:])
    Image.fromarray(np.arange(1200, dtype=np.uint16).reshape(30, 40) * 3).save(photos / "cat/deep.png")
    Image.fromarray((np.arange(1200, dtype=np.uint16) * 3).reshape(30, 40)).save(
        photos / "cat/deep-pages.tif", save_all=True, append_images=pages[1:]
    )
    report = run(allow_truncated=True)
    assert report.remarks == {
        "the first of several pages or frames was taken": 4,
        "16-bit samples that hold values of 12 bits, scaled from those": 2,
        CUT_SHORT: 2,
    }
    assert reasons(report)["deep-pages.tif"].count("; ") == 1
