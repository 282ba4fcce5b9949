"""`extract` computes what the cache lacks and nothing else, whatever was renamed, moved, added or broken meanwhile."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from stackbone.cache import CacheError, CorruptFileError, FeatureStore, ImageError, UsageError, WeightsError
from stackbone.cache.records.indexes.index_file import index_path, read_index
from stackbone.cache.records.indexes.listed import Listed, Skipped
from stackbone.cache.upkeep.summary import summarise
from stackbone.cache.upkeep.verify import verify
from stackbone.extract import ExtractReport, open_dataset
from stackbone.extract.backbones.backbone import BACKBONES
from stackbone.extract.backbones.weights import Weights, find_weights, random_weights
from stackbone.extract.embedding import pipeline, plan, sizes
from stackbone.extract.embedding import run as run_module
from stackbone.extract.embedding.indexing import preview
from stackbone.extract.engines.contract import Engine
from stackbone.extract.engines.engine import make_engine
from stackbone.extract.images.budget import DecodingBudget
from stackbone.extract.images.decode import apply_transform, decode, decoded
from stackbone.extract.steering_files import choice
from tests.made.caches import on_disk
from tests.made.checkout import ROOT
from tests.made.engines import BlockMeans
from tests.made.photos import write_photos

LITES = "efficientnet_lite0,efficientnet_lite1"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twelve images in two class folders."""
    write_photos(tmp_path / "photos" / "cat", range(6))
    write_photos(tmp_path / "photos" / "dog", range(6, 12))
    return tmp_path / "photos"


Run = Callable[..., ExtractReport]


@pytest.fixture
def run(store: FeatureStore) -> Run:
    """Extract a folder with random weights."""

    def extract_folder(
        folder: Path,
        backbones: str = "efficientnet_lite0",
        *,
        name: str | None = None,
        retry_failed: bool = False,
        workers: int | None = None,
        on_progress: Callable[[str, int, int], None] | None = None,
    ) -> ExtractReport:
        return run_module.extract(
            open_dataset(folder, name=name),
            backbones,
            store,
            random_seed=0,
            retry_failed=retry_failed,
            workers=workers,
            on_progress=on_progress,
        )

    return extract_folder


# Nothing is computed twice


def test_a_second_run_computes_nothing(photos: Path, run: Run, counts: dict[str, int]) -> None:
    first = run(photos)
    assert (first.n_images, first.n_embedded, first.n_hashed) == (12, 12, 12)
    second = run(photos)
    assert (second.n_images, second.n_embedded) == (12, 0)
    assert second.backbones[0].n_found == 12
    assert counts == {"efficientnet_lite0": 12}


def test_added_photos_alone_are_embedded(photos: Path, run: Run, counts: dict[str, int]) -> None:
    run(photos, LITES)
    write_photos(photos / "dog", range(20, 25))
    report = run(photos, LITES)
    assert [(each.n_embedded, each.n_found) for each in report.backbones] == [(5, 12), (5, 12)]
    assert counts == {"efficientnet_lite0": 17, "efficientnet_lite1": 17}
    assert report.n_images == 17


def test_renaming_the_folder_embeds_none(photos: Path, run: Run, counts: dict[str, int]) -> None:
    run(photos)
    report = run(photos.rename(photos.with_name("renamed")))
    assert (report.index.name, report.n_embedded, report.n_images) == ("renamed", 0, 12)
    assert counts == {"efficientnet_lite0": 12}


def test_moving_an_image_to_another_class_embeds_none(photos: Path, run: Run, counts: dict[str, int]) -> None:
    run(photos)
    (photos / "cat/03.png").rename(photos / "dog/moved.png")
    report = run(photos)
    assert report.n_embedded == 0
    assert report.index.label.count("dog") == 7
    assert counts == {"efficientnet_lite0": 12}


def test_a_removed_image_leaves_the_dataset_and_stays_cached(photos: Path, run: Run, counts: dict[str, int]) -> None:
    run(photos)
    kept = (photos / "cat/00.png").read_bytes()
    (photos / "cat/00.png").unlink()
    assert run(photos).n_images == 11
    (photos / "cat/back.png").write_bytes(kept)
    assert run(photos).n_embedded == 0
    assert counts == {"efficientnet_lite0": 12}


