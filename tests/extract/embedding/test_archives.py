"""Images in archives are embedded as those in folders are: once, in the order in which they lie, and read by all."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stackbone.cache import FeatureStore, as_keys, empty_index
from stackbone.cache.disk import digest as digest_module
from stackbone.cache.disk.reading import ListedFile
from stackbone.extract import ExtractReport, open_dataset
from stackbone.extract.containers import opening, reading
from stackbone.extract.containers.tars.window import MOST_KEPT_BYTES
from stackbone.extract.datasets.archives import members, samples
from stackbone.extract.embedding import images as images_module
from stackbone.extract.embedding import run as run_module
from stackbone.extract.embedding.digests import list_dataset
from stackbone.extract.embedding.predict import embed_files, embed_for
from stackbone.extract.embedding.recompute import recompute
from stackbone.extract.images.measured.facts import measure_images
from stackbone.extract.images.thumbnails import thumbnails
from tests.made.archives import KINDS, members_of, write_archive
from tests.made.photos import write_photos

Run = Callable[..., ExtractReport]
every_kind = pytest.mark.parametrize("extension", KINDS)


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let archives written just now count as old: a test cannot set a change time, nor wait for it to age."""
    monkeypatch.setattr(digest_module, "_RACY_NS", -3_600_000_000_000)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twelve images in two class folders."""
    write_photos(tmp_path / "photos" / "cat", range(6))
    write_photos(tmp_path / "photos" / "dog", range(6, 12))
    return tmp_path / "photos"


@pytest.fixture
def run(store: FeatureStore) -> Run:
    """Extract a dataset with random weights, as the command does."""

    def extract(data: Path | str, **options: object) -> ExtractReport:
        dataset = open_dataset(data, store=store)
        return run_module.extract(dataset, "efficientnet_lite0", store, random_seed=0, **options)  # type: ignore[arg-type]

    return extract


@pytest.fixture
def no_archive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every archive that is opened fail the test."""
    for module in (opening, reading, members, samples):
        monkeypatch.setattr(module, "open_container", lambda place: pytest.fail(f"{place} was opened"))


@every_kind
def test_the_same_image_in_a_folder_and_in_an_archive_is_one_row(
    photos: Path, tmp_path: Path, run: Run, store: FeatureStore, counts: dict[str, int], extension: str
) -> None:
    folder = run(photos)
    file = write_archive(tmp_path / f"archived{extension}", members_of(photos))
    archived = run(file)
    assert counts == {"efficientnet_lite0": 12}
    assert [path.removeprefix(f"{file.name}/") for path in archived.index.path] == folder.index.path
    assert list(archived.index.label) == list(folder.index.label)
    np.testing.assert_array_equal(archived.index.image_sha256, folder.index.image_sha256)
    np.testing.assert_array_equal(archived.index.sizes, folder.index.sizes)
    (features,) = store.feature_sets()
    assert len(features.load(archived.index.image_sha256)) == 12


@every_kind
def test_features_of_archived_images_are_those_of_their_files(
    photos: Path, tmp_path: Path, run: Run, store: FeatureStore, counts: dict[str, int], extension: str
) -> None:
    archived = run(write_archive(tmp_path / f"archived{extension}", members_of(photos)))
    assert archived.failures == []
    other = FeatureStore(tmp_path / "other")
    run_module.extract(open_dataset(photos), "efficientnet_lite0", other, random_seed=0)
    (here,), (there,) = store.feature_sets(), other.feature_sets()
    digests = archived.index.image_sha256
    np.testing.assert_array_equal(here.load(digests), there.load(digests))


def write_shards(folder: Path, photos: Path, n_shards: int = 3) -> Path:
    """Write WebDataset shards of the images of a folder of class folders, in an order of their own."""
    images = list(members_of(photos).items())
    order = np.random.default_rng(0).permutation(len(images))
    for shard in range(n_shards):
        held: dict[str, bytes] = {}
        for row in order[shard::n_shards]:
            path, content = images[row]
            held |= {f"{row:03d}.png": content, f"{row:03d}.cls": path.split("/")[0].encode()}
        write_archive(folder / f"{shard:06d}.tar", held)
    return folder


