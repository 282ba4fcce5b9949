"""What goes to other machines with the code of a run: where weights lie, and no secret."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stackbone.cache.cluster import code
from stackbone.cache.cluster.code import bring_code, code_digest

cloudpickle: Any = pytest.importorskip("ray.cloudpickle", reason="the ray extra brings it")
NAMES = ("HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "STACKBONE_GRAPHS")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what gives this process exactly these of the variables that are looked at."""

    def have(**variables: str) -> None:
        for name in {*NAMES, "HF_TOKEN", *variables}:
            monkeypatch.setenv(name, variables.get(name, ""))  # so that whatever is set later is undone
            monkeypatch.delenv(name)
        for name, text in variables.items():
            monkeypatch.setenv(name, text)

    return have


def test_no_secret_goes_over(environment: Callable[..., None]) -> None:
    environment(
        HF_TOKEN="hf_secret", STACKBONE_PASSWORD="secret_word", HF_ENDPOINT="https://me:secret_too@hub", HF_HOME="/seen"
    )
    gone_over = cloudpickle.dumps(bring_code())
    assert b"secret" not in gone_over
    assert b"/seen" in gone_over


def test_a_node_without_variables_gets_those_of_the_run(environment: Callable[..., None]) -> None:
    wanted = {name: f"/of/run/{name}" for name in NAMES}
    environment(**wanted)
    gone_over = cloudpickle.dumps(bring_code())
    environment()
    pickle.loads(gone_over)()
    assert {name: os.environ.get(name) for name in NAMES} == wanted


@pytest.mark.parametrize("own", ["HF_HOME", "HF_HUB_CACHE"])
def test_a_node_keeps_what_it_has(environment: Callable[..., None], own: str) -> None:
    environment(**{name: f"/of/run/{name}" for name in NAMES})
    gone_over = cloudpickle.dumps(bring_code())
    environment(**{own: "/of/node", "STACKBONE_GRAPHS": "/graphs/of/node"})
    for _ in range(2):
        pickle.loads(gone_over)()
    assert {name: os.environ[name] for name in NAMES if name in os.environ} == {
        own: "/of/node",
        "STACKBONE_GRAPHS": "/graphs/of/node",
        "HF_HUB_OFFLINE": "/of/run/HF_HUB_OFFLINE",
    }


def test_the_same_code_is_well(environment: Callable[..., None]) -> None:
    environment()
    assert pickle.loads(cloudpickle.dumps(bring_code()))() is None


def test_other_code_is_refused(environment: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    environment()
    install = pickle.loads(cloudpickle.dumps(bring_code()))
    monkeypatch.setattr(code, "code_digest", lambda: "0" * 64)
    assert "has other code of Stackbone than this run: install the same version there" in install()
    monkeypatch.delattr(code, "code_digest")  # as of a version that had none
    assert "has other code of Stackbone than this run" in install()


def test_code_is_told_from_other_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A line, a name, or a file more."""
    monkeypatch.setattr(code, "__file__", str(tmp_path / "cache" / "cluster" / "code.py"))
    seen = []
    for name, text in [("a", "x = 1"), ("a", "x = 2"), ("b", "x = 2")]:
        (tmp_path / "stack").mkdir(exist_ok=True)
        (tmp_path / "stack" / f"{name}.py").write_text(text)
        seen.append(code_digest.__wrapped__())
    (tmp_path / "stack" / "a.py").unlink()
    seen.append(code_digest.__wrapped__())
    (tmp_path / "tests.py").write_text("x = 3")
    assert code_digest.__wrapped__() == seen[-1]
    assert len(set(seen)) == 4
