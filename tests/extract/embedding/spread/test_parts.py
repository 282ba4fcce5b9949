"""Parts of a run leave what one run leaves: the same rows byte for byte, and one index that knows what each found."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stackbone.cache import FAILED, DatasetIndex, FeatureStore, UsageError, as_keys
from stackbone.cache.disk import digest
from stackbone.cache.findings.found import findings_files
from stackbone.cache.records.indexes.index_file import index_path, read_index
from stackbone.extract import ExtractReport, open_dataset
from stackbone.extract.embedding import pipeline
from stackbone.extract.embedding import run as run_module
from stackbone.extract.embedding.indexing import preview
from stackbone.extract.embedding.spread.image_part import ImagePart
from tests.made.caches import on_disk
from tests.made.checkout import ROOT
from tests.made.photos import write_photos

LITE = "efficientnet_lite0"


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twenty images in two class folders, one twice, two damaged; their stamps count, however fresh they are."""
    monkeypatch.setattr(digest, "_RACY_NS", 0)
    folder = tmp_path / "photos"
    write_photos(folder / "cat", range(10))
    write_photos(folder / "dog", range(9, 20))
    for number, keep in [(3, 60), (12, 90)]:
        file = next(folder.glob(f"*/{number:02d}.png"))
        file.write_bytes(file.read_bytes()[:keep])
    return folder


Run = Callable[..., ExtractReport]


@pytest.fixture
def run(photos: Path, store: FeatureStore) -> Run:
    """Extract all images, or a part of them, with random weights."""

    def extract(part: str | None = None, into: FeatureStore | None = None, **options: bool) -> ExtractReport:
        return run_module.extract(open_dataset(photos), LITE, into or store, random_seed=0, part=part, **options)  # type: ignore[arg-type]

    return extract


def index_only(photos: Path, store: FeatureStore) -> None:
    preview(open_dataset(photos), LITE, store, write=True)


def rows_of(store: FeatureStore) -> dict[bytes, bytes]:
    """Return the bytes of each image's features, which no part may have computed a second time."""
    (feature_set,) = store.feature_sets()
    digests = feature_set.digests()
    assert len(np.unique(as_keys(digests))) == len(digests)
    return {key.tobytes(): row.tobytes() for key, row in zip(digests, feature_set.load(digests), strict=True)}


def told(index: DatasetIndex) -> list[tuple[str, int, str]]:
    return [*zip(index.path, index.status.tolist(), index.reason, strict=True)]


@pytest.mark.usefixtures("counts")
def test_parts_together_leave_what_one_run_leaves(run: Run, store: FeatureStore, tmp_path: Path) -> None:
    whole = FeatureStore(tmp_path / "whole")
    expected = run(into=whole)
    reports = [run(f"{number}/3") for number in (2, 3, 1)]
    assert rows_of(store) == rows_of(whole)
    assert sum(each.n_embedded for each in reports) == expected.n_embedded == 18
    assert told(store.dataset("photos")) == told(whole.dataset("photos"))
    assert sorted(failure for each in reports for failure in each.failures) == sorted(expected.failures)
    assert len(expected.failures) == 2
    assert sum(each.n_mine for each in reports) == 21


@pytest.mark.usefixtures("counts")
def test_after_index_only_no_part_reads_another_ones_images(run: Run, photos: Path, store: FeatureStore) -> None:
    index_only(photos, store)
    assert store.feature_sets() == []
    before = on_disk(index_path(store.root, "photos")).read_bytes()
    for number in range(1, 5):
        assert run(f"{number}/4").n_hashed == 0
        assert on_disk(index_path(store.root, "photos")).read_bytes() == before
    assert len(findings_files(store.root, "photos")) in (1, 2)  # of the parts that had a damaged one
    assert int((store.dataset("photos").status == FAILED).sum()) == 2


@pytest.mark.usefixtures("counts")
def test_a_whole_run_takes_findings_into_the_index(run: Run, photos: Path, store: FeatureStore) -> None:
    index_only(photos, store)
    for number in (1, 2):
        run(f"{number}/2")
    expected = told(store.dataset("photos"))
    assert read_index(index_path(store.root, "photos")).ok.all()
    report = run()
    assert (report.n_hashed, report.n_decoded, len(report.failures)) == (0, 0, 2)
    assert findings_files(store.root, "photos") == []
    assert told(read_index(index_path(store.root, "photos"))) == expected


