"""The model that a transfer saves: which method, what it has seen, and what it says of itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stackbone.cache import FeatureStore, UsageError
from stackbone.stack import load_model, save_model
from stackbone.stack.metrics.compare import Difference
from stackbone.stack.transfer.classifier import fit_classifier
from stackbone.stack.transfer.final_model import with_model
from stackbone.stack.transfer.registry import METHODS
from stackbone.stack.transfer.run import run_transfer
from tests.made.spying_method import Spy

pytestmark = pytest.mark.usefixtures("one_blas_thread")

BASELINES = ["source-only", "target-only", "pooled"]


@pytest.mark.parametrize("name", BASELINES)
def test_a_saved_model_answers_as_the_method_and_says_whose_statistics_it_uses(
    two_domains: FeatureStore, tmp_path: Path, name: str
) -> None:
    found = run_transfer(
        two_domains,
        source="studio",
        target="phone",
        target_labels="few:3",
        methods="baseline",
        fit_model=True,
        save_method=name,
    )
    assert found.model is not None
    save_model(found.model, tmp_path / "model")
    model = load_model(tmp_path / "model")
    assert model.transfer == {
        "method": name,
        "source": "studio",
        "target": "phone",
        "target_labels": "few:3",
        "statistics": METHODS[name].statistics,
    }
    assert f"for phone by {name} from studio (target labels: few:3)" in model.describe()
    assert METHODS[name].statistics in model.describe()
    pair = found.pair
    blocks = pair.target.blocks
    said = np.exp(model.log_probabilities(blocks))
    if name == "source-only":
        fits = [fit_classifier(pair.source.blocks[each], pair.source_codes, 3, seed=0) for each in blocks]
        mean = np.mean([fit.predict_proba(blocks[each]) for fit, each in zip(fits, blocks, strict=True)], axis=0)
        assert said == pytest.approx(mean, abs=1e-6)
    n = {"source-only": 60, "target-only": 9, "pooled": 69}[name]
    known = model.knows(np.concatenate([pair.source.digests, pair.target.digests]))
    assert (model.n_images, int(known.sum()) if known is not None else None) == (n, n)


def test_what_is_no_linear_map_is_refused_before_the_work(two_domains: FeatureStore) -> None:
    for asked in ({"methods": "tca"}, {"methods": "all", "save_method": "tca"}):
        with pytest.raises(UsageError, match=r"tca is no linear map of features.*--save-method pooled"):
            run_transfer(two_domains, source="no such", target="phone", fit_model=True, **asked)  # type: ignore[arg-type]


def test_a_method_that_turns_out_to_be_no_linear_map_is_not_saved(two_domains: FeatureStore, spy: Spy) -> None:
    spy.gives_map = False
    found = run_transfer(two_domains, source="studio", target="phone", methods="spy")
    with pytest.raises(UsageError, match="spy is no linear map"):
        with_model(found)


def test_the_best_baseline_is_saved_where_no_method_is_named(two_domains: FeatureStore) -> None:
    found = run_transfer(two_domains, source="studio", target="phone", methods="baseline", fit_model=True)
    assert found.model is not None
    assert found.model.transfer is not None
    assert found.model.transfer["method"] == found.scores[0].best_baseline


@pytest.mark.parametrize(("p_value", "is_saved"), [(0.001, True), (0.04, False), (None, False)])
def test_a_method_is_saved_unasked_where_it_beats_the_baselines_beyond_chance(
    two_domains: FeatureStore, p_value: float | None, *, is_saved: bool
) -> None:
    found = run_transfer(two_domains, source="studio", target="phone", methods="coral,standardise")
    [scores] = found.scores
    better = Difference(0.05, 0.01, 0.09, p_value, "as told")
    results = [replace(each, difference=better) if each.method == "coral" else each for each in scores.results]
    made = with_model(replace(found, scores=[replace(scores, results=results)])).model
    assert made is not None
    assert made.transfer is not None
    assert made.transfer["method"] == ("coral" if is_saved else scores.best_baseline)


def test_a_method_that_was_not_run_is_not_saved(two_domains: FeatureStore) -> None:
    found = run_transfer(two_domains, source="studio", target="phone", target_labels="none", methods="l2sp")
    with pytest.raises(UsageError, match=r"l2sp cannot be saved, since it was not run: needs labels.*: source-only$"):
        with_model(found)
