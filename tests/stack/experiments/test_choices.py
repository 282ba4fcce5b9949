"""A metric, class weights and a column of weights decide an experiment from the choice of C to the saved model."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stackbone.cache import FeatureSpec, FeatureStore, SeenRecord, StackError, UsageError
from stackbone.cache.records.seen import write_seen
from stackbone.stack import Experiment, StackOptions, load_model, run_experiment, stack_options
from stackbone.stack.experiments.reproduce import reproduce_experiment
from stackbone.stack.experiments.result_file import write_result
from stackbone.stack.metrics.metrics import METRICS
from stackbone.stack.report.context import Context, ReportOptions
from stackbone.stack.report.figures.backbone_figures import draw_ablation
from stackbone.stack.report.sections.learning import Learning
from stackbone.stack.report.sections.scores import Scores, draw_models
from stackbone.stack.tables import table
from stackbone.stack.tables.lessons import lessons
from stackbone.stack.tables.losses import losses
from stackbone.stack.tables.metric_names import primary_metric, titles
from stackbone.stack.tables.verdict import verdict

pytestmark = pytest.mark.usefixtures("one_blas_thread")

N = 132
LABELS = [("common", "common", "rare")[i % 3] if i < 18 else "common" for i in range(N)]  # 126 and 6
EVEN = [f"class {i % 3}" for i in range(60)]
Make = Callable[..., FeatureStore]


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory, make_cache: Make) -> FeatureStore:
    return make_cache(tmp_path_factory.mktemp("uneven"), LABELS, noise=4.0)


@pytest.fixture(scope="module")
def even(tmp_path_factory: pytest.TempPathFactory, make_cache: Make) -> FeatureStore:
    splits = ["test" if i % 2 else "train" for i in range(len(EVEN))]
    return make_cache(tmp_path_factory.mktemp("even"), EVEN, noise=4.0, splits=splits)


def asked(**choices: object) -> StackOptions:
    return stack_options(c=0.1, inner_splits=2, **choices)  # type: ignore[arg-type]


def weighed(make_cache: Make, folder: Path, cells: Sequence[str], labels: Sequence[str] = EVEN) -> FeatureStore:
    """Return a cache whose dataset has a column ``worth``."""
    store = make_cache(folder, labels, noise=4.0)
    store.write_dataset(replace(store.dataset("photos"), columns={"worth": list(cells), "notes": [""] * len(labels)}))
    return store


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({}, "--metric balanced-accuracy to count all classes alike and --class-weight balanced to learn from each"),
        ({"metric": "accuracy", "class_weight": "balanced"}, "--metric balanced-accuracy to count all classes alike$"),
        ({"metric": "macro-f1"}, None),
    ],
)
def test_accuracy_of_uneven_classes_has_a_note_that_says_what_to_type(
    uneven: FeatureStore, choices: dict[str, str], words: str | None
) -> None:
    notes = run_experiment(uneven, options=asked(**choices)).joined.notes
    found = [each for each in notes if "classes so uneven" in each]
    if words is None:
        assert not found
        return
    (note,) = found
    assert note.startswith("126 images of common and 6 of rare: ")
    assert re.search(words, note)


def test_even_classes_have_no_such_note_and_the_result_is_as_ever(even: FeatureStore) -> None:
    content = run_experiment(even, options=asked()).to_dict()
    assert not any("uneven" in note for note in content["notes"])
    assert not {"metric", "class_weight", "weight_column"} & set(content)
    assert list(content["results"][0]) == ["model", "accuracy", "macro_f1", "log_loss", "calibration_error"]


@pytest.mark.parametrize("metric", ["balanced_accuracy", "log_loss", "roc_auc"])
@pytest.mark.parametrize("division", [{"cv": 2}, {"split": "test"}])
def test_the_metric_ranks_and_is_what_everything_speaks_of(
    even: FeatureStore, metric: str, division: dict[str, object]
) -> None:
    found = run_experiment(even, options=asked(metric=metric), **division, with_model=True)  # type: ignore[arg-type]
    results = found.evaluation.results
    assert {each.primary_metric for each in results} == {metric}
    best = found.kind.best(found.evaluation)
    assert best is not None
    singles = [each for each in results if each.model.startswith(("lr:", "svm:"))]
    assert best.merit == max(each.merit for each in singles)
    assert best.model == found.findings.single
    difference, stack = found.findings.difference, found.evaluation.score("stack:oof")
    assert difference is not None
    assert difference.mean == pytest.approx(stack.merit - best.merit)
    assert found.model is not None
    assert list(found.model.score) == [metric]
    told = str(verdict(found))
    assert f"{stack.mean:.3f}" in told
    lower = metric == "log_loss"
    if difference.low is not None:
        assert ("interval of the gain" in told) == lower
    assert table.header(found)[1] == {"log_loss": "log-loss", "roc_auc": "ROC AUC"}.get(metric, "balanced accuracy")
    assert "accuracy" in table.header(found)
    assert all(math.isfinite(float(cell)) for row in table.rows(found) for cell in row[1:3])
    assert lessons(found)
    record = Scores().collect(Context(found, even))
    assert record.best.mean == (min if lower else max)(each.mean for each in record.models)
    shown = [each.interval for each in record.models if each.interval is not None]
    assert all(low <= high for low, high in shown)
    assert draw_models(record).layout["xaxis"]["title"]["text"] == record.metric


def test_models_without_probabilities_are_left_out_and_named(even: FeatureStore) -> None:
    found = run_experiment(even, options=asked(metric="log-loss"))
    assert [each.model for each in found.evaluation.results] == [
        *("lr:resnet50", "lr:vgg19", "mean", "concat", "stack:oof")
    ]
    note = "svm:*, stack:published give no probabilities, which --metric log-loss needs: no table of it has them"
    assert note in found.joined.notes
    with pytest.raises(UsageError, match="--metric log-loss needs probabilities, and the recipe published gives none"):
        run_experiment(even, options=asked(metric="log-loss"), recipes=["published"])
    alone = run_experiment(even, options=asked(metric="log-loss"), recipes=["oof"])
    assert note in alone.joined.notes, "what is said does not hang on the recipes, so that a result says it again"


@pytest.mark.parametrize("metric", ["mae", "neg_root_mean_squared_error", "r2"])
@pytest.mark.parametrize("division", [{"cv": 2}, {"split": "test"}])
def test_regressions_have_metrics_too(
    tmp_path: Path, make_cache: Make, metric: str, division: dict[str, object]
) -> None:
    labels = [str(i) for i in range(60)]
    store = make_cache(tmp_path, labels, noise=20.0, splits=["test" if i % 2 else "train" for i in range(60)])
    options = stack_options("regression", metric=metric)
    found = run_experiment(store, task="regression", options=options, **division)  # type: ignore[arg-type]
    assert {each.primary_metric for each in found.evaluation.results} == {options.metric}
    best = found.evaluation.best("ridge:")
    assert best is not None
    assert best.merit == max(each.merit for each in found.evaluation.results if each.model.startswith("ridge:"))
    assert found.findings.difference is not None
    assert "95% interval" in str(verdict(found))


def test_a_model_is_saved_with_the_weights_of_its_classes(uneven: FeatureStore, tmp_path: Path) -> None:
    def rare(found: Experiment) -> float:
        assert found.model is not None
        blocks = found.joined.blocks
        said = found.model.log_probabilities(blocks)
        return float(np.exp(said[:, found.model.classes.index("rare")]).mean())

    plain = run_experiment(uneven, options=asked(), with_model=True)
    balanced = run_experiment(uneven, options=asked(class_weight="balanced"), with_model=True)
    assert rare(balanced) > rare(plain)
    given = run_experiment(uneven, options=asked(class_weight={"common": 1.0, "rare": 21.0}), with_model=True)
    assert rare(given) == pytest.approx(rare(balanced), abs=1e-3)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("metric", 7),
        ("metric", "speed"),
        ("class_weight", "/etc/hostname"),
        ("class_weight", [1]),
        ("weight_column", 3),
    ],
)
def test_a_result_with_choices_that_make_no_sense_is_no_result(
    even: FeatureStore, tmp_path: Path, field: str, value: object
) -> None:
    file = tmp_path / "result.json"
    write_result(run_experiment(even, options=asked()), file)
    file.write_text(json.dumps(json.loads(file.read_text()) | {field: value}))
    with pytest.raises(StackError, match="is not a valid result: its options are not as they are written"):
        reproduce_experiment(file, even)


def test_a_column_of_weights_counts_and_is_repeated(tmp_path: Path, make_cache: Make) -> None:
    cells = ["0" if i < 6 else "3" if i % 2 else "1.5" for i in range(len(EVEN))]
    store = weighed(make_cache, tmp_path / "features", cells)
    found = run_experiment(store, options=asked(weight_column="worth"), with_model=True)
    assert found.n_images == len(EVEN) - 6
    assert "6 images of weight 0 (worth) take no part" in found.joined.notes
    assert "images count by the column 'worth', in what is learnt and in the scores of all models" in found.joined.notes
    assert found.weights is not None
    assert sorted(set(found.weights.tolist())) == [1.5, 3.0]
    y = np.array(found.joined.labels)
    fold, said = found.folds[0], found.evaluation.predictions["lr:vgg19"][0]
    right = found.truth.classes[said.scores.argmax(axis=1)] == y[fold.test]
    expected = np.average(right, weights=found.weights[fold.test])
    assert found.evaluation.score("lr:vgg19").folds[0] == pytest.approx(expected)
    write_result(found, tmp_path / "result.json")
    again = reproduce_experiment(tmp_path / "result.json", store)
    assert again.options.weight_column == "worth"
    assert again.evaluation.n_from_cache > 0
    changed = weighed(make_cache, tmp_path / "features", [cell.replace("3", "9") for cell in cells])
    with pytest.raises(StackError, match="does not describe what is in the cache"):
        reproduce_experiment(tmp_path / "result.json", changed)


@pytest.mark.parametrize(
    ("cells", "column", "error", "words"),
    [
        (
            ["1"] * 59 + ["-1"],
            "worth",
            StackError,
            r"no weight for 1 image of 60: that of 'class 2/59.jpg' is '-1', first",
        ),
        (["nan"] + ["1"] * 59, "worth", StackError, "is 'nan', first. A weight is a number of 0 or more"),
        (["", "much"] + ["1"] * 58, "worth", StackError, r"no weight for 2 images .* is '', first"),
        (["0"] * 60, "worth", StackError, "every weight in the column 'worth' is 0"),
        (["1"] * 60, "wort", UsageError, r"has no column 'wort': there are 'worth', 'notes'; did you mean 'worth'\?"),
    ],
)
def test_weights_that_make_no_sense_are_refused(
    tmp_path: Path, make_cache: Make, cells: list[str], column: str, error: type[Exception], words: str
) -> None:
    store = weighed(make_cache, tmp_path, cells)
    with pytest.raises(error, match=words):
        run_experiment(store, options=asked(weight_column=column))


def test_a_dataset_without_columns_says_how_to_have_some(even: FeatureStore) -> None:
    with pytest.raises(UsageError, match=r"has no column 'worth': .*Run the extract command again on a table"):
        run_experiment(even, options=asked(weight_column="worth"))


def test_the_command_line_takes_all_three(
    in_process: Callable[..., object], uneven: FeatureStore, tmp_path: Path
) -> None:
    (tmp_path / "w.csv").write_text("class,weight\ncommon,1\nrare,20\n")
    plain = ["stack", "--cache", str(uneven.root), "--c", "0.1", "--inner-cv", "2", "--json"]
    done = in_process(*plain, "--metric", "f1_macro", "--class-weight", "w.csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr  # type: ignore[attr-defined]
    content = json.loads(done.stdout)  # type: ignore[attr-defined]
    assert (content["metric"], content["class_weight"]) == ("macro_f1", {"common": 1.0, "rare": 20.0})
    assert "macro_f1" in content["scores"][0]
    for words, expected in [
        (["--metric", "balanced_acc"], "did you mean 'balanced-accuracy'?"),
        (["--class-weight", "balenced"], "balanced, none or a file is expected"),
        (["--class-weight", '{"common": 1}'], "no weight for 1 class: 'rare'"),
        (["--weight-column", "worth"], "has no column 'worth'"),
        (["--self-check", "--metric", "mcc"], "--self-check prints one sentence and takes no --metric"),
    ]:
        asked_for = [each for each in plain if each != "--json" or "--self-check" not in words]
        done = in_process(*asked_for, *words, cwd=tmp_path)
        assert done.returncode in (1, 2)  # type: ignore[attr-defined]
        assert expected in done.stderr.replace("\n", " "), done.stderr  # type: ignore[attr-defined]


def test_a_saved_model_names_the_metric_of_its_score(even: FeatureStore, tmp_path: Path) -> None:
    from stackbone.stack import save_model

    found = run_experiment(even, cv=2, options=asked(metric="calibration-error"), with_model=True)
    assert found.model is not None
    save_model(found.model, tmp_path / "m.stackbone")
    assert list(load_model(tmp_path / "m.stackbone").score) == ["calibration_error"]


def others(found: Experiment, plain: Experiment, weightless: Sequence[int]) -> None:
    """Require that the images that count lie in the folds that they lie in without weights."""
    for one, other in zip(found.folds, plain.folds, strict=True):
        for ours, theirs in ((one.train, other.train), (one.test, other.test)):
            expected = np.setdiff1d(plain.joined.rows[theirs], weightless)
            np.testing.assert_array_equal(found.joined.rows[ours], expected)


@pytest.mark.parametrize("weightless", [[0, 1, 2, 3], [59], list(range(0, 60, 7))])
@pytest.mark.parametrize("dealing", ["digests", "rows"])
def test_folds_are_those_without_weights(tmp_path: Path, make_cache: Make, weightless: list[int], dealing: str) -> None:
    cells = ["0" if i in weightless else "2" for i in range(len(EVEN))]
    store = weighed(make_cache, tmp_path, cells)
    plain = run_experiment(store, options=asked(), dealing=dealing, recipes=["oof"])
    found = run_experiment(store, options=asked(weight_column="worth"), dealing=dealing, recipes=["oof"])
    others(found, plain, weightless)
    takes = "1 image of weight 0 (worth) takes" if len(weightless) == 1 else f"{len(weightless)} images of weight 0"
    assert any(note.startswith(takes) for note in found.joined.notes)


def test_a_split_takes_images_of_weight_0_in_either_part(tmp_path: Path, make_cache: Make) -> None:
    splits = ["test" if i % 2 else "train" for i in range(len(EVEN))]
    store = make_cache(tmp_path, EVEN, noise=4.0, splits=splits)
    cells = ["0" if i < 5 else "1" for i in range(len(EVEN))]
    store.write_dataset(replace(store.dataset("photos"), columns={"worth": cells}))
    plain = run_experiment(store, split="test", options=asked(), recipes=["oof"])
    found = run_experiment(store, split="test", options=asked(weight_column="worth"), recipes=["oof"])
    others(found, plain, range(5))


@pytest.mark.parametrize(("part", "kept"), [("test", 0), ("training", 1)])
def test_a_part_without_an_image_that_counts_is_refused(tmp_path: Path, make_cache: Make, part: str, kept: int) -> None:
    splits = ["test" if i % 2 else "train" for i in range(len(EVEN))]
    store = make_cache(tmp_path, EVEN, splits=splits)
    cells = ["1" if i % 2 == kept else "0" for i in range(len(EVEN))]
    store.write_dataset(replace(store.dataset("photos"), columns={"worth": cells}))
    with pytest.raises(
        StackError, match=f"every image in the {part} part of fold 1 of 1 has the weight 0 in the column"
    ):
        run_experiment(store, split="test", options=asked(weight_column="worth"))


def test_a_steered_backbone_is_fair_to_the_folds_of_a_weighted_experiment(tmp_path: Path, make_cache: Make) -> None:
    store = weighed(make_cache, tmp_path, ["0" if i < 6 else "2" for i in range(len(EVEN))])
    plain = run_experiment(store, options=asked(), recipes=["oof"])
    half = (0.5, 0.5, 0.5)
    for number, fold in enumerate(plain.folds):
        steering = hashlib.sha256(b"%d" % number).hexdigest()
        spec = FeatureSpec(
            "vit_base", "random(0)", (224, 224), 0.9, "center", "bicubic", half, half, "model", steering=steering
        )
        features = store.feature_set("vit_toast", spec)
        described = {
            **{"method": "toast", "stage": "tune", "backbone": "vit_base", "recipe": "ab" * 32},
            **{"division": plain.division.to_dict(number), "seed": 0, "parent_seen": None},
        }
        write_seen(features.folder, SeenRecord(steering, plain.joined.digests[fold.train], described))
        x = np.random.default_rng(number).normal(size=(len(EVEN), 8)).astype(np.float32)
        features.append(spec, plain.joined.digests, x, {})
    steered = run_experiment(store, options=asked(), recipes=["oof"])
    found = run_experiment(store, options=asked(weight_column="worth"), recipes=["oof"])
    assert found.steered == steered.steered
    assert len(set(found.steered["vit_toast"])) == 3
    others(found, plain, range(6))


def test_plain_accuracy_has_the_same_interval_whether_or_not_it_is_asked_for(even: FeatureStore) -> None:
    drawn = []
    for choices in ({}, {"metric": "accuracy"}):
        found = run_experiment(even, split="test", options=asked(**choices), recipes=["oof"])
        drawn.append([each.interval for each in Scores().collect(Context(found, even)).models])
    assert drawn[0] == drawn[1]
    assert any(each is not None for each in drawn[0])


def test_a_metric_of_which_less_is_better_is_told_the_right_way_round(even: FeatureStore) -> None:
    found = run_experiment(even, cv=2, options=asked(metric="log-loss"), recipes=["oof"])
    context = Context(found, even, ReportOptions(projection="pca", learning_curve=True))
    learnt = Learning().collect(context)
    assert learnt is not None
    assert (learnt.metric, learnt.lower_is_better) == ("log-loss", True)
    for each in learnt.curves:
        assert each.mean[-1] == pytest.approx(found.evaluation.score(each.model).mean)
    drawn = draw_ablation(losses(found), primary_metric(found))
    assert drawn.layout["xaxis"]["title"]["text"] == "log-loss added without it"
    assert "added" in drawn.data[0]["hovertemplate"]


def test_near_copies_are_told_in_accuracy_whatever_the_metric(tmp_path: Path, make_cache: Make) -> None:
    store = make_cache(tmp_path, EVEN, near={i + 30: i for i in range(9)}, dim=32)
    found = run_experiment(store, options=asked(metric="log-loss"), recipes=["oof"])
    assert found.near_copies is not None
    assert found.near_copies.metric == "accuracy"
    assert any("stack:oof has an accuracy of" in note for note in found.joined.notes)


@pytest.mark.parametrize("metric", ["roc_auc", "average_precision", "kappa", "mcc", "calibration_error"])
def test_the_metric_that_was_asked_for_is_explained(even: FeatureStore, metric: str) -> None:
    found = run_experiment(even, cv=2, options=asked(metric=metric), recipes=["oof"])
    assert f"{titles()[metric]}: {METRICS[metric].note}" in table.footnotes(found)
