"""Corrected labels lie beside an index: they apply to an image and to the label that was corrected."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stackbone.cache import CorruptFileError, DatasetIndex, FeatureStore, empty_index
from stackbone.cache.corrections.batch import Batch, batch_files
from stackbone.cache.disk.digest import FileStamps
from stackbone.cache.upkeep.forget import plan_forget
from stackbone.cache.upkeep.summary import summarise
from stackbone.cache.upkeep.verify import verify


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
    return store.dataset().label


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
    second.rename(second.with_name(file.name[:7] + "00000000.h5"))
    assert labels(store) == ["dog", "dog", "dog"]


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
    assert "no longer applies" in notes(store)[0]


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
    content = bytearray(file.read_bytes())
    if damage == "of another dataset":
        store.add_corrections("others", batch("dog", "cat", "a"))
        content = bytearray(batch_files(store.root, "others")[0].read_bytes())
    content[-5] ^= damage == "flipped"
    file.write_bytes(content[: len(content) // 2] if damage == "cut" else content)
    with pytest.raises(CorruptFileError, match="`stackbone relabel` corrects again"):
        store.dataset()
    assert [each.path for each in verify(store, repair=True).findings if each.path.parent.name == "photos"] == [file]
    assert labels(store) == ["cat", "cat", "dog"]


def test_verify_counts_sound_corrections(store: FeatureStore) -> None:
    store.add_corrections("photos", batch("dog", "cat", "a"))
    found = verify(store)
    assert (found.n_corrections, found.findings) == (1, [])
    assert "1 file of corrected labels" in found.lines()[-1]
