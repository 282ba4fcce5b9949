"""A model's card tells what the model is worth, is honest about what is not known, and keeps what people wrote."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stackbone.cache import CacheError, FeatureStore, UsageError, sha256_file
from stackbone.cache.records.indexes.listed import Listed
from stackbone.commands.shared.experiment_options import OutputOptions
from stackbone.commands.shared.options import RowOptions
from stackbone.commands.shared.report_output import PageOptions
from stackbone.commands.stack import _write
from stackbone.extract.backbones.licences import known_licences
from stackbone.stack import Experiment, MetaOptions, StackOptions, load_model, run_experiment, save_model, stack_options
from stackbone.stack.models.cards.card import CardFacts, card_file, model_card
from stackbone.stack.models.cards.markdown import bullets, code, code_block, code_cell, escaped, table
from stackbone.stack.tables.card import card_facts
from stackbone.stack.tables.verdict import verdict
from tests.made.caches import on_disk
from tests.stack.models.test_model import made_model, made_regression

pytestmark = pytest.mark.usefixtures("one_blas_thread")

Make = Callable[..., FeatureStore]

FIXED = StackOptions(c=0.1, inner_splits=3, meta=MetaOptions(c=0.1))
EVIL = "[x](http://evil) <script>|`*_#"


@pytest.fixture(scope="module")
def store(make_cache: Make, tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    labels = [("cat", "dog", EVIL)[i % 3] for i in range(90)]
    groups = [f"g{i // 2}" for i in range(90)]
    paths = [f"{i}.jpg" for i in range(90)]
    folder = tmp_path_factory.mktemp("cache") / "features"
    return make_cache(folder, labels, paths=paths, groups=groups, root="/home/somebody/photos")


@pytest.fixture(scope="module")
def experiment(store: FeatureStore) -> Experiment:
    return run_experiment(store, cv=3, options=FIXED, with_model=True)


def saved(experiment: Experiment, store: FeatureStore, file: Path) -> str:
    """Save an experiment's model with all that is known, and return the card."""
    assert experiment.model is not None
    licences = known_licences(["resnet50.tv_in1k"])
    save_model(experiment.model, file, card_facts(experiment, store, file, licences))
    return card_file(file).read_text(encoding="utf-8")


def part(card: str, title: str) -> str:
    """Return what stands under a heading."""
    return card.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_the_card_tells_data_scores_backbones_limits_and_commands(
    experiment: Experiment, store: FeatureStore, tmp_path: Path
) -> None:
    file = tmp_path / "out" / "pets.stackbone"
    card = saved(experiment, store, file)
    assert card_file(file).name == "pets.stackbone.md"
    assert f"SHA-256 `{sha256_file(file).hex()}`" in card
    data = part(card, "Data")
    assert "dataset photos: 90 images took part, and the model was fitted on all images, 90" in data
    assert "45 groups of images" in data
    assert "| cat | 30 |" in data
    scores = part(card, "Scores")
    score = experiment.evaluation.score("stack:oof")
    ends = experiment.interval("stack:oof")
    assert ends is not None
    assert f"| **stack:oof** | {score.mean:.3f} | {ends[0]:.3f} to {ends[1]:.3f} |" in scores
    assert escaped(str(verdict(experiment))) in scores
    assert re.search(r"\| cat \| 30 \| \d\.\d{3} \| \d\.\d{3} \| \d\.\d{3} \|", scores)
    assert part(card, "Backbones").count("| not known |") == 2
    limits = part(card, "What it cannot do")
    assert "assigns every image to one of its 3 classes" in limits
    assert f"Its probabilities were {np.mean(score.metrics['calibration_error']):.3f} off" in limits
    assert "No near copies were found among the 90 tested images" in limits
    made = part(card, "How it was made")
    assert "stackbone stack --cv 3 --seed 0" in made
    assert "--save pets.stackbone" in made
    assert "/home/somebody" not in card
    assert str(store.root.parent) not in card


@pytest.mark.parametrize(
    ("asked", "root", "command"),
    [
        (("/home/ann/photos", "--labels", "/home/ann/fixes.csv"), "/home/ann/photos", "photos --labels fixes.csv"),
        (("/home/ann/my table.csv", "--exclude=/home/ann/old"), "/home/ann", "'my table.csv' --exclude=old"),
        (("relative/photos", "--label-column", "a/b"), "/home", "relative/photos --label-column a/b"),
    ],
)
def test_no_folder_of_anybody_is_in_the_commands(
    experiment: Experiment, store: FeatureStore, tmp_path: Path, asked: tuple[str, ...], root: str, command: str
) -> None:
    index = replace(experiment.joined.index, root=root, listed=Listed(asked=asked))
    known = replace(experiment, joined=replace(experiment.joined, index=index))
    made = part(saved(known, store, tmp_path / "m"), "How it was made")
    assert f"stackbone extract {command} --backbones " in made
    assert "--dataset photos --cache features --save m" in made
    assert "/home" not in made
    assert str(store.root.parent) not in made
    assert "Paths are shortened to their last names." in made