def test_a_changed_image_is_embedded_anew(photos: Path, run: Run, store: FeatureStore, counts: dict[str, int]) -> None:
    run(photos)
    Image.new("RGB", (90, 70), "white").save(photos / "cat/00.png")
    report = run(photos)
    assert report.n_embedded == 1
    rows = store.covering(report.index)[0].load(report.index.image_sha256)
    np.testing.assert_array_equal(rows[report.index.path.index("cat/00.png")], np.full(192, 255.0))
    assert counts == {"efficientnet_lite0": 13}


@pytest.mark.parametrize(
    ("first", "then", "words"),
    [
        ("", LITES, "12 images embedded in [^,]*, [^,]* a second, each decoded once for 2 backbones; kept"),
        (LITES, LITES, "nothing to compute"),
        ("efficientnet_lite0", LITES, "12 images embedded in [^,]*, [^,]* a second; kept"),
        ("efficientnet_lite0", "efficientnet_lite0", "nothing to compute"),
    ],
)
def test_for_how_many_backbones_an_image_was_decoded_is_what_happened(
    photos: Path, run: Run, first: str, then: str, words: str
) -> None:
    if first:
        run(photos, first)
    assert re.search(words, run(photos, then).lines()[-1])


def test_images_that_only_some_backbones_lacked_are_counted_once(photos: Path, run: Run, store: FeatureStore) -> None:
    run(photos)
    write_photos(photos / "dog", range(20, 23))
    report = run(photos, LITES)
    assert [each.n_embedded for each in report.backbones] == [3, 15]
    assert (report.n_decoded, report.n_decoded_for_all) == (15, 3)
    assert report.lines()[-1].startswith("15 images embedded")
    assert "each decoded once for the backbones that lacked it" in report.lines()[-1]


def test_where_every_image_fails_it_is_not_said_that_all_were_there(photos: Path, run: Run) -> None:
    for path in photos.rglob("*.png"):
        path.write_bytes(b"no image, " + path.name.encode() + path.parent.name.encode())
    report = run(photos)
    assert (report.n_decoded, report.n_failed_now, report.n_embedded) == (12, 12, 0)
    assert report.lines()[-1].startswith("none of 12 images could be embedded")


# See before you compute


def test_what_was_understood_is_told_before_an_image_is_decoded(
    photos: Path, store: FeatureStore, counts: dict[str, int]
) -> None:
    told: list[tuple[dict[str, int], int]] = []
    report = run_module.extract(
        open_dataset(photos),
        "efficientnet_lite0",
        store,
        random_seed=0,
        on_listed=lambda summary: told.append((summary.classes, sum(counts.values()))),
    )
    assert told == [({"cat": 6, "dog": 6}, 0)]
    assert report.summary.sizes
    assert report.summary.sizes.smallest == (90, 70)
    assert [each.kind for each in report.summary.oddities] == ["small images"]
    assert report.to_dict()["summary"]["classes"] == {"cat": 6, "dog": 6}


def test_damaged_corrections_cost_nothing_that_was_hashed(photos: Path, run: Run, store: FeatureStore) -> None:
    folder = store.root / "corrections" / "photos"
    on_disk(folder).mkdir(parents=True)
    on_disk(folder / "000001-00000000.h5").write_bytes(b"no batch")
    with pytest.raises(CorruptFileError, match="verify --repair"):
        run(photos)
    assert read_index(index_path(store.root, "photos")).label == ["cat"] * 6 + ["dog"] * 6
    verify(store, repair=True)
    assert run(photos).n_embedded == 12


def test_corrections_that_are_damaged_meanwhile_do_not_cost_which_images_fail(
    photos: Path, run: Run, store: FeatureStore
) -> None:
    (photos / "cat/00.png").write_bytes(b"no image")
    folder = store.root / "corrections" / "photos"

    def damage(_what: str, _done: int, _n: int) -> None:
        if on_disk(index_path(store.root, "photos")).is_file() and not folder.exists():
            on_disk(folder).mkdir(parents=True)
            on_disk(folder / "000001-00000000.h5").write_bytes(b"no batch")

    with pytest.raises(CorruptFileError, match="verify --repair"):
        run(photos, on_progress=damage)
    assert read_index(index_path(store.root, "photos")).ok.tolist() == [False, *[True] * 11]


