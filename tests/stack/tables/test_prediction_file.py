"""Predictions and results leave as files that other programs read, whole or not at all."""

import csv
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stackbone.cache import CacheError, DatasetIndex, FileStamps, UsageError
from stackbone.stack.divisions.division import Division
from stackbone.stack.evaluation.options import stack_options
from stackbone.stack.experiments.experiment import Experiment
from stackbone.stack.experiments.result_file import write_result
from stackbone.stack.features.join import Joined
from stackbone.stack.folds.fold import Fold
from stackbone.stack.metrics.model_scores import Evaluation, ModelScore, Prediction
from stackbone.stack.tables.prediction_file import write_predictions
from stackbone.stack.tables.row_file import check_row_file
from stackbone.stack.tasks.target_findings import TargetFindings

LABELS = ["ape", "bee", 'a "cow", \n grazing', "ape", "bee", "ape"]
CLASSES = sorted(set(LABELS))
PATHS = ["a/1.jpg", "a, b/2.jpg", "3.jpg", "4.jpg", "5.jpg", "6.jpg"]
FOLDS = [Fold.testing(np.array([0, 1, 2]), 6), Fold.testing(np.array([3, 4]), 6)]  # row 5 is never tested
DIGESTS = np.arange(6 * 32, dtype=np.uint8).reshape(6, 32)


def made_joined() -> Joined:
    index = DatasetIndex(
        name="photos",
        root="/photos",
        path=[*PATHS, "failed.jpg"],
        label=[*LABELS, ""],
        split=[""] * 7,
        group=[""] * 7,
        image_sha256=np.concatenate([DIGESTS, np.zeros((1, 32), np.uint8)]),
        status=np.array([0] * 6 + [1], np.uint8),
        reason=[""] * 6 + ["no image"],
        stamps=FileStamps(np.full((7, 4), -1, np.int64)),
    )
    return Joined(
        index=index,
        rows=np.arange(6),
        labels=np.array(LABELS),
        feature_sets={},
        blocks={},
        groups=None,
        file_groups=np.arange(0),
        left_out={"failed": 1},
        notes=[],
    )