def test_a_cache_that_ends_as_the_root_begins_is_named_whole(
    experiment: Experiment, make_cache: Make, tmp_path: Path
) -> None:
    labels = [("cat", "dog", EVIL)[i % 3] for i in range(90)]
    store = make_cache(tmp_path / "data" / "features", labels, paths=[f"{i}.jpg" for i in range(90)], root="/data")
    made = card_facts(experiment, store, str(tmp_path / "m")).making
    assert "--cache features --save m" in made


def test_what_comes_from_files_stays_text(experiment: Experiment, store: FeatureStore, tmp_path: Path) -> None:
    card = saved(experiment, store, tmp_path / "m")
    assert "<script>" not in card
    assert "http://" not in card
    assert "[x](" not in card
    rows = [line for line in part(card, "Data").splitlines() if "evil" in line and line.startswith("|")]
    assert rows == [f"| {escaped(EVIL)} | 30 |"]
    assert rows[0].replace("\\|", "").count("|") == 3


def test_a_model_alone_says_what_is_not_known(tmp_path: Path) -> None:
    save_model(made_model(), tmp_path / "m.stackbone")
    card = (tmp_path / "m.stackbone.md").read_text(encoding="utf-8")
    assert "40 images; what they were and where they are from is not known here" in card
    assert "accuracy: 0.905 ± 0.004 (3 folds)" in card
    assert "The command that made it is not known here." in card
    assert card.count("| not known |") == 2
    assert "Which images it was fitted on is not recorded in its file." in card


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (made_regression(), "It gives a number for every image"),
        (replace(made_model(), score={}), "It was never scored on images that it had not seen."),
        (made_model(classes=[f"class {i}" for i in range(60)]), "and 10 more"),
    ],
)
def test_every_kind_of_model_has_a_card(model: object, words: str) -> None:
    assert words in model_card(model, "m", "ab" * 32)  # type: ignore[arg-type] # each is a StackModel


def test_what_people_wrote_is_kept_and_all_else_is_written_anew(tmp_path: Path) -> None:
    file = tmp_path / "m"
    save_model(made_model(), file)
    card = card_file(file)
    first = card.read_text(encoding="utf-8")
    card.write_text(first.replace("40 images", "41 images") + "\nNot for medical use. Ünïcode\n", encoding="utf-8")
    save_model(replace(made_model(), n_images=50), file)
    again = card.read_text(encoding="utf-8")
    assert again.endswith("\nNot for medical use. Ünïcode\n")
    assert "50 images" in again
    assert "41 images" not in again
    card.write_bytes(again.replace("\n", "\r\n").encode("utf-8-sig"))  # as an editor of Windows saves it
    save_model(made_model(), file)
    assert card.read_text(encoding="utf-8").count("Not for medical use.") == 1


@pytest.mark.parametrize("content", ["# My own notes\n", "", "<!-- A model card by Stackbone, written anew"])
def test_a_text_that_is_no_card_is_left_alone_and_nothing_is_written(tmp_path: Path, content: str) -> None:
    (tmp_path / "m.md").write_text(content)
    with pytest.raises(UsageError, match=r"m\.md is another text"):
        save_model(made_model(), tmp_path / "m")
    assert (tmp_path / "m.md").read_text() == content
    assert not (tmp_path / "m").exists()


def test_a_folder_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.md").mkdir()
    with pytest.raises(UsageError, match=r"m\.md cannot be read"):
        save_model(made_model(), tmp_path / "m")


def test_the_model_stands_where_its_card_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: Path, content: bytes) -> None:
        message = f"could not write {file}: No space left on device"
        raise CacheError(message)

    monkeypatch.setattr("stackbone.stack.models.cards.card.write_output", full)
    with pytest.raises(CacheError, match=r"m\.md"):
        save_model(made_model(), tmp_path / "m")
    assert load_model(tmp_path / "m").n_images == 40
    assert [each.name for each in tmp_path.iterdir()] == ["m"]