def test_an_image_that_fails_is_in_the_summary_of_the_end(photos: Path, run: Run) -> None:
    (photos / "cat/00.png").write_bytes(b"no image")
    report = run(photos)
    assert (report.summary.n_failed, report.summary.classes) == (1, {"cat": 5, "dog": 6})
    assert report.lines()[0] == "1 of 12 images failed"


def test_a_preview_is_the_same_and_writes_nothing(photos: Path, run: Run, store: FeatureStore, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    found = preview(open_dataset(photos), "efficientnet_lite0", store)
    assert sorted(tmp_path.rglob("*")) == before
    assert found == run(photos).summary
    assert preview(open_dataset(photos), "efficientnet_lite0", store) == found


def test_the_index_keeps_what_was_met_and_measured(photos: Path, store: FeatureStore, run: Run) -> None:
    met = Skipped(".heic", "not read here", 2, "cat/a.heic")
    dataset = replace(open_dataset(photos), skipped=[met], notes=["It is so."])
    run_module.extract(dataset, "efficientnet_lite0", store, random_seed=0)
    index = store.dataset()
    assert index.listed == Listed([met], ["It is so."], (str(photos),))
    assert index.sizes is not None
    assert index.sizes.tolist() == [[90 + i, 70] for i in range(12)]
    assert summarise(store).datasets[0].oddities != [], "the networks are known from the features"


def test_a_run_with_nothing_to_do_measures_nothing(photos: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run(photos)
    monkeypatch.setattr(sizes, "_declared_size", pytest.fail)
    assert run(photos).summary == first.summary
    renamed = photos.rename(photos.with_name("renamed"))
    assert run(renamed, name="photos").summary.sizes == first.summary.sizes


def test_an_added_backbone_embeds_with_that_one_alone(photos: Path, run: Run, counts: dict[str, int]) -> None:
    run(photos)
    report = run(photos, LITES)
    assert [(each.backbone, each.n_embedded) for each in report.backbones] == [
        ("efficientnet_lite0", 0),
        ("efficientnet_lite1", 12),
    ]
    assert counts == {"efficientnet_lite0": 12, "efficientnet_lite1": 12}


def test_byte_identical_images_are_embedded_once(photos: Path, run: Run, counts: dict[str, int]) -> None:
    for name in ("cat/copy.png", "dog/copy.png"):
        (photos / name).write_bytes((photos / "cat/00.png").read_bytes())
    report = run(photos)
    assert (len(report.index), report.n_images, report.n_embedded) == (14, 12, 12)
    assert counts == {"efficientnet_lite0": 12}


def test_two_datasets_share_the_features_of_common_images(
    tmp_path: Path, photos: Path, run: Run, counts: dict[str, int]
) -> None:
    run(photos)
    write_photos(tmp_path / "more" / "bird", range(8, 16))
    report = run(tmp_path / "more")
    assert report.n_embedded == 4
    assert counts == {"efficientnet_lite0": 16}


def test_other_weights_are_another_feature_set(photos: Path, store: FeatureStore, counts: dict[str, int]) -> None:
    ids = [
        run_module.extract(open_dataset(photos), "efficientnet_lite0", store, random_seed=seed).backbones[0].feature_set
        for seed in (0, 1)
    ]
    assert ids[0] != ids[1]
    assert counts == {"efficientnet_lite0": 24}


def test_a_second_run_imports_no_torch_and_reads_no_image(photos: Path, tmp_path: Path) -> None:
    code = f"""
import json, sys
from stackbone.extract import extract, open_dataset
from stackbone.cache import FeatureStore
report = extract(open_dataset({str(photos)!r}), "efficientnet_lite0", FeatureStore({str(tmp_path / "features")!r}),
                 engine="torch")
heavy = {{"torch", "timm", "openvino", "sklearn", "PIL.JpegImagePlugin"}} & set(sys.modules)
print(json.dumps([report.n_embedded, report.n_hashed, sorted(heavy)]))
"""
    for path in photos.glob("*/*"):
        os.utime(path, (1_600_000_000, 1_600_000_000))
    run_module.extract(open_dataset(photos), "efficientnet_lite0", FeatureStore(tmp_path / "features"), engine="torch")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    n_embedded, n_hashed, heavy = json.loads(done.stdout)
    assert n_embedded == 0
    assert heavy == []
    # The files were written seconds ago, so that their time stamps prove nothing yet: reading them again is right.
    assert n_hashed in (0, 12)


# Rows


@pytest.mark.parametrize("workers", [1, 4])
def test_real_features_are_each_images_own(photos: Path, store: FeatureStore, workers: int) -> None:
    backbone = BACKBONES["efficientnet_lite0"]
    weights = find_weights([backbone], {})[backbone.name]
    report = run_module.extract(open_dataset(photos), backbone.name, store, engine="torch", workers=workers)
    rows = store.covering(report.index)[0].load(report.index.image_sha256)
    assert rows.shape == (12, 1280)
    engine = make_engine(backbone, weights, "torch")
    alone = np.concatenate(
        [
            engine.embed(apply_transform(decode((photos / path).read_bytes()), backbone.transform)[None])[0]
            for path in report.index.path
        ]
    )
    assert np.abs(rows - alone).max() / np.abs(alone).max() < 1e-4
    distances = np.abs(rows[:, None] - alone[None]).max(axis=2)
    assert distances.argmin(axis=1).tolist() == list(range(12))
    header = store.covering(report.index)[0].header()
    assert header.provenance["engine"] == "torch"
    assert header.provenance["weights"] == weights.source
    assert header.spec == backbone.spec(weights.identity)


# Bad images


def test_a_bad_image_is_recorded_and_not_tried_again_unless_asked(
    photos: Path, run: Run, store: FeatureStore, counts: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    n_decoded: list[int] = []

    def count(content: bytes, budget: DecodingBudget, **options: Any) -> AbstractContextManager[Image.Image]:  # noqa: ANN401 - its own
        n_decoded.append(len(content))
        return decoded(content, budget, **options)

    monkeypatch.setattr(pipeline, "decoded", count)
    whole = (photos / "cat/02.png").read_bytes()
    (photos / "cat/02.png").write_bytes(whole[: len(whole) // 2])
    (photos / "dog/text.jpg").write_text("not a photograph")
    (photos / "dog/zero.jpg").touch()

    first = run(photos)
    assert [path for path, _ in first.failures] == ["cat/02.png", "dog/text.jpg", "dog/zero.jpg"]
    assert "the file is empty" in dict(first.failures)["dog/zero.jpg"]
    assert (first.n_images, first.n_embedded, len(n_decoded)) == (11, 11, 14)
    assert store.covering(first.index)[0].load(first.index.image_sha256[first.index.ok]).shape == (11, 192)

    second = run(photos)
    assert second.failures == first.failures
    assert (second.n_embedded, len(n_decoded)) == (0, 14)

    third = run(photos, retry_failed=True)
    assert third.failures == first.failures
    assert (third.n_embedded, len(n_decoded)) == (0, 17)

    (photos / "cat/02.png").write_bytes(whole)
    fourth = run(photos)
    assert [path for path, _ in fourth.failures] == ["dog/text.jpg", "dog/zero.jpg"]
    assert (fourth.n_embedded, len(n_decoded)) == (1, 18)
    assert counts == {"efficientnet_lite0": 12}


def test_a_retried_image_that_can_be_read_now_is_embedded(
    photos: Path, run: Run, monkeypatch: pytest.MonkeyPatch, counts: dict[str, int]
) -> None:
    # As when Pillow gains a decoder, or memory was short.
    def refuse(content: bytes, budget: DecodingBudget, **options: Any) -> AbstractContextManager[Image.Image]:  # noqa: ANN401 - its own
        if content == (photos / "cat/01.png").read_bytes():
            message = "out of memory"
            raise ImageError(message)
        return decoded(content, budget, **options)

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "decoded", refuse)
        assert run(photos).failures == [("cat/01.png", "out of memory")]
    assert run(photos).failures == [("cat/01.png", "out of memory")]
    retried = run(photos, retry_failed=True)
    assert (retried.failures, retried.n_embedded) == ([], 1)
    assert counts == {"efficientnet_lite0": 12}


def test_what_half_precision_cannot_hold_another_precision_embeds(
    photos: Path, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Overflowing(BlockMeans):
        def features(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
            found = super().features(pixels)
            found[0] = np.inf
            return found

    def make(_backbone: object, _weights: object, _engine: str, _device: str, precision: str, **_: object) -> Engine:
        return Overflowing() if precision == "fp16" else BlockMeans()

    monkeypatch.setattr(plan, "make_engine", make)
    extract = partial(run_module.extract, open_dataset(photos), "efficientnet_lite0", store, random_seed=0)
    half = extract(precision="fp16")
    reason = "efficientnet_lite0 gave features that are not finite (fp16)"  # the first image of each batch of four
    assert [said for _, said in half.failures] == [reason] * 3
    full = extract(precision="fp32")
    assert (full.failures, full.backbones[0].n_embedded) == ([], 12)


def test_unreadable_files_are_recorded_and_read_once_they_can_be(
    photos: Path, run: Run, counts: dict[str, int]
) -> None:
    (photos / "cat/gone.png").symlink_to(photos / "nowhere.png")
    (photos / "cat/loop.png").symlink_to(photos / "cat/loop.png")
    os.mkfifo(photos / "cat/pipe.png")
    report = run(photos)
    reasons = dict(report.failures)
    assert reasons["cat/gone.png"] == "No such file or directory"
    assert "symbolic link" in reasons["cat/loop.png"]
    assert "cat/pipe.png" not in report.index.path  # reading a pipe would wait for ever
    assert report.n_images == 12
    write_photos(photos, range(30, 31))
    (photos / "30.png").rename(photos / "nowhere.png")
    assert "cat/gone.png" not in dict(run(photos).failures)
    assert counts == {"efficientnet_lite0": 13}


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind root")
def test_a_file_without_permission_is_recorded(photos: Path, run: Run, counts: dict[str, int]) -> None:
    (photos / "cat/04.png").chmod(0)
    assert run(photos).failures == [("cat/04.png", "Permission denied")]
    assert counts == {"efficientnet_lite0": 11}


def test_link_loops_and_odd_names_are_survived(photos: Path, run: Run, counts: dict[str, int]) -> None:
    (photos / "cat/again").symlink_to(photos, target_is_directory=True)
    odd = ["with space.png", "new\nline.png", "фото-写真.png", "quote'\".png", "-dash.png"]
    for i, name in enumerate(odd):
        write_photos(photos / "odd", range(40 + i, 41 + i))
        (photos / f"odd/{40 + i}.png").rename(photos / "odd" / name)
    (photos / "odd" / os.fsdecode(b"latin-\xe9.png")).write_bytes((photos / "odd" / odd[0]).read_bytes())
    report = run(photos)
    assert report.failures == []
    assert report.n_images == 17
    assert set(odd) <= {Path(path).name for path in report.index.path}
    assert run(photos).n_embedded == 0
    assert counts == {"efficientnet_lite0": 17}


def test_a_file_that_changes_after_it_was_listed_is_recorded(photos: Path, run: Run, counts: dict[str, int]) -> None:
    def spoil(what: str, done: int, _total: int) -> None:
        if what.startswith("preparing") and not done:
            Image.new("RGB", (20, 20)).save(photos / "dog/11.png")
            (photos / "dog/10.png").unlink()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "IMAGES_AHEAD", 1)
        report = run(photos, on_progress=spoil)
    assert {path for path, _ in report.failures} == {"dog/10.png", "dog/11.png"}
    assert "changed since it was listed" in dict(report.failures)["dog/11.png"]
    again = run(photos)
    assert (again.failures, again.n_embedded, again.n_images) == ([], 1, 11)
    assert counts == {"efficientnet_lite0": 11}


def test_a_file_that_was_away_for_a_while_is_embedded_by_the_next_run(
    photos: Path, run: Run, counts: dict[str, int]
) -> None:
    away = photos / "dog/11.png"

    def unmount(what: str, done: int, _total: int) -> None:
        if what.startswith("preparing") and not done:
            away.rename(photos / "away")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "IMAGES_AHEAD", 1)
        assert run(photos, on_progress=unmount).failures == [("dog/11.png", "No such file or directory")]
    (photos / "away").rename(away)
    assert run(photos).failures == []
    assert counts == {"efficientnet_lite0": 12}


# Interrupts and errors


def test_an_interrupted_run_goes_on_where_it_stopped(photos: Path, run: Run, counts: dict[str, int]) -> None:
    def interrupt(what: str, done: int, _total: int) -> None:
        if (what, done) == ("embedding", 9):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(photos, on_progress=interrupt)
    assert counts == {"efficientnet_lite0": 8}
    report = run(photos)
    assert (report.n_embedded, report.backbones[0].n_found) == (4, 8)
    assert counts == {"efficientnet_lite0": 12}


def test_progress_reaches_the_end_of_every_step(photos: Path, run: Run, counts: dict[str, int]) -> None:
    last: dict[str, tuple[int, int]] = {}
    run(photos, on_progress=lambda what, done, total: last.__setitem__(what, (done, total)))
    assert last == {"reading": (12, 12), "preparing efficientnet_lite0": (1, 1), "embedding": (12, 12)}
    assert counts == {"efficientnet_lite0": 12}


@pytest.mark.usefixtures("counts")
def test_a_cache_that_cannot_be_written_is_an_error(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(CacheError, match="taken"):
        run_module.extract(
            open_dataset(photos), "efficientnet_lite0", FeatureStore(tmp_path / "taken/features"), random_seed=0
        )


@pytest.mark.usefixtures("counts")
def test_another_folder_of_the_same_name_is_refused(tmp_path: Path, photos: Path, run: Run) -> None:
    run(photos)
    write_photos(tmp_path / "elsewhere/photos/cat", range(50, 55))
    with pytest.raises(UsageError, match="--dataset photos-2"):
        run(tmp_path / "elsewhere/photos")
    assert run(tmp_path / "elsewhere/photos", name="photos-2").n_embedded == 5


@pytest.mark.usefixtures("counts")
def test_a_folder_that_was_moved_keeps_its_name(tmp_path: Path, photos: Path, run: Run) -> None:
    run(photos)
    (tmp_path / "disk2").mkdir()
    report = run(photos.rename(tmp_path / "disk2/photos"))
    assert (report.index.name, report.index.root, report.n_embedded) == ("photos", str(tmp_path / "disk2/photos"), 0)


def test_weights_that_are_another_networks_stop_the_run(photos: Path, tmp_path: Path, store: FeatureStore) -> None:
    import torch

    torch.save({"fc.weight": torch.zeros(3, 3)}, tmp_path / "wrong.pth")
    with pytest.raises(WeightsError, match="lacks the tensor"):
        run_module.extract(
            open_dataset(photos),
            "efficientnet_lite0",
            store,
            weights={"efficientnet_lite0": tmp_path / "wrong.pth"},
            engine="torch",
        )


def test_a_steady_error_comes_before_any_image_is_read(photos: Path, store: FeatureStore) -> None:
    dataset = open_dataset(photos)
    for options, match in [
        ({"backbones": "resnet5"}, "did you mean 'resnet50'"),
        ({"backbones": "efficientnet_lite0", "engine": "tensorrt"}, "unknown engine"),
        ({"backbones": "efficientnet_lite0", "weights": {"vgg19": Path("x")}}, "the backbones of this run are"),
    ]:
        with pytest.raises(UsageError, match=match):
            run_module.extract(dataset, store=store, **options)  # type: ignore[arg-type]
    assert not store.root.exists()


def test_all_means_the_backbones_whose_weights_are_here(
    photos: Path, store: FeatureStore, monkeypatch: pytest.MonkeyPatch, counts: dict[str, int]
) -> None:
    here: dict[str, Weights] = {"efficientnet_lite1": random_weights(0)}
    monkeypatch.setattr(choice, "available_backbones", lambda: here)
    report = run_module.extract(open_dataset(photos), "all", store, random_seed=0)
    assert [each.backbone for each in report.backbones] == ["efficientnet_lite1"]
    assert counts == {"efficientnet_lite1": 12}
    here.clear()
    with pytest.raises(UsageError, match="there is none"):
        run_module.extract(open_dataset(photos), "all", store, random_seed=0)