def test_a_second_run_opens_no_archive(
    photos: Path, tmp_path: Path, run: Run, counts: dict[str, int], request: pytest.FixtureRequest
) -> None:
    shards, tree = write_shards(tmp_path / "shards", photos), write_archive(tmp_path / "t.tar.gz", members_of(photos))
    first = [run(shards), run(str(shards / "{000000..000002}.tar")), run(tree)]
    request.getfixturevalue("no_archive")
    second = [run(shards), run(str(shards / "{000000..000002}.tar")), run(tree)]
    assert counts == {"efficientnet_lite0": 12}
    for before, now in zip(first, second, strict=True):
        assert now.n_hashed == 0
        assert now.index.path == before.index.path
        assert [list(each) for each in (now.index.label, now.index.split, now.index.group)] == [
            list(each) for each in (before.index.label, before.index.split, before.index.group)
        ]
        assert now.index.listed == before.index.listed
        np.testing.assert_array_equal(now.index.image_sha256, before.index.image_sha256)


@pytest.mark.parametrize("change", ["added", "changed", "removed", "other words"])
def test_archives_are_listed_anew_where_anything_changed(
    photos: Path, tmp_path: Path, run: Run, store: FeatureStore, counts: dict[str, int], change: str
) -> None:
    shards = write_shards(tmp_path / "shards", photos)
    run(shards)
    new = members_of(write_photos(tmp_path / "new", [20]))["20.png"]
    if change == "added":
        write_archive(shards / "000003.tar", {"x.png": new, "x.cls": b"bird"})
        assert run(shards).index.label.count("bird") == 1
    elif change == "changed":
        write_archive(shards / "000002.tar", {"x.png": new, "x.cls": b"bird"})
        report = run(shards)
        assert (len(report.index), report.n_hashed) == (9, 1)
    elif change == "removed":
        (shards / "000002.tar").unlink()
        assert len(run(shards).index) == 8
    else:
        assert open_dataset(shards, store=store, label_column=None).classes == []
        assert open_dataset(shards, store=store, exclude="000002.tar").n == 8


def test_of_several_archives_those_alone_are_hashed_that_changed(
    photos: Path, tmp_path: Path, run: Run, counts: dict[str, int]
) -> None:
    shards = write_shards(tmp_path / "shards", photos)
    assert run(shards).n_hashed == 12
    held = {f"{i}.png": Path(file).read_bytes() for i, file in enumerate(sorted((photos / "cat").iterdir()))}
    write_archive(shards / "000003.tar", held)
    assert run(shards).n_hashed == 6
    assert counts == {"efficientnet_lite0": 12}