def test_the_model_stands_where_what_its_card_tells_has_left_the_cache(
    make_cache: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = make_cache(tmp_path / "f", ["cat", "dog"] * 30)
    experiment = run_experiment(store, cv=3, recipes=["oof"], options=FIXED, with_model=True)
    shutil.rmtree(on_disk(store.feature_sets()[0].folder))
    with pytest.raises(CacheError, match="Run `stackbone extract`"):
        _write(experiment, store, OutputOptions(save=tmp_path / "m"), RowOptions(), PageOptions())
    assert load_model(tmp_path / "m").n_images == 60
    assert not card_file(tmp_path / "m").exists()
    said = capsys.readouterr().err
    assert f"is in {tmp_path / 'm'}" in said
    assert "use it: stackbone predict" in said
    assert "its card is in" not in said


def test_a_mean_tells_that_its_calibration_was_not_measured(
    store: FeatureStore, experiment: Experiment, tmp_path: Path
) -> None:
    mean = run_experiment(store, cv=3, recipes=["mean"], options=FIXED, with_model=True)
    card = saved(mean, store, tmp_path / "m")
    assert "How far off its probabilities are was not measured" in part(card, "What it cannot do")
    assert "are from before these were calibrated" in part(card, "Scores")
    assert "before these were calibrated" not in saved(experiment, store, tmp_path / "n")


def test_a_model_of_the_training_part_tells_so(make_cache: Make, tmp_path: Path) -> None:
    splits = ["test" if i % 5 == 0 else "train" for i in range(60)]
    store = make_cache(tmp_path / "f", ["cat", "dog"] * 30, splits=splits, near={0: 1})
    experiment = run_experiment(store, split="test", options=FIXED, with_model=True, train_only=True)
    card = saved(experiment, store, tmp_path / "m")
    assert "was fitted on the images that do not belong to 'test', 48" in part(card, "Data")
    assert "| cat | 24 |" in part(card, "Data")
    assert "--save-train-only" in part(card, "How it was made")
    assert "1 of 12 tested images had a near copy in the training part" in part(card, "What it cannot do")


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_limits_are_those_of_the_task(make_cache: Make, tmp_path: Path, task: str) -> None:
    numbers = [f"{value:.1f}" for value in np.random.default_rng(0).normal(40, 9, 30)]
    labels = numbers if task == "regression" else ["cat"] * 20 + ["dog"] * 10
    store = make_cache(tmp_path / "f", labels, paths=[f"{i}.jpg" for i in range(30)])
    experiment = run_experiment(store, task=task, options=stack_options(task, inner_splits=3), with_model=True)
    card = saved(experiment, store, tmp_path / "m")
    limits = part(card, "What it cannot do")
    if task == "regression":
        assert "It gives no interval for the number that it predicts." in limits
        assert "The numbers go from " in part(card, "Data")
    else:
        assert "It saw fewer than 20 images of: dog (10)" in limits
    assert "no groups" in part(card, "Data")


def test_an_experiment_without_a_model_has_no_card(store: FeatureStore, tmp_path: Path) -> None:
    experiment = run_experiment(store, cv=3, options=FIXED)
    with pytest.raises(ValueError, match="with_model=True"):
        card_facts(experiment, store, tmp_path / "m")


def test_licences_are_those_that_are_declared_or_in_timms_registry() -> None:
    found = known_licences(["resnet50.tv_in1k", "tf_efficientnet_lite0.in1k", "nobody.knows", "not even a name"])
    assert set(found) <= {"resnet50.tv_in1k", "tf_efficientnet_lite0.in1k"}
    assert found["tf_efficientnet_lite0.in1k"] == "apache-2.0"
    facts = CardFacts(licences={"net.tag": "apache-2.0, gated"})
    assert model_card(made_model(), "m", "ab" * 32, facts).count("| apache-2.0, gated |") == 2


def test_markdown_shows_text_as_it_is() -> None:
    assert escaped("a_b*c [d](e) <f> & g|h\n~i $j$ `k` \x1b") == (
        r"a\_b\*c \[d\](e) &lt;f&gt; &amp; g\|h\\n\~i \$j\$ \`k\` \\x1b"
    )
    assert code("a`b|c") == "``a`b|c``"
    assert code_cell("a`b|c") == "``a`b\\|c``"
    assert escaped("http://a WWW.b ftp://c d:e www2.f") == r"http\://a WWW\.b ftp\://c d:e www2.f"
    assert code("`a`") == "`` `a` ``"
    assert code("") == "` `"
    assert code_block(["x ``` y"]).splitlines() == ["````sh", "x ``` y", "````"]
    assert bullets(["a", "b"]) == "- a\n- b"
    assert table(["a", "b"], [["1", "2"]], [1]) == "| a | b |\n| --- | ---: |\n| 1 | 2 |"


def test_a_regression_on_a_split_has_an_interval_of_its_own_row(make_cache: Make, tmp_path: Path) -> None:
    labels = [f"{value:.1f}" for value in np.random.default_rng(0).normal(40, 9, 60)]
    splits = ["test" if i % 4 == 0 else "train" for i in range(60)]
    store = make_cache(tmp_path / "f", labels, paths=[f"{i}.jpg" for i in range(60)], splits=splits)
    options = stack_options("regression", inner_splits=3)
    experiment = run_experiment(store, task="regression", split="test", options=options, with_model=True)
    rows = part(saved(experiment, store, tmp_path / "m"), "Scores").splitlines()
    [own] = [row for row in rows if row.startswith("| **stack:oof** |")]
    assert re.search(r"\| -?\d\.\d{3} to \d\.\d{3} \|", own)
    assert all(" | - | " in row for row in rows if row.startswith("| ridge:"))