def log_probabilities(seed: int, n: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    p = np.random.default_rng(seed).dirichlet(np.ones(3), n)
    return np.log(p)


def made_experiment() -> Experiment:
    oof = [Prediction(log_probabilities(k, len(f.test)), probability=True) for k, f in enumerate(FOLDS)]
    svm = [Prediction(np.array([[-0.5, 2.0, -1.0]] * len(f.test)), probability=False) for f in FOLDS]
    models = {"svm:vgg19": svm, "stack:oof": oof}
    return Experiment(
        division=Division(cv=2),
        joined=made_joined(),
        folds=FOLDS,
        options=stack_options(),
        evaluation=Evaluation(
            results=[ModelScore(model, [0.5, 0.5]) for model in models],
            predictions={**models, "without:vgg19": oof},
            without={"vgg19": ModelScore("without:vgg19", [0.5, 0.5])},
            chosen={},
        ),
        findings=TargetFindings("stack:oof", "svm:vgg19", None, {}, []),
    )


def made_regression() -> Experiment:
    values = [Prediction(f.test.astype(np.float64) + 0.125, probability=False) for f in FOLDS]
    return replace(
        made_experiment(),
        division=Division(task="regression", cv=2),
        joined=replace(made_joined(), labels=np.array([str(i / 2) for i in range(6)])),
        evaluation=Evaluation(
            results=[ModelScore("stack:oof", [0.5, 0.5], primary_metric="r2")],
            predictions={"stack:oof": values},
            without={},
            chosen={},
        ),
    )


def test_one_row_per_model_fold_and_image(tmp_path: Path) -> None:
    write_predictions(made_experiment(), tmp_path / "p.csv")
    with (tmp_path / "p.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    tested = [0, 1, 2, 3, 4]
    assert list(rows[0]) == [
        "path",
        "image_sha256",
        "label",
        "fold",
        "model",
        "predicted",
        *(f"score:{name}" for name in CLASSES),
    ]
    assert [row["model"] for row in rows] == ["svm:vgg19"] * 5 + ["stack:oof"] * 5
    for part in (rows[:5], rows[5:]):
        assert [row["path"] for row in part] == [PATHS[i] for i in tested]
        assert [row["image_sha256"] for row in part] == [DIGESTS[i].tobytes().hex() for i in tested]
        assert [row["label"] for row in part] == [LABELS[i] for i in tested]
        assert [row["fold"] for row in part] == ["1", "1", "1", "2", "2"]
    expected = np.exp(np.concatenate([log_probabilities(k, len(f.test)) for k, f in enumerate(FOLDS)]))
    shown = np.array([[float(row[f"score:{name}"]) for name in CLASSES] for row in rows[5:]])
    np.testing.assert_allclose(shown, expected, atol=1e-6)
    np.testing.assert_allclose(shown.sum(axis=1), 1, atol=2e-6)
    assert [row["predicted"] for row in rows[5:]] == [CLASSES[code] for code in expected.argmax(axis=1)]
    assert {row["predicted"] for row in rows[:5]} == {CLASSES[1]}
    assert {row[f"score:{CLASSES[1]}"] for row in rows[:5]} == {"2.0"}


def test_small_probabilities_do_not_become_zero(tmp_path: Path) -> None:
    """A log-loss computed from the file must not be infinite."""
    experiment = made_experiment()
    scores = np.log(np.array([[1e-9, 1 - 2e-9, 1e-9]]))
    folds = [Fold.testing(np.array([0]), 6)]
    evaluation = Evaluation(
        results=[], predictions={"lr:a": [Prediction(scores, probability=True)]}, without={}, chosen={}
    )
    write_predictions(replace(experiment, folds=folds, evaluation=evaluation), tmp_path / "p.csv")
    with (tmp_path / "p.csv").open(newline="") as file:
        [row] = csv.DictReader(file)
    assert float(row[f"score:{CLASSES[0]}"]) == pytest.approx(1e-9, rel=1e-3)


def test_parquet_holds_the_same_table(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="the parquet extra brings it")
    write_predictions(made_experiment(), tmp_path / "p.parquet")
    write_predictions(made_experiment(), tmp_path / "p.csv")
    table = parquet.read_table(tmp_path / "p.parquet")
    with (tmp_path / "p.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert table.column_names == list(rows[0])
    assert [{name: str(value) for name, value in row.items()} for row in table.to_pylist()] == rows
    types = {str(table.schema.field(name).type) for name in ("path", "image_sha256", "label", "model", "predicted")}
    assert types == {"string"}
    assert str(table.schema.field("fold").type) == "int64"


def test_a_regression_has_values_and_no_scores(tmp_path: Path) -> None:
    write_predictions(made_regression(), tmp_path / "p.csv")
    with (tmp_path / "p.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["path", "image_sha256", "label", "fold", "model", "predicted"]
    assert [(row["label"], row["predicted"]) for row in rows] == [(str(i / 2), str(i + 0.125)) for i in range(5)]


@pytest.mark.parametrize("name", ["p.csv", "p.parquet"])
def test_names_that_are_not_utf_8_are_written(tmp_path: Path, name: str) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow", reason="the parquet extra brings it")
    experiment = made_experiment()
    experiment.joined.index.path[0] = "h\udce4t.jpg"  # as os.fsdecode gives it
    write_predictions(experiment, tmp_path / name)
    if name.endswith("csv"):
        paths = [row["path"] for row in csv.DictReader((tmp_path / name).read_text("utf-8").splitlines())]
    else:
        paths = pytest.importorskip("pyarrow.parquet").read_table(tmp_path / name).column("path").to_pylist()
    assert {"h\\udce4t.jpg", "a, b/2.jpg"} <= set(paths)


@pytest.mark.parametrize("name", ["p.txt", "p", "p.csv.gz", ".csv"])
def test_an_unknown_ending_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"\.csv or \.parquet"):
        check_row_file("--predictions", Path(name))
    with pytest.raises(UsageError, match=r"\.csv or \.parquet"):
        write_predictions(made_experiment(), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_parquet_without_pyarrow_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match=r"pip install 'stackbone\[parquet\]'"):
        check_row_file("--predictions", Path("p.parquet"))
    check_row_file("--predictions", Path("p.csv"))


def test_folders_are_made_and_an_old_file_is_replaced_whole(tmp_path: Path) -> None:
    file = tmp_path / "new" / "deep" / "p.csv"
    write_predictions(made_experiment(), file)
    whole = file.read_bytes()
    file.write_bytes(whole * 3)
    write_predictions(made_experiment(), file)
    assert file.read_bytes() == whole
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("suffix", ["csv", "json"])
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "file").write_text("not a folder")
    file = tmp_path / "file" / f"out.{suffix}"
    with pytest.raises(CacheError, match="file"):
        (write_predictions if suffix == "csv" else write_result)(made_experiment(), file)


def test_the_result_is_one_json_object_with_format_and_version(tmp_path: Path) -> None:
    for experiment in (made_experiment(), made_regression()):
        write_result(experiment, tmp_path / "r.json")
        text = (tmp_path / "r.json").read_text()
        assert text.endswith("}\n")
        content = json.loads(text)
        tested = {int(row) for fold in experiment.folds for row in fold.test}
        assert len(content.pop("images")["image_sha256"]) == len(tested)
        assert content.pop("n_tested") == [len(fold.test) for fold in experiment.folds]
        assert content == experiment.to_dict()
        assert (content["format"], content["format_version"]) == ("stackbone-result", 1)


@pytest.mark.filterwarnings("ignore:invalid value")  # the spread of infinite scores
@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_not_finite_is_null(tmp_path: Path, number: float) -> None:
    experiment = made_experiment()
    experiment.evaluation.results[0].folds[0] = number
    write_result(experiment, tmp_path / "r.json")
    written = json.loads((tmp_path / "r.json").read_text(), parse_constant=pytest.fail)
    chief = written["results"][0][experiment.evaluation.results[0].primary_metric]
    assert chief["folds"][0] is None
    assert None not in chief["folds"][1:]
