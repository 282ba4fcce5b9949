"""``import stackbone as sb``: names load when they are used, whatever was imported before."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import stackbone as sb
import stackbone.cache as cache
import stackbone.extract as extract
import stackbone.stack as stack
from stackbone.cache.lazy import lazy_names
from tests.made.checkout import ROOT

PACKAGES = {"": sb, "cache": cache, "extract": extract, "stack": stack}


def run(code: str, cwd: Path) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("folder", PACKAGES)
def test_type_checkers_see_every_public_name_and_no_other(folder: str) -> None:
    [block] = [node for node in ast.parse((ROOT / folder / "__init__.py").read_text()).body if isinstance(node, ast.If)]
    imported = {alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert imported == set(PACKAGES[folder].__all__)


@pytest.mark.parametrize("folder", PACKAGES)
def test_an_unknown_name_is_answered_with_those_there_are(folder: str) -> None:
    with pytest.raises(AttributeError, match=r"has no attribute 'FeatureStor'; it has .*"):
        PACKAGES[folder].FeatureStor  # noqa: B018
    with pytest.raises(ImportError, match="FeatureStor"):
        exec(f"from {PACKAGES[folder].__name__} import FeatureStor")
    assert not hasattr(PACKAGES[folder], "__wrapped__")


def test_a_name_is_imported_when_it_is_first_used(tmp_path: Path) -> None:
    code = (
        "import sys, stackbone as sb; before = 'h5py' in sys.modules; sb.FeatureStore; "
        "print(before, 'h5py' in sys.modules, 'sklearn' in sys.modules)"
    )
    assert run(code, tmp_path) == "False True False"


def test_a_replaced_module_attribute_is_what_a_later_look_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is kept behind the module's back, so that a test or a user can put something in a function's place."""
    monkeypatch.setattr("stackbone.stack.run_experiment", "another")
    assert stack.run_experiment == "another"  # type: ignore[comparison-overlap]


def test_names_are_read_from_the_promises_to_type_checkers_alone(tmp_path: Path) -> None:
    file = tmp_path / "__init__.py"
    file.write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from json import dumps\n    import ast\n"
        "else:\n    from json import loads\nif True:\n    from json import load\n"
    )
    load = lazy_names("stackbone", str(file))
    assert load("dumps")({"a": 1}) == '{"a": 1}'
    for name in ("ast", "loads", "load"):
        with pytest.raises(AttributeError, match=r"it has dumps$"):
            load(name)


@pytest.mark.parametrize(
    "before",
    [
        "import stackbone as sb",
        "import stackbone as sb; sb.extract; sb.extract",
        "import stackbone.extract; import stackbone as sb",
        "import stackbone as sb; import stackbone.extract.embedding.run",
        "import stackbone as sb; from stackbone.extract import open_dataset",
        "from stackbone import extract; import stackbone as sb; assert extract is sb.extract",
        "import stackbone as sb; import stackbone.stack; sb.run_experiment",
    ],
)
def test_extract_is_a_function_whatever_was_imported_before(before: str, tmp_path: Path) -> None:
    """The package `stackbone.extract` would shadow it: Python sets a package's name in the package above."""
    code = (
        f"{before}; assert callable(sb.extract)\n"
        "try: sb.extract('photos', nonsense=1)\n"
        "except TypeError as exc: print(exc)\n"
    )
    assert run(code, tmp_path) == "extract() got an unexpected keyword argument 'nonsense'"


def test_the_package_and_the_function_are_both_to_be_had(tmp_path: Path) -> None:
    assert extract.open_dataset is sb.open_dataset
    assert inspect.isfunction(extract.extract)
    with pytest.raises(sb.StackboneError, match="nowhere"):
        sb.extract(sb.open_dataset(tmp_path / "nowhere"), "efficientnet_lite0", sb.FeatureStore(tmp_path / "f"))
