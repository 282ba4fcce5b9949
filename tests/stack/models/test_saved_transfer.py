"""Saved models that were learnt from one domain for another: what they say of it, and forged ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from stackbone.cache import ModelError
from stackbone.stack import load_model, save_model
from tests.stack.models.test_model_file import _set, made_model, metadata_of, rewrite

TOLD = {
    "method": "coral",
    "source": "studio + web",
    "target": "phone",
    "target_labels": "few:10",
    "statistics": "both domains' statistics",
}


def test_what_a_transfer_says_is_read_back(tmp_path: Path) -> None:
    save_model(replace(made_model(), transfer=TOLD), tmp_path / "m")
    assert metadata_of(tmp_path / "m")["format_version"] == "6"
    model = load_model(tmp_path / "m")
    assert model.transfer == TOLD
    said = "; for phone by coral from studio + web (target labels: few:10), on both domains' statistics"
    assert said in model.describe()


def test_other_models_stay_in_the_version_that_they_had(tmp_path: Path) -> None:
    save_model(made_model(), tmp_path / "m")
    assert metadata_of(tmp_path / "m")["format_version"] == "3"
    assert load_model(tmp_path / "m").transfer is None


@pytest.mark.parametrize(
    "told", [{}, {**TOLD, "more": "x"}, {**TOLD, "target": 1}, [], "coral", {"method": "coral"}, None]
)
def test_forged_words_are_refused(tmp_path: Path, told: object) -> None:
    save_model(replace(made_model(), transfer=TOLD), tmp_path / "m")
    rewrite(tmp_path / "m", _set("transfer", value=told))
    with pytest.raises(ModelError, match="transfer"):
        load_model(tmp_path / "m")


@pytest.mark.parametrize("version", ["3", "4", "5"])
def test_earlier_versions_know_nothing_of_it(tmp_path: Path, version: str) -> None:
    save_model(replace(made_model(), transfer=TOLD), tmp_path / "m")
    rewrite(tmp_path / "m", format_version=version)
    with pytest.raises(ModelError, match="transfer"):
        load_model(tmp_path / "m")
