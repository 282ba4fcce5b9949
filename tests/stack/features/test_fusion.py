"""Outputs of one network are one member of the stack, whose parts are weighed: in scores, in files, in what is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import log_softmax

from made_report import record_of
from stackbone.cache import FeatureSpec, FeatureStore, ModelError, UsageError
from stackbone.cache.records.parts import Part, RowForm
from stackbone.stack import (
    StackOptions,
    evaluate,
    load_model,
    run_experiment,
    save_model,
    stack_options,
    stratified_folds,
)
from stackbone.stack.experiments.learning_curve import learning_curves
from stackbone.stack.experiments.provenance import repeat_commands
from stackbone.stack.experiments.reproduce import reproduce_experiment
from stackbone.stack.experiments.result_file import write_result
from stackbone.stack.experiments.self_check import run_self_check
from stackbone.stack.features.fusion import fuse
from stackbone.stack.features.join import join_features
from stackbone.stack.learners.bases.lr import score_classes
from stackbone.stack.learners.member import Member
from stackbone.stack.report.context import ReportOptions
from stackbone.stack.report.report import collect_report
from stackbone.stack.report.sections.backbones import BackbonesRecord
from stackbone.stack.report.sections.layers import LayersRecord
from stackbone.stack.tables.verdict import verdict
from tests.made.caches import make_digests, make_index

pytestmark = pytest.mark.usefixtures("one_blas_thread")

N, N_CLASSES = 90, 3
LABELS = [f"class {i % N_CLASSES}" for i in range(N)]
STAGES = (Part("stage1", 4), Part("stage2", 6))
FIXED = StackOptions(c=0.1, inner_splits=3)
PAIR = "net@pooled+stages"


def spec(architecture: str, **changed: Any) -> FeatureSpec:  # noqa: ANN401
    half = (0.5, 0.5, 0.5)
    plain = FeatureSpec(architecture, "random(0)", (224, 224), 0.875, "center", "bicubic", half, half, "avg")
    return replace(plain, **changed)


def features(dim: int, seed: int, *, known: bool = True) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((N_CLASSES, dim)) * known
    return (centres[np.arange(N) % N_CLASSES] + rng.standard_normal((N, dim))).astype(np.float32)


def add(store: FeatureStore, made: FeatureSpec, x: NDArray[np.float32], form: RowForm | None = None) -> None:
    store.feature_set(made.architecture, made).append(made, make_digests(N), x, {}, form)


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    """Return a cache of two networks, of which one is read at two places."""
    store = FeatureStore(tmp_path / "features")
    add(store, spec("net"), features(8, 0))
    stages = np.hstack([features(4, 1, known=False), features(6, 2)])
    add(store, spec("net", output="stages"), stages, RowForm(STAGES))
    add(store, spec("other"), features(5, 3))
    store.write_dataset(make_index("photos", make_digests(N), LABELS))
    return store


def rows_of(found: Any, prefix: str) -> list[str]:  # noqa: ANN401
    return [each.model for each in found.evaluation.results if each.model.startswith(prefix)]


@pytest.mark.parametrize(
    ("fusion", "expected"),
    [
        ("parts", [Member(PAIR, ("net", "net@stages"), (("pooled", 8), ("stage1", 4), ("stage2", 6))), ("other", 5)]),
        ("concat", [Member(PAIR, ("net", "net@stages")), ("other", None)]),
        ("none", [("net", None), ("net@stages", None), ("other", None)]),
    ],
)
def test_outputs_of_a_network_are_put_together_as_asked(
    store: FeatureStore, fusion: str, expected: list[Member | tuple[str, int | None]]
) -> None:
    joined = join_features(store, backbones="net,net@stages,other")
    one = [
        each if isinstance(each, Member) else Member(each[0], (each[0],), (("pooled", each[1]),) if each[1] else ())
        for each in expected
    ]
    assert fuse(joined, fusion) == one


@pytest.mark.parametrize(
    "changed", [{"crop_fraction": 0.5}, {"precision": "bf16"}, {"input_size": (160, 160)}, {"weights": "random(1)"}]
)
def test_what_sees_other_pixels_or_has_other_weights_is_another_network(
    store: FeatureStore, changed: dict[str, Any]
) -> None:
    add(store, spec("net", output="blocks", **changed), features(6, 4), RowForm((Part("block1.cls", 6),)))
    members = fuse(join_features(store), "parts")
    assert sorted(len(each.blocks) for each in members) == [1, 1, 2]
    assert {len(each.name) for each in members} != {0}


def test_parts_of_one_name_are_told_apart(store: FeatureStore) -> None:
    add(store, spec("net", output="blocks"), features(6, 4), RowForm((Part("pooled", 6),)))
    (member,) = fuse(join_features(store, backbones="net,net@blocks"), "parts")
    assert [name for name, _ in member.parts] == ["net pooled", "net@blocks pooled"]


@pytest.mark.parametrize("fusion", ["parts", "concat"])
def test_the_stack_has_one_row_for_each_network(store: FeatureStore, fusion: str) -> None:
    found = run_experiment(store, options=replace(FIXED, fusion=fusion))
    assert rows_of(found, "lr:") == [f"lr:{PAIR}", "lr:other"]
    assert list(found.evaluation.without) == [PAIR, "other"]
    assert list(found.evaluation.shares) == [PAIR, "other"]
    assert list(found.backbones) == ["net", "net@stages", "other"]
    told = found.to_dict()["parts"]
    assert list(told) == ([PAIR] if fusion == "parts" else [])
    if told:
        pooled, first, second = told[PAIR]
        assert [each["name"] for each in told[PAIR]] == ["pooled", "stage1", "stage2"]
        assert len(pooled["factors"]) == 3
        assert np.mean(second["losses"]) > np.mean(first["losses"])
        for fold in range(3):
            assert sum(each["shares"][fold] for each in told[PAIR]) == pytest.approx(1)


def test_outputs_side_by_side_are_what_concat_of_them_is(store: FeatureStore) -> None:
    alone = run_experiment(store, backbones="net,net@stages", options=replace(FIXED, fusion="concat"))
    apart = run_experiment(store, backbones="net,net@stages", options=replace(FIXED, fusion="none"))
    assert alone.evaluation.score(f"lr:{PAIR}").folds == apart.evaluation.score("concat").folds
    assert rows_of(apart, "lr:") == ["lr:net", "lr:net@stages"]


def test_concat_of_one_network_knows_no_parts_as_the_model_that_it_saves(store: FeatureStore) -> None:
    asked = ("concat", "oof")
    weighed = run_experiment(store, backbones="net,net@stages", options=FIXED, recipes=asked, with_model=True)
    plain = run_experiment(store, backbones="net,net@stages", options=replace(FIXED, fusion="concat"), recipes=asked)
    assert weighed.evaluation.score("concat").metrics == plain.evaluation.score("concat").metrics
    assert weighed.evaluation.score("concat").metrics != weighed.evaluation.score(f"lr:{PAIR}").metrics
    x = np.hstack([weighed.joined.blocks[name] for name in ("net", "net@stages")])
    y = np.arange(N) % N_CLASSES
    fitted = score_classes(x, y, x, N_CLASSES, stratified_folds(np.array(LABELS), 3, 0), [0.1])
    assert weighed.model is not None
    said = weighed.model.log_probabilities(dict(weighed.joined.blocks))
    np.testing.assert_allclose(said, log_softmax(fitted.test.astype(np.float64), axis=1), atol=1e-3)


def test_scores_are_kept_by_fusion_and_found_again(store: FeatureStore) -> None:
    first = run_experiment(store, options=FIXED)
    again = run_experiment(store, options=FIXED)
    assert again.evaluation.n_from_cache > first.evaluation.n_from_cache == 0
    assert again.evaluation.parts == first.evaluation.parts != {}
    assert again.evaluation.results == first.evaluation.results
    other = run_experiment(store, options=replace(FIXED, fusion="concat"))
    assert other.evaluation.parts == {}
    assert other.evaluation.score(f"lr:{PAIR}").metrics != first.evaluation.score(f"lr:{PAIR}").metrics


@pytest.mark.parametrize("meta", ["svm", "mean"])
@pytest.mark.parametrize("fusion", ["parts", "none"])
def test_a_saved_model_adds_up_the_outputs_of_a_network(
    store: FeatureStore, tmp_path: Path, fusion: str, meta: str
) -> None:
    options = stack_options(c=0.1, inner_splits=3, fusion=fusion, meta=meta)
    found = run_experiment(store, options=options, with_model=True)
    model = found.model
    assert model is not None
    assert model.members == ([2, 1] if fusion == "parts" else None)
    assert [each.name for each in model.backbones] == ["net", "net@stages", "other"]
    file = tmp_path / "model.safetensors"
    save_model(model, file)
    loaded = load_model(file)
    assert loaded.members == model.members
    blocks = dict(found.joined.blocks)
    said = loaded.log_probabilities(blocks)
    np.testing.assert_array_equal(said, model.log_probabilities(blocks))
    assert (said.argmax(axis=1) == np.arange(N) % N_CLASSES).mean() > 0.8


@pytest.mark.parametrize("members", [[1, 1], [2, 2], [3, 0], [4, -1], []])
def test_members_that_do_not_add_up_to_the_backbones_are_refused(store: FeatureStore, members: list[int]) -> None:
    model = run_experiment(store, options=FIXED, with_model=True).model
    assert model is not None
    with pytest.raises(ModelError, match=r"its members have .* backbones, and it has 3"):
        replace(model, members=members)


def test_a_result_is_repeated_with_its_fusion(store: FeatureStore, tmp_path: Path) -> None:
    found = run_experiment(store, options=replace(FIXED, fusion="none"))
    file = tmp_path / "result.json"
    write_result(found, file)
    assert reproduce_experiment(file, store).evaluation.results == found.evaluation.results
    assert any("--fusion none" in line for line in repeat_commands(found, store))


def test_learning_curves_and_the_self_check_know_members(store: FeatureStore) -> None:
    found = run_experiment(store, options=FIXED)
    assert [each.model for each in learning_curves(found, store)][1:] == ["stack:oof"]
    assert "chance" in run_self_check(store, options=FIXED)


def test_numbers_are_fused_too(store: FeatureStore) -> None:
    x = features(6, 2)
    store.write_dataset(make_index("photos", make_digests(N), [f"{value:.4f}" for value in x[:, 0]]))
    options = stack_options("regression", inner_splits=3)
    found = run_experiment(store, task="regression", options=options, with_model=True)
    assert rows_of(found, "ridge:") == [f"ridge:{PAIR}", "ridge:other"]
    carried = {each.name: np.mean(each.losses) for each in found.evaluation.parts[PAIR]}
    assert max(carried, key=lambda name: carried[name]) == "stage2"
    assert found.model is not None
    assert np.corrcoef(found.model.predict_values(found.joined.blocks), x[:, 0])[0, 1] > 0.9


def test_an_unknown_fusion_is_named_with_the_known_ones(store: FeatureStore) -> None:
    with pytest.raises(UsageError, match=r"fusion.*'part'.*parts"):
        stack_options(fusion="part")
    with pytest.raises(UsageError, match="concat"):
        fuse(join_features(store), "lasso")


def test_members_of_made_blocks_need_no_cache() -> None:
    blocks = {"a": features(5, 0), "b": features(4, 1), "c": features(3, 2)}
    members = [Member("ab", ("a", "b"), (("a", 5), ("b", 4))), Member("c", ("c",))]
    y = np.array(LABELS)
    found = evaluate(blocks, y, stratified_folds(y, 3, 0), members=members, options=FIXED, recipes=("oof",))
    assert [each.model for each in found.results][:2] == ["lr:ab", "lr:c"]
    assert [each.name for each in found.parts["ab"]] == ["a", "b"]


def test_the_report_tells_layers_and_what_a_network_costs_in_all(store: FeatureStore) -> None:
    fused, apart = (run_experiment(store, options=replace(FIXED, fusion=each)) for each in ("parts", "none"))
    reports = [collect_report(each, store, ReportOptions(projection="pca")) for each in (fused, apart)]
    assert [any(part.section.name == "layers" for part in each.parts) for each in reports] == [True, False]
    assert {name: len(each) for name, each in record_of(reports[0], LayersRecord).parts.items()} == {PAIR: 3}
    costs = [{cost.backbone: cost.dim for cost in record_of(each, BackbonesRecord).costs} for each in reports]
    assert costs == [{PAIR: 18, "other": 5}, {"net": 8, "net@stages": 10, "other": 5}]


def test_the_outputs_of_the_best_network_are_advised_by_the_names_that_people_type(store: FeatureStore) -> None:
    found = run_experiment(store, options=FIXED)
    worse = [
        each if each.model == f"lr:{PAIR}" else replace(each, folds=[0.1] * 3) for each in found.evaluation.results
    ]
    said = verdict(replace(found, evaluation=replace(found.evaluation, results=worse)))
    assert "--backbones net,net@stages uses that one alone" in said.comparison
