"""Findings beside an index: what several processes found out is all there, and hostile files are refused."""

from __future__ import annotations

import multiprocessing
import os
import threading
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import numpy as np
import pytest

from stackbone.cache import (
    FAILED,
    OK,
    CacheError,
    CorruptFileError,
    DatasetIndex,
    FeatureStore,
    FileStamps,
    empty_index,
)
from stackbone.cache.corrections.batch import Batch, read_batches, write_batch
from stackbone.cache.findings import found as module
from stackbone.cache.findings.applied import with_findings
from stackbone.cache.findings.found import READ, UNREAD, Finding, findings_files, read_findings, write_findings
from stackbone.cache.places import object_path
from stackbone.cache.places.object_path import ObjectPath
from stackbone.cache.places.opened import AT_ONCE, read_place
from stackbone.cache.remote.objects import get_object, put_object
from stackbone.cache.upkeep.forget import plan_forget
from stackbone.cache.upkeep.verify import verify
from tests.made.caches import SPEC, features_of, make_digests, make_index, on_disk


def key(number: int) -> bytes:
    return bytes([number]) * 32


def index_of(*numbers: int) -> DatasetIndex:
    n = len(numbers)
    texts = [""] * n
    digests = np.frombuffer(b"".join(map(key, numbers)), np.uint8).reshape(n, 32)
    stamps = FileStamps(np.full((n, 4), 7, np.int64))
    paths = [f"{number}.png" for number in numbers]
    return DatasetIndex("photos", "/there", paths, texts, texts, texts, digests, np.zeros(n, np.uint8), texts, stamps)


def test_findings_come_back_as_they_were_written(tmp_path: Path) -> None:
    told = {
        key(1): Finding(FAILED, "the file ends early: é \udcff"),
        key(2): Finding(READ, "a; b"),
        key(3): Finding(UNREAD, "x"),
    }
    path = Path(str(write_findings(tmp_path, "photos", told)))
    assert path.parent == tmp_path / "findings" / "photos"
    assert read_findings(tmp_path, "photos") == told
    assert read_findings(tmp_path, "others") == {}


def test_the_last_finding_of_an_image_counts(tmp_path: Path) -> None:
    write_findings(tmp_path, "photos", {key(1): Finding(UNREAD, "no permission"), key(2): Finding(FAILED, "cut")})
    write_findings(tmp_path, "photos", {key(1): Finding(READ)})
    assert read_findings(tmp_path, "photos") == {key(1): Finding(READ), key(2): Finding(FAILED, "cut")}


class _Ahead(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> _Ahead:
        found = datetime.now(tz) + timedelta(days=1)
        return cls.combine(found.date(), found.timetz())


@pytest.mark.parametrize("cache", ["features", "memory://findings-clocks/features"])
def test_the_last_finding_counts_though_the_clock_of_an_earlier_writer_was_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: str
) -> None:
    root = FeatureStore(cache if "://" in cache else tmp_path / cache).root
    with monkeypatch.context() as patch:
        patch.setattr(module, "datetime", _Ahead)
        write_findings(root, "photos", {key(1): Finding(FAILED, "cut short")})
    write_findings(root, "photos", {key(1): Finding(READ)})
    write_findings(root, "photos", {key(1): Finding(UNREAD, "no permission")})
    assert read_findings(root, "photos") == {key(1): Finding(UNREAD, "no permission")}
    times = [each.name.partition("-")[0] for each in findings_files(root, "photos")]
    assert len(set(times)) == 3
    assert times[2][:8] == f"{datetime.now(UTC) + timedelta(days=1):%Y%m%d}"


def test_a_finding_comes_after_what_another_machine_has_just_written() -> None:
    root = ObjectPath("memory://findings-machines/features")
    written = write_findings(root, "photos", {key(1): Finding(FAILED, "cut short")})
    (listed,) = findings_files(root, "photos")
    content = read_place(written, 1 << 20)
    put_object(f"{listed.parent.url}/29991231T235959000000-00000000.h5", content)  # type: ignore[union-attr]
    assert len(findings_files(root, "photos")) == 1  # the listing of a moment ago
    write_findings(root, "photos", {key(1): Finding(READ)})
    assert read_findings(root, "photos") == {key(1): Finding(READ)}