@pytest.mark.usefixtures("counts")
def test_a_part_does_not_try_again_what_any_part_found_damaged(run: Run) -> None:
    for number in (1, 2):
        assert run(f"{number}/2").n_decoded > 0
    again = [run(f"{number}/4") for number in range(1, 5)]
    assert [each.n_decoded for each in again] == [0] * 4
    assert sum(len(each.failures) for each in again) == 2


@pytest.mark.usefixtures("counts")
def test_retry_failed_is_about_the_images_of_the_part_alone(run: Run, photos: Path, store: FeatureStore) -> None:
    index_only(photos, store)
    first = [run(f"{number}/2") for number in (1, 2)]
    failed = [[path for path, _ in each.failures] for each in first]
    assert run("1/2", retry_failed=True).n_decoded == len(failed[0])
    assert run("2/2", allow_truncated=True).n_decoded == len(failed[1])
    assert {path for path, _ in run("1/1").failures} >= {*failed[0]}


@pytest.mark.usefixtures("counts")
def test_a_file_changed_after_the_listing_fails_and_is_mended_by_the_next_run_of_its_part(
    run: Run, photos: Path, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    index_only(photos, store)
    file = photos / "cat" / "00.png"
    content, before = file.read_bytes(), os.stat(file)
    part = next(f"{n}/3" for n in (1, 2, 3) if ImagePart(n, 3).holds(store.dataset("photos").image_sha256)[0])
    embed = pipeline.embed_images

    def changed_just_now(*args: object, **options: object) -> object:
        file.write_bytes(content[:-1])
        try:
            return embed(*args, **options)  # type: ignore[arg-type]
        finally:
            file.write_bytes(content)
            os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "embed_images", changed_just_now)
        assert "cat/00.png" in [path for path, _ in run(part).failures]
    failed = store.dataset("photos")
    assert not failed.ok[0]
    assert not failed.image_sha256[0].any()
    assert run(part).n_embedded == 1
    mended = store.dataset("photos")
    assert mended.ok[0]
    assert mended.reason[0] == ""


def test_what_excludes_a_part_is_said(run: Run, photos: Path, store: FeatureStore) -> None:
    with pytest.raises(UsageError, match="no part"):
        run("4/3")
    assert store.dataset_names() == []


def _start(photos: Path, cache: object, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "cli.py", "extract", str(photos), "--backbones", LITE, "--cache", str(cache), *options]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _end(process: subprocess.Popen[str]) -> tuple[int, str]:
    printed, told_of = process.communicate()
    return process.returncode, printed + told_of


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["openvino", "torch"])
def test_parts_at_once_with_real_weights_give_the_rows_of_one_run(photos: Path, tmp_path: Path, engine: str) -> None:
    """In processes, without an index before: each hashes, each writes, and at the end all is known."""
    one = FeatureStore(tmp_path / "one")
    code, output = _end(_start(photos, on_disk(one.root), "--engine", engine))
    assert code == 1, output  # two of 21 failed
    parts = [_start(photos, tmp_path / "parts", "--engine", engine, "--part", f"{n}/3") for n in (1, 2, 3)]
    ends = [_end(each) for each in parts]
    assert {code for code, _ in ends} <= {0, 1}, ends
    several = FeatureStore(tmp_path / "parts")
    assert rows_of(several) == rows_of(one)
    assert told(several.dataset("photos")) == told(one.dataset("photos"))
    assert len(several.covering(several.dataset("photos"))) == 1


def test_the_command_says_what_is_left_and_what_options_exclude(photos: Path, store: FeatureStore) -> None:
    code, output = _end(_start(photos, on_disk(store.root), "--index-only"))
    assert (code, "the index is written, and nothing embedded" in output) == (0, True), output
    code, output = _end(_start(photos, on_disk(store.root), "--index-only", "--part", "1/2"))
    assert (code, "found --part and --index-only together; expected at most one" in output) == (2, True), output
    code, output = _end(_start(photos, on_disk(store.root), "--part", "1/2", "--max-failed", "1"))
    assert code == 0, output
    assert "part 1/2: " in output
    assert "of other parts have no features yet: run the other parts" in output
    code, output = _end(_start(photos, on_disk(store.root), "--part", "2/2", "--max-failed", "1"))
    assert (code, "next: stackbone stack" in output) == (0, True), output
