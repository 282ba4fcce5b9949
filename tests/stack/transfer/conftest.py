"""What several tests of transfers start from."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import cast

import pytest
import sklearn

from stackbone.cache import FeatureStore
from stackbone.stack.transfer.experiment import TransferExperiment
from stackbone.stack.transfer.registry import METHODS
from stackbone.stack.transfer.run import run_transfer
from tests.made.domain_caches import make_domains
from tests.made.spying_method import Spy


@pytest.fixture
def skada() -> Iterator[ModuleType]:
    """Return skada, whose import lets scikit-learn route metadata in all that the process does afterwards."""
    with sklearn.config_context():
        found = cast(ModuleType, pytest.importorskip("skada"))
        sklearn.set_config(enable_metadata_routing=True)
        yield found


@pytest.fixture(scope="package")
def two_domains(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """Return a cache of two datasets."""
    return make_domains(tmp_path_factory.mktemp("domains") / "features")


@pytest.fixture(scope="package")
def experiment(two_domains: FeatureStore) -> TransferExperiment:
    """Return the baselines in three settings."""
    return run_transfer(
        two_domains, source="studio", target="phone", target_labels="none,few:3,all", methods="baseline"
    )


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> Spy:
    """Add a method that other tests do not see."""
    found = Spy()
    ours = {name: METHODS[name] for name in METHODS}
    monkeypatch.setitem(METHODS.__dict__, "_all", {**ours, "spy": found})
    return found