@every_kind
def test_images_are_embedded_in_the_order_in_which_they_are_stored(
    photos: Path, tmp_path: Path, run: Run, counts: dict[str, int], extension: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = members_of(photos)
    order = list(np.random.default_rng(1).permutation(list(images)))
    file = write_archive(tmp_path / f"archived{extension}", {name: images[name] for name in order})
    read: list[str] = []
    real = images_module.Image.read

    def noted(image: images_module.Image) -> bytes:
        read.append(image.path)
        return real(image)

    monkeypatch.setattr(images_module.Image, "read", noted)
    run(file, workers=1)
    assert read == [f"{file}/{name}" for name in order]


def test_a_damaged_archive_costs_its_own_images_alone(
    photos: Path, tmp_path: Path, run: Run, counts: dict[str, int]
) -> None:
    shards = write_shards(tmp_path / "shards", photos)
    run(shards)
    whole = (shards / "000001.tar").read_bytes()
    (shards / "000001.tar").write_bytes(whole[: len(whole) // 2])
    report = run(shards)
    assert 8 <= len(report.index) < 12
    assert report.failures == []
    assert any("'000001.tar' is damaged" in note for note in report.index.listed.notes)
    (shards / "000001.tar").write_bytes(whole)
    assert len(run(shards).index) == 12


def test_a_member_that_cannot_be_read_is_recorded_with_its_reason(
    photos: Path, tmp_path: Path, run: Run, counts: dict[str, int]
) -> None:
    images = members_of(photos)
    file = write_archive(tmp_path / "photos.zip", images)
    content = bytearray(file.read_bytes())
    content[content.index(images["cat/03.png"]) + 40] ^= 1
    file.write_bytes(content)
    report = run(file)
    assert counts == {"efficientnet_lite0": 11}
    ((path, reason),) = report.failures
    assert path == "photos.zip/cat/03.png"
    assert "CRC" in reason


def test_an_archive_that_is_gone_while_it_is_embedded_is_recorded(
    photos: Path, tmp_path: Path, run: Run, counts: dict[str, int]
) -> None:
    file = write_archive(tmp_path / "photos.tar", members_of(photos))
    report = run(file, on_progress=lambda what, *_: file.unlink(missing_ok=True) if what == "embedding" else None)
    assert report.failures
    assert all("No such file" in reason or "Not a directory" in reason for _, reason in report.failures)


@every_kind
def test_whatever_looks_at_images_reads_those_in_archives(
    photos: Path, tmp_path: Path, run: Run, store: FeatureStore, counts: dict[str, int], extension: str
) -> None:
    file = write_archive(tmp_path / f"archived{extension}", members_of(photos))
    index = run(file).index
    files = [ListedFile(index.root, p, d.tobytes()) for p, d in zip(index.path, index.image_sha256, strict=True)]
    plain = [ListedFile(str(photos), p.split("/", 1)[1], f.digest) for p, f in zip(index.path, files, strict=True)]
    assert thumbnails(files) == thumbnails(plain)
    assert measure_images(files) == measure_images(plain)
    (features,) = store.feature_sets()
    specs = {features.id: features.header().spec}
    made = embed_for(specs, open_dataset(file), store)
    np.testing.assert_array_equal(made.features[features.id], features.load(index.image_sha256))
    alone = embed_files([f"{file}/cat/00.png", f"{file}/cat/none.png"], specs, store)
    assert (alone.reasons[0], bool(alone.reasons[1])) == ("", True)
    np.testing.assert_array_equal(alone.features[features.id], features.load(index.image_sha256[:1]))


def test_cached_features_are_embedded_again_from_archives(photos: Path, tmp_path: Path, store: FeatureStore) -> None:
    file = write_archive(tmp_path / "photos.tar.gz", members_of(photos))
    run_module.extract(open_dataset(file), "efficientnet_lite0", store, engine="torch")
    (again,) = recompute(store, 3)
    assert (again.n_images, again.problem) == (3, "")


def test_memory_does_not_grow_with_the_archive(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    content = {f"{i:04d}.jpg": rng.bytes(200_000) for i in range(150)}  # 30 MB
    peaks = []
    for name in ("photos.tar", "photos.tar.gz", "photos.zip"):
        dataset = open_dataset(write_archive(tmp_path / name, content))
        tracemalloc.start()
        listed = list_dataset(dataset, empty_index("", ""), lambda *_: None)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert len(set(as_keys(listed.digests).tolist())) == 150
    assert max(peaks[0], peaks[2]) < 8e6
    assert peaks[1] < 8e6 + MOST_KEPT_BYTES


def test_an_image_of_an_archive_is_decoded_as_ever(tmp_path: Path, run: Run, counts: dict[str, int]) -> None:
    write_photos(tmp_path / "photos", [1])
    bad = {"bad.png": b"\x89PNG not really", "good.png": (tmp_path / "photos" / "01.png").read_bytes()}
    report = run(write_archive(tmp_path / "photos.tar", bad))
    assert [path for path, _ in report.failures] == ["photos.tar/bad.png"]
    assert counts == {"efficientnet_lite0": 1}