@pytest.fixture
def gets(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the URLs of what is got from then on; the first requests wait until as many as may are on their way."""
    urls: list[str] = []
    together = threading.Barrier(AT_ONCE)

    def get(url: str, *of: int) -> bytes:
        urls.append(url)
        if len(urls) <= AT_ONCE:
            together.wait(10)
        return get_object(url, *of)

    monkeypatch.setattr(object_path, "get_object", get)
    return urls


def test_files_of_findings_are_got_side_by_side_and_each_once(gets: list[str]) -> None:
    root = ObjectPath("memory://findings-many/features")
    told = {key(n): Finding(FAILED, f"reason {n}") for n in range(AT_ONCE + 5)}
    for digest, each in told.items():
        write_findings(root, "photos", {digest: each})
    assert read_findings(root, "photos") == told
    assert len(gets) == AT_ONCE + 5
    write_findings(root, "photos", {key(0): Finding(READ)})
    assert read_findings(root, "photos") == {**told, key(0): Finding(READ)}
    assert len(gets) == AT_ONCE + 6
    module.remove_findings(findings_files(root, "photos"))
    assert read_findings(root, "photos") == {}


def test_files_of_corrections_are_got_side_by_side(gets: list[str]) -> None:
    root = ObjectPath("memory://corrections-many/features")
    for n in range(AT_ONCE):
        write_batch(root, "photos", Batch(["a.png"], [f"{n}"], ["cat"], make_digests(1)))
    assert [each.label for each in read_batches(root, "photos").values()] == [[f"{n}"] for n in range(AT_ONCE)]


def test_what_is_remembered_of_findings_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_REMEMBERED", 5)
    remembered = module._Remembered()
    paths = [
        write_findings(tmp_path, "photos", {key(10 * n + i): Finding(FAILED, f"{n}") for i in range(size)})
        for n, size in enumerate((2, 3, 1, 6))
    ]
    for path in [*paths, *paths]:
        assert remembered.of(path) == module.read_with_version(path)[0]
        assert sum(map(len, remembered._read.values())) == remembered._n_findings <= 5


def test_a_name_that_holds_no_time_keeps_nobody_from_writing(tmp_path: Path) -> None:
    path = on_disk(write_findings(tmp_path, "photos", {key(1): Finding(FAILED, "cut short")}))
    for time in ("99999999T999999999999", "99991231T235959999999"):
        path.with_name(f"{time}-00000000.h5").write_bytes(path.read_bytes())
    again = write_findings(tmp_path, "photos", {key(1): Finding(READ)})
    assert path.name.partition("-")[0] < again.name.partition("-")[0] < "9999"


def test_an_index_is_read_with_its_findings(store: FeatureStore) -> None:
    index = index_of(1, 2, 1, 3)
    store.write_dataset(index)
    write_findings(
        store.root, "photos", {key(1): Finding(FAILED, "cut"), key(3): Finding(UNREAD, "gone"), key(9): Finding(FAILED)}
    )
    found = store.dataset("photos")
    assert found.status.tolist() == [FAILED, OK, FAILED, FAILED]
    assert found.reason == ["cut", "", "cut", "gone"]
    assert not found.image_sha256[3].any()
    assert found.stamps.values[3, 0] == -1  # the next run reads it again
    np.testing.assert_array_equal(found.image_sha256[:3], index.image_sha256[:3])
    np.testing.assert_array_equal(found.stamps.values[:3], index.stamps.values[:3])


def test_findings_lie_behind_a_url_too() -> None:
    store = FeatureStore("memory://findings-test/features")
    store.write_dataset(index_of(1, 2))
    write_findings(store.root, "photos", {key(2): Finding(FAILED, "cut")})
    assert store.dataset("photos").reason == ["", "cut"]
    assert verify(store).n_part_findings == 1
    module.remove_findings(findings_files(store.root, "photos"))
    assert store.dataset("photos").reason == ["", ""]


def test_without_findings_the_index_is_the_very_one() -> None:
    index = empty_index("photos", "")
    assert with_findings(index, {}) is index


def _write_some(root: Path, start: int) -> None:
    for number in range(start, start + 10):
        write_findings(root, "photos", {key(number): Finding(FAILED, f"reason {number}")})


def test_processes_side_by_side_lose_no_finding(store: FeatureStore) -> None:
    store.write_dataset(index_of(*range(40)))
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_some, args=(store.root, start)) for start in range(0, 40, 10)]
    for each in writers:
        each.start()
    for each in writers:
        each.join()
    assert [each.exitcode for each in writers] == [0] * 4
    assert store.dataset("photos").reason == [f"reason {number}" for number in range(40)]


def test_a_damaged_file_of_findings_is_named_and_set_aside(store: FeatureStore) -> None:
    store.write_dataset(index_of(1))
    path = write_findings(store.root, "photos", {key(1): Finding(FAILED, "cut")})
    content = bytearray(on_disk(path).read_bytes())
    content[-1] ^= 1
    on_disk(path).write_bytes(content)
    with pytest.raises(CorruptFileError, match=path.name):
        store.dataset("photos")
    (problem,) = verify(store, repair=True).findings
    assert problem.path == path
    assert store.dataset("photos").ok.all()


def test_findings_of_another_dataset_or_version_are_refused(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_findings(store.root, "photos", {key(1): Finding(FAILED, "cut")})
    other = store.root / "findings" / "others" / path.name
    on_disk(other.parent).mkdir()
    on_disk(other).write_bytes(on_disk(path).read_bytes())
    with pytest.raises(CorruptFileError, match="of the dataset 'photos', not of 'others'"):
        read_findings(store.root, "others")
    write_findings(store.root, "third", {key(1): Finding(3, "a status of the future")})
    with pytest.raises(CorruptFileError, match="the status 3"):
        read_findings(store.root, "third")


def test_verify_counts_findings_and_forget_removes_them(store: FeatureStore) -> None:
    store.write_dataset(index_of(1))
    write_findings(store.root, "photos", {key(1): Finding(FAILED, "cut")})
    found = verify(store)
    assert (found.n_part_findings, found.findings) == (1, [])
    told = found.to_dict()
    assert (told["n_part_findings"], told["findings"]) == (1, [])
    assert "1 file of what parts found out" in found.lines()[0]
    plan_forget(store, ["photos"], unused=False).run()
    assert not (store.root / "findings" / "photos").exists()


def test_features_of_an_image_that_could_not_be_read_lately_are_no_unused_ones(store: FeatureStore) -> None:
    digests = make_digests(4)
    feature_set = store.feature_set("resnet50", SPEC)
    feature_set.append(SPEC, digests, features_of(digests), {})
    store.write_dataset(make_index("photos", digests[:3]))
    unread = {digests[0].tobytes(): Finding(UNREAD, "Stale file handle")}
    write_findings(store.root, "photos", unread)
    plan = plan_forget(store, [], unused=True)
    assert plan.lines() == [f"1 row of {feature_set.id} that no dataset lists"]
    plan.run()
    assert feature_set.missing(digests).tolist() == [False, False, False, True]


def test_of_a_dataset_that_is_removed_in_this_moment_nothing_counts_as_unused(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def removed(*_: object) -> None:
        raise FileNotFoundError

    store.write_dataset(index_of(1))
    monkeypatch.setattr("stackbone.cache.findings.applied.read_index", removed)
    with pytest.raises(CacheError, match=r"'photos' in the cache .* was removed just now"):
        plan_forget(store, [], unused=True)


def test_other_programs_files_are_passed_over(tmp_path: Path) -> None:
    path = write_findings(tmp_path, "photos", {key(1): Finding(FAILED, "cut")})
    on_disk(path.parent / "notes.h5").write_bytes(b"?")
    on_disk(path.parent / ".writing-x").write_bytes(b"?")
    assert findings_files(tmp_path, "photos") == [path]
    module.forget_findings(tmp_path, "photos")
    assert sorted(os.listdir(on_disk(path.parent))) == [".writing-x", "notes.h5"]
