"""Which feature sets are asked, steered ones among them, and their rows of length 1."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stackbone.cache import FeatureStore, SeenRecord, StackError, write_seen
from stackbone.extract.relabelling.relabel import relabel
from stackbone.stack.exploring.clusters.cluster import cluster
from stackbone.stack.exploring.explored import explore, of_length_1
from stackbone.stack.exploring.search import search
from stackbone.stack.exploring.similar import similar
from stackbone.stack.models.unlike.novelty import unit_rows
from tests.conftest import MakeCache
from tests.made.domain_caches import spec_of


@pytest.fixture
def store(tmp_path: Path, make_cache: MakeCache) -> FeatureStore:
    return make_cache(tmp_path / "features", ["cat", "dog"] * 6, backbones=["resnet50"])


def add_steered(store: FeatureStore, number: int) -> str:
    """Add the features of one steering of one way, which saw the first images; return their id."""
    digests = store.dataset().image_sha256
    steering = f"{number:064x}"
    spec = replace(spec_of("vit_base"), steering=steering)
    found = store.feature_set("vit_toast", spec)
    about = {"method": "toast", "stage": "tune", "backbone": "vit_base", "recipe": "ab" * 32, "division": None}
    write_seen(found.folder, SeenRecord(steering, digests[:3], {**about, "seed": number}))
    found.append(spec, digests, np.random.default_rng(number).normal(size=(12, 5)).astype(np.float32), {})
    return found.id


def test_a_backbone_that_was_steered_once_is_like_any_other_and_says_so(store: FeatureStore) -> None:
    add_steered(store, 1)
    found = explore(store, None, None)
    assert list(found.sets) == ["resnet50", "vit_toast"]
    (note,) = found.notes
    assert note.startswith("vit_toast was steered by labels")


def test_of_one_that_was_steered_several_times_a_feature_set_is_named(store: FeatureStore) -> None:
    ids = [add_steered(store, number) for number in (1, 2)]
    found = explore(store, None, None)
    assert list(found.sets) == ["resnet50"]
    assert "vit_toast was steered several times" in found.notes[0]
    assert any(each in found.notes[0] for each in ids)
    with pytest.raises(StackError, match="vit_toast was steered several times"):
        explore(store, None, "vit_toast")
    assert [each.id for each in explore(store, None, ids[0]).sets.values()] == [ids[0]]


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1.0, 1e18, 1e30])
def test_rows_of_any_length_get_length_1(scale: float) -> None:
    x = (scale * np.random.default_rng(0).normal(size=(20, 7))).astype(np.float32)
    np.testing.assert_allclose(of_length_1(x), unit_rows(x), atol=3e-7)
    x[3] = 0
    assert (of_length_1(x)[3] == 0).all()
    assert of_length_1(x[:0]).shape == (0, 7)


@pytest.mark.parametrize(
    ("label", "form", "why"),
    [
        ([f"{i}.5" for i in range(12)], "", "labels are numbers"),
        ([f"{i / 7:.3f}" for i in range(12)], "", "labels are numbers"),
        (["length=1|width=2"] * 12, "numbers", "labels are numbers"),
        (["cat|dog"] * 12, "sets", "an image can have several labels"),
        ([""] * 12, "", "no image has a label"),
        (["1", "2"] * 6, "", ""),
    ],
)
def test_numbers_and_sets_name_no_classes(store: FeatureStore, label: list[str], form: str, why: str) -> None:
    store.write_dataset(replace(store.dataset(), label=label, label_form=form))
    found = explore(store, None, None)
    assert (found.classes, found.unclassed) == (not why, why)
    near = similar(store, k=2)
    divided = cluster(store, n_clusters=2)
    assert bool(near.classes) == (not why)
    assert (divided.agreement is not None) == (not why)
    assert any(divided.clusters[0].name == name for name in ("1", "2", "cat")) == (not why or form == "sets")
    if why:
        assert f"nothing is said of classes: {why}" in near.notes


def test_corrected_labels_are_said_by_every_command(store: FeatureStore, tmp_path: Path) -> None:
    path = store.dataset().path
    (tmp_path / "fixes.csv").write_text(f"path,label\n{path[0]},dog\n{path[1]},cat\n")
    relabel(tmp_path / "fixes.csv", store)
    note = "2 labels corrected (`stackbone relabel --list` shows them)"
    notes = [search(path[0], store, k=2).notes, similar(store, k=2).notes, cluster(store, n_clusters=2).notes]
    assert [each.count(note) for each in notes] == [1, 1, 1]
