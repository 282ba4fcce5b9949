"""Corrected labels lie beside an index: they apply to an image and to the label that was corrected."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stackbone.cache import CorruptFileError, DatasetIndex, FeatureStore, empty_index
from stackbone.cache.corrections import batch as batch_module
from stackbone.cache.corrections.batch import Batch, batch_files, write_batch
from stackbone.cache.disk.digest import FileStamps
from stackbone.cache.places.object_path import ObjectPath
from stackbone.cache.places.opened import read_place
from stackbone.cache.remote.objects import put_object
from stackbone.cache.upkeep.forget import plan_forget
from stackbone.cache.upkeep.summary import summarise
from stackbone.cache.upkeep.verify import verify
from tests.made.caches import on_disk


def digest(name: str) -> np.ndarray:
    return np.frombuffer(name.encode().ljust(32, b"."), np.uint8)


def index(files: dict[str, str], images: dict[str, str] | None = None, form: str = "") -> DatasetIndex:
    """Return an index of paths and labels; `images` names the bytes of those that are copies."""
    n = len(files)
    return replace(
        empty_index("photos", "/photos"),
        path=list(files),
        label=list(files.values()),
        split=[""] * n,
        group=[""] * n,
        image_sha256=np.stack([digest((images or {}).get(path, path)) for path in files]),
        status=np.zeros(n, np.uint8),
        reason=[""] * n,
        stamps=FileStamps(np.zeros((n, 4), np.int64)),
        label_form=form,
    )


def batch(label: str, was: str, *paths: str, form: str = "") -> Batch:
    n = len(paths)
    return Batch(list(paths), [label] * n, [was] * n, np.stack([digest(path) for path in paths]), form, "fixes.csv")


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    store = FeatureStore(tmp_path / "cache")
    store.write_dataset(index({"a": "cat", "b": "cat", "c": "dog"}))
    return store


def labels(store: FeatureStore) -> list[str]:
    return list(store.dataset().label)


def notes(store: FeatureStore) -> list[str]:
    found = store.dataset().corrected
    return [] if found is None else found.notes()


def test_a_dataset_without_corrections_has_none(store: FeatureStore) -> None:
    assert labels(store) == ["cat", "cat", "dog"]
    assert store.dataset().corrected is None


def test_corrections_apply_and_are_said_once(store: FeatureStore) -> None:
    store.add_corrections("photos", batch("dog", "cat", "a", "b"))
    assert labels(store) == ["dog", "dog", "dog"]
    assert notes(store) == ["2 labels corrected (`stackbone relabel --list` shows them)"]
    (summary,) = summarise(store).datasets
    assert summary.classes == {"dog": 3}
    assert "  note: 2 labels corrected (`stackbone relabel --list` shows them)" in summary.lines()


def test_an_empty_label_takes_the_label_away(store: FeatureStore) -> None:
    store.add_corrections("photos", batch("", "cat", "a"))
    assert labels(store) == ["", "cat", "dog"]


def test_the_last_of_several_batches_counts_and_undo_goes_back_one_by_one(store: FeatureStore) -> None:
    store.add_corrections("photos", batch("dog", "cat", "a"))
    store.add_corrections("photos", batch("bird", "cat", "a"))
    assert labels(store) == ["bird", "cat", "dog"]
    undone = store.undo_corrections("photos")
    assert undone is not None
    assert undone.label == ["bird"]
    assert labels(store) == ["dog", "cat", "dog"]
    store.undo_corrections("photos")
    assert labels(store) == ["cat", "cat", "dog"]
    assert store.undo_corrections("photos") is None


def test_correcting_back_to_the_own_label_leaves_nothing_corrected(store: FeatureStore) -> None:
    store.add_corrections("photos", batch("dog", "cat", "a"))
    store.add_corrections("photos", batch("cat", "cat", "a"))
    assert labels(store) == ["cat", "cat", "dog"]
    assert notes(store) == []


def test_two_writers_of_one_number_lose_nothing(store: FeatureStore) -> None:
    store.add_corrections("photos", batch("dog", "cat", "a"))
    (file,) = batch_files(store.root, "photos")
    store.add_corrections("photos", batch("dog", "cat", "b"))
    second = batch_files(store.root, "photos")[1]
    on_disk(second).rename(on_disk(second).with_name(file.name[:7] + "00000000.h5"))
    assert labels(store) == ["dog", "dog", "dog"]


def test_a_batch_comes_after_the_one_that_another_machine_has_just_written() -> None:
    root = ObjectPath("memory://corrections-machines/features")
    written = write_batch(root, "photos", batch("dog", "cat", "a"))
    folder = ObjectPath("memory://corrections-machines/features/corrections/photos")
    assert batch_files(root, "photos") == [written]
    put_object(f"{folder.url}/000007-00000000.h5", read_place(written, 1 << 20))  # not in the listing of a moment ago
    assert write_batch(root, "photos", batch("cat", "dog", "a")).name.startswith("000008-")


@pytest.mark.parametrize("names", [("00000000", "ffffffff"), ("ffffffff", "00000000")])
def test_of_two_batches_of_one_number_the_later_made_counts_and_is_taken_back(
    store: FeatureStore, names: tuple[str, str]
) -> None:
    store.add_corrections("photos", batch("dog", "cat", "a"))
    time.sleep(0.003)
    store.add_corrections("photos", batch("emu", "cat", "a"))
    for file, name in zip(batch_files(store.root, "photos"), names, strict=True):
        on_disk(file).rename(on_disk(file).with_name(f"000001-{name}.h5"))
    assert labels(store) == ["emu", "cat", "dog"]
    undone = store.undo_corrections("photos")
    assert undone is not None
    assert undone.label == ["emu"]
    assert labels(store) == ["dog", "cat", "dog"]


@pytest.mark.parametrize("when", ["before it is read", "before it is removed"])
def test_two_undos_side_by_side_take_back_two_batches(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    for label in ("dog", "emu", "bird"):
        store.add_corrections("photos", batch(label, "cat", "a"))
    last = batch_files(store.root, "photos")[-1]
    read, unlink = batch_module.read_batch, Path.unlink

    def read_late(path: Path) -> Batch:
        if path == last and last.exists():
            unlink(last)
        return read(path)

    def unlink_late(path: Path, missing_ok: bool = False) -> None:  # noqa: FBT001, FBT002 - as pathlib has it
        if path == last and last.exists():
            unlink(last)
        unlink(path, missing_ok=missing_ok)

    if when == "before it is read":
        monkeypatch.setattr(batch_module, "read_batch", read_late)
    else:
        monkeypatch.setattr(Path, "unlink", unlink_late)
    undone = store.undo_corrections("photos")
    assert undone is not None
    assert undone.label == ["emu"]
    assert labels(store) == ["dog", "cat", "dog"]


def test_an_undo_leaves_the_folder_to_whoever_is_about_to_write(store: FeatureStore) -> None:
    store.add_corrections("photos", batch("dog", "cat", "a"))
    store.undo_corrections("photos")
    assert (store.root / "corrections" / "photos").is_dir()


def test_corrections_follow_an_image_that_moves_and_its_copies(store: FeatureStore) -> None:
    store.add_corrections("photos", batch("dog", "cat", "a"))
    store.write_dataset(index({"moved": "cat", "copy": "cat", "c": "dog"}, {"moved": "a", "copy": "a"}))
    assert labels(store) == ["dog", "dog", "dog"]


def test_a_label_that_the_dataset_itself_changed_since_stands(store: FeatureStore) -> None:
    store.add_corrections("photos", batch("dog", "cat", "a", "b"))
    store.write_dataset(index({"a": "bird", "b": "dog", "c": "dog"}))
    assert labels(store) == ["bird", "dog", "dog"]
    (note,) = notes(store)
    assert (
        note
        == "a correction no longer applies: of an image whose label the dataset itself has changed since, such as 'a'"
    )


def test_corrections_of_images_that_left_are_said(store: FeatureStore) -> None:
    store.add_corrections("photos", batch("dog", "cat", "a", "b"))
    store.write_dataset(index({"c": "dog"}))
    (note,) = notes(store)
    assert note == "2 corrections no longer apply: of images that the dataset no longer has, such as 'a'"


def test_corrections_of_another_form_of_label_do_not_apply(store: FeatureStore) -> None:
    store.add_corrections("photos", batch("dog", "cat", "a"))
    store.write_dataset(index({"a": "cat", "b": "cat|dog"}, form="sets"))
    assert labels(store) == ["cat", "cat|dog"]
    what = "of an image that was corrected when the dataset's labels were of another form, such as 'a'"
    assert notes(store) == [f"a correction no longer applies: {what}"]


@pytest.mark.parametrize(
    ("own", "now"),
    [
        ({"a": "cat", "copy": "bird"}, ["dog", "bird"]),  # the correction still applies to the first file
        ({"copy": "bird", "a": "cat"}, ["bird", "dog"]),
        ({"a": "dog", "copy": "bird"}, ["dog", "bird"]),  # the dataset says so itself by now
    ],
)
def test_a_copy_in_another_folder_is_no_change_of_what_was_corrected(
    store: FeatureStore, own: dict[str, str], now: list[str]
) -> None:
    store.add_corrections("photos", batch("dog", "cat", "a"))
    store.write_dataset(index(own, {"copy": "a"}))
    assert labels(store) == now
    assert not any("no longer" in note for note in notes(store))


def test_an_image_of_which_no_file_matches_is_said_once(store: FeatureStore) -> None:
    store.add_corrections("photos", batch("dog", "cat", "a"))
    store.write_dataset(index({"a": "bird", "copy": "emu"}, {"copy": "a"}))
    assert labels(store) == ["bird", "emu"]
    (note,) = notes(store)
    assert note.startswith("a correction no longer applies: of an image whose label the dataset itself has changed")


@pytest.mark.parametrize("between", [[], [("emu", "dog")], [("emu", "dog"), ("cat", "emu")]])
def test_an_old_correction_does_not_come_back(store: FeatureStore, between: list[tuple[str, str]]) -> None:
    store.add_corrections("photos", batch("cat", "dog", "a"))  # then the file is moved to cat/
    for label, was in between:
        store.add_corrections("photos", batch(label, was, "a"))
    store.add_corrections("photos", batch("dog", "cat", "a"))  # and then moved back to dog/
    store.write_dataset(index({"a": "dog"}))
    assert labels(store) == ["dog"]
    assert notes(store) == []
    store.add_corrections("photos", batch("cat", "dog", "a"))
    assert labels(store) == ["cat"]


def test_a_correction_back_that_was_itself_corrected_leaves_the_files_right(store: FeatureStore) -> None:
    for label, was in (("cat", "dog"), ("dog", "cat"), ("emu", "cat")):
        store.add_corrections("photos", batch(label, was, "a"))
    store.write_dataset(index({"a": "dog"}))
    assert labels(store) == ["dog"]
    assert "the dataset itself has changed since" in notes(store)[0]


def test_an_index_that_is_written_again_keeps_its_own_labels(store: FeatureStore) -> None:
    store.add_corrections("photos", batch("dog", "cat", "a"))
    store.write_dataset(store.dataset())
    store.undo_corrections("photos")
    assert labels(store) == ["cat", "cat", "dog"]


def test_forget_takes_corrections_with_their_dataset(store: FeatureStore) -> None:
    store.add_corrections("photos", batch("dog", "cat", "a"))
    plan = plan_forget(store, ["photos"], unused=False)
    assert plan.lines() == ["the dataset photos and 1 file of its corrected labels (its images' features stay)"]
    plan.run()
    assert not (store.root / "corrections" / "photos").exists()


@pytest.mark.parametrize("damage", ["cut", "flipped", "of another dataset"])
def test_damaged_corrections_are_refused_and_set_aside(store: FeatureStore, damage: str) -> None:
    store.add_corrections("photos", batch("dog", "cat", "a"))
    (file,) = batch_files(store.root, "photos")
    content = bytearray(on_disk(file).read_bytes())
    if damage == "of another dataset":
        store.add_corrections("others", batch("dog", "cat", "a"))
        content = bytearray(on_disk(batch_files(store.root, "others")[0]).read_bytes())
    content[-5] ^= damage == "flipped"
    on_disk(file).write_bytes(content[: len(content) // 2] if damage == "cut" else content)
    with pytest.raises(
        CorruptFileError, match="`stackbone verify --repair` to set it aside, then `stackbone relabel TABLE`"
    ):
        store.dataset()
    found = verify(store, repair=True)
    assert [each.path for each in found.findings if each.path.parent.name == "photos"] == [file]
    assert "refill" not in found.lines()[-1], "no features went with it"
    assert labels(store) == ["cat", "cat", "dog"]


def test_verify_counts_sound_corrections(store: FeatureStore) -> None:
    store.add_corrections("photos", batch("dog", "cat", "a"))
    found = verify(store)
    assert (found.n_corrections, found.findings) == (1, [])
    assert "1 file of corrected labels" in found.lines()[-1]
