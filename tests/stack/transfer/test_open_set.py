"""Target images of classes that the source lacks: refused where they are far from all that was learnt, and counted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from stackbone.cache import FeatureStore
from stackbone.cache.text import from_json, to_json
from stackbone.stack.models.predict import predict
from stackbone.stack.models.unlike.novelty import UNLIKE, Novelty
from stackbone.stack.transfer.domains.parts import everything
from stackbone.stack.transfer.domains.settings import Setting
from stackbone.stack.transfer.open_set import _is_refused, count_refusals, known_images
from stackbone.stack.transfer.results.reading import read_transfer
from stackbone.stack.transfer.results.result_file import transfer_result, write_transfer
from stackbone.stack.transfer.results.scores import Refusals
from stackbone.stack.transfer.results.table import footnotes
from stackbone.stack.transfer.run import run_transfer
from tests.made.domain_caches import add_domain, labels_of

pytestmark = pytest.mark.usefixtures("one_blas_thread")

N_UNKNOWN = 12


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """Return a cache whose target has two classes more, and little noise, so that strangers lie apart."""
    store = FeatureStore(tmp_path_factory.mktemp("open") / "features")
    add_domain(store, "studio", labels_of(90), noise=0.6, seed=1)
    labels = [*labels_of(60), *labels_of(N_UNKNOWN, ("boot", "tie"))]
    splits = ["train", "test"] * (len(labels) // 2)
    add_domain(store, "phone", labels, shift=0.3, noise=0.6, splits=splits, seed=2)
    return store


def test_unknown_classes_are_refused_and_known_ones_are_not(store: FeatureStore) -> None:
    experiment = run_transfer(store, source="studio", target="phone", target_labels="few:8,all", methods="baseline")
    assert experiment.pair.unknown is not None
    assert experiment.n_target == 60
    for scores in experiment.scores:
        found = scores.refusals
        assert found is not None
        assert (found.n_unknown, found.n_known, set(found.classes)) == (N_UNKNOWN, 60, {"boot", "tie"})
        assert found.unknown == pytest.approx(np.mean(list(found.classes.values())))
        assert found.unknown > 0.9
        assert found.known < 0.1
        assert found.line in footnotes(scores)


def test_refusing_sees_no_label_beyond_the_setting(store: FeatureStore) -> None:
    experiment = run_transfer(store, source="studio", target="phone", target_labels="none", methods="baseline")
    pair, part = experiment.pair, experiment.parts[0]
    scrambled = replace(pair, target=replace(pair.target, labels=pair.target.labels[::-1]))
    for setting, is_same in ((Setting(0), True), (Setting(None), False)):
        novelties = [known_images(each, part, setting, 0) for each in (pair, scrambled)]
        kept = [None if each is None else each.features["resnet50"].tolist() for each in novelties]
        assert None not in kept
        assert (len(kept[0] or []) == len(part.source)) == is_same, "the source alone, or what is shown too"
    same = count_refusals(scrambled, experiment.parts, Setting(0), 0)
    assert same == experiment.scores[0].refusals


def test_of_a_split_what_is_in_it_counts(store: FeatureStore) -> None:
    experiment = run_transfer(store, source="studio", target="phone", split="test", methods="baseline")
    found = experiment.scores[0].refusals
    assert found is not None
    assert (found.n_unknown, found.n_known) == (N_UNKNOWN // 2, 30)


@pytest.mark.parametrize("has_unknown", [True, False])
def test_nothing_is_said_where_nothing_can_be_told(tmp_path: Path, *, has_unknown: bool) -> None:
    store = FeatureStore(tmp_path / "features")
    add_domain(store, "studio", labels_of(12 if has_unknown else 60), seed=1)
    add_domain(store, "phone", [*labels_of(12), *(["tie"] if has_unknown else [])], seed=2)
    experiment = run_transfer(store, source="studio", target="phone", target_labels="none", methods="baseline")
    assert experiment.scores[0].refusals is None
    assert "open_set" not in transfer_result(experiment)["settings"][0]


def test_a_result_keeps_what_is_refused(store: FeatureStore, tmp_path: Path) -> None:
    experiment = run_transfer(store, source="studio", target="phone", methods="baseline")
    write_transfer(experiment, tmp_path / "r.json")
    found = read_transfer(tmp_path / "r.json").scores[0].refusals
    assert found == experiment.scores[0].refusals
    assert from_json(to_json(transfer_result(experiment)))["settings"][0]["open_set"]["n_unknown"] == N_UNKNOWN


@pytest.mark.parametrize(("method", "n"), [("source-only", 90), ("target-only", 60), ("pooled", 150)])
def test_a_saved_model_tells_images_unlike_those_that_it_learnt_from(store: FeatureStore, method: str, n: int) -> None:
    experiment = run_transfer(
        store, source="studio", target="phone", methods="baseline", fit_model=True, save_method=method
    )
    model, pair = experiment.model, experiment.pair
    assert model is not None
    assert model.novelty is not None
    assert model.novelty.n_kept == n
    assert pair.unknown is not None
    answers = predict(model, pair.unknown.paths, pair.unknown.blocks)
    assert all(each.unlike for each in answers)
    own = known_images(pair, everything(pair, 0), Setting(None), 0, from_source=n != 60, from_target=n != 90)
    assert own is not None
    np.testing.assert_array_equal(own.calibration, model.novelty.calibration)


def test_an_image_is_refused_where_predict_marks_it() -> None:
    away = np.array([0.0, 0.0992, 0.1002, 0.2], np.float32)
    kept, asked = np.tile(np.array([1, 0], np.float16), (11, 1)), np.column_stack([np.ones(4), away]).astype(np.float32)
    novelty = Novelty({"resnet50": kept}, {"resnet50": 1.0}, 10, np.empty(0, np.float32))
    at = np.sort(novelty.distances("resnet50", asked))
    novelty = replace(novelty, calibration=np.array([*[at[0]] * 99, at[2]], np.float32))
    images = SimpleNamespace(blocks={"resnet50": asked})
    marked = novelty.further_than([novelty.distances("resnet50", asked)]) >= UNLIKE
    assert marked.tolist() == [False, True, True, True], "one and two are as far as exactly 99% of the others"
    assert _is_refused(novelty, images, np.arange(4)).tolist() == marked.tolist()  # type: ignore[arg-type]


def test_refusals_are_said_in_a_sentence() -> None:
    several = Refusals(12, 0.75, 60, 0.05, {"boot": 1.0, "tie": 0.5})
    assert several.line == (
        "open set: 75.0% of 12 images of classes that the source lacks ('boot' 100%, 'tie' 50%) would be refused as "
        "unlike all that was learnt from, and in error 5.0% of 60 images of known classes"
    )
    assert "('tie')" in Refusals(1, 1.0, 3, 0.0, {"tie": 1.0}).line
    assert Refusals(9, 0.0, 3, 0.0, dict.fromkeys("abcdefg", 0.0)).line.count("0%,") == 5
