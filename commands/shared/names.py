"""Names for help texts, from where each is defined: a help text that lists them by hand goes stale.

They are read from the source, since importing it would load scikit-learn to print a few words.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from stackbone.cache.errors import PluginError

_NAME = re.compile(r'^ +name ?= ?"([^"]+)"', re.MULTILINE)
_PLACE = re.compile(r"^ +place ?= ?(\d+)", re.MULTILINE)
_STACKBONE = Path(__file__).parents[2]  # the package's folder

REGISTRIES = {
    "cluster_methods": ("stackbone.stack.clustering.methods", "METHODS"),
    "engines": ("stackbone.extract.engines.engine", "ENGINES"),
    "precisions": ("stackbone.extract.engines.engine", "PRECISIONS"),
    "groups": ("stackbone.cache.backbone_groups", "GROUPS"),
    "outputs": ("stackbone.extract.backbones.outputs", "OUTPUTS"),
    "optimisers": ("stackbone.extract.methods.method", "OPTIMISERS"),
    "lora_targets": ("stackbone.extract.methods.lora.targets", "TARGETS"),
    "trainings": ("stackbone.extract.steering.options", "TRAININGS"),
    "head_precisions": ("stackbone.stack.detection.head", "PRECISIONS"),
    "training_precisions": ("stackbone.extract.steering.options", "PRECISIONS"),
    "meta_scores": ("stackbone.stack.learners.options", "SCORES"),
    "meta_combine": ("stackbone.stack.learners.options", "COMBINE"),
    "fusions": ("stackbone.stack.learners.options", "FUSIONS"),
    "group_by": ("stackbone.stack.divisions.labelled_images", "GROUP_BY"),
    "dealing": ("stackbone.stack.folds.dealing", "DEALINGS"),
    "rare": ("stackbone.stack.divisions.division", "RARE"),
    "projections": ("stackbone.stack.report.projection", "PROJECTIONS"),
    "families": ("stackbone.stack.transfer.method", "FAMILIES"),
}
"""Word in braces, as help texts have it, to module and constant (a tuple, or a dict's keys) that it stands for."""


@dataclass(frozen=True)
class Folder:
    """Where the names lie that the files of a folder declare, one each.

    Attributes
    ----------
    path, pattern
        The folder, and the files in it.
    having
        What those that count have in their text.
    group
        Of the entry points by which other packages add theirs.
    every
        Imports the registry and returns all names that count; asked for only where other packages add some.
    """

    path: str
    pattern: str
    having: str
    group: str
    every: Callable[[], Iterable[str]]


def _backbones() -> tuple[str, ...]:
    from stackbone.extract.backbones.backbone import BACKBONES  # its files are quick to import

    try:
        return tuple(BACKBONES)
    except PluginError:  # said where it is used: help is there all the same
        return tuple(BACKBONES.our_names)


def _methods() -> Iterable[str]:
    from stackbone.extract.methods.method import RECIPES

    return RECIPES


def _transfer_methods() -> Iterable[str]:
    from stackbone.stack.transfer.registry import METHODS

    return [each.name for each in METHODS.values() if each.family != "baseline"]


def _tasks() -> Iterable[str]:
    from stackbone.stack.tasks.registry import TASKS

    return TASKS


def _stacks() -> Iterable[str]:
    from stackbone.stack.learners.registry import BASE_LEARNERS

    return [each.name for each in BASE_LEARNERS.values() if each.sees_all]


def _heads() -> Iterable[str]:
    from stackbone.stack.learners.registry import BASE_LEARNERS

    return [each.name for each in BASE_LEARNERS.values() if each.can_be_stacked and not each.by_default]


def _detection_heads() -> Iterable[str]:
    from stackbone.stack.detection.head import HEADS

    return HEADS


def _meta_learners(task: str) -> Iterable[str]:
    from stackbone.stack.learners.registry import meta_learners

    return meta_learners(task)


def _metrics(task: str) -> Iterable[str]:
    from stackbone.stack.metrics.metrics import METRICS

    return [each.name for each in METRICS.values() if each.task == task]


def _audit_kinds() -> Iterable[str]:
    from stackbone.stack.audit.kind import KINDS

    return KINDS


FOLDERS = {
    "audit_kinds": Folder("stack/audit/kinds", "*.py", "(Kind):", "stackbone.audit", _audit_kinds),
    "methods": Folder("extract/methods", "*/recipe.py", "", "stackbone.methods", _methods),
    "transfer_methods": Folder(
        "stack/transfer/methods", "[!b]*/*.py", "METHOD = ", "stackbone.transfer", _transfer_methods
    ),
    "tasks": Folder("stack/tasks/kinds", "*.py", "", "stackbone.tasks", _tasks),
    "stacks": Folder("stack/learners/bases", "*.py", "sees_all = True", "stackbone.learners", _stacks),
    "detection_heads": Folder(
        "stack/detection/heads", "*/head.py", "HEAD = ", "stackbone.detection_heads", _detection_heads
    ),
    "heads": Folder("stack/learners/bases", "*.py", "(Head):", "stackbone.learners", _heads),
    **{
        word: Folder(
            "stack/learners/meta", "*.py", f'"{task}"', "stackbone.meta_learners", partial(_meta_learners, task)
        )
        for word, task in {
            "meta_learners": "classification",
            "regression_meta_learners": "regression",
            "multilabel_meta_learners": "multilabel",
            "multitarget_meta_learners": "multitarget",
        }.items()
    },
    **{
        word: Folder("stack/metrics/known", "**/*.py", f'task = "{task}"', "stackbone.metrics", partial(_metrics, task))
        for word, task in {
            "metrics": "classification",
            "regression_metrics": "regression",
            "multilabel_metrics": "multilabel",
            "multitarget_metrics": "multitarget",
        }.items()
    },
}
"""Word in braces to the folder whose files declare what it stands for."""


def registries_in(help_text: str) -> list[str]:
    """Return the words in braces of a help text."""
    return re.findall(r"\{(\w+)\}", help_text)


def filled(help_text: str) -> str:
    """Return a help text with the names that its words in braces stand for.

    Raises
    ------
    KeyError
        If there is no such registry.
    """
    return re.sub(r"\{(\w+)\}", lambda found: ", ".join(names_of(found[1])), help_text)


@cache
def names_of(registry: str) -> tuple[str, ...]:
    """Return the names that a registry holds, in its order."""
    if registry == "backbones":
        return _backbones()
    if registry == "recipes":
        return ("oof", *names_of("stacks"), "mean", "concat")
    if registry in FOLDERS:
        found = _added(FOLDERS[registry]) or _declared(FOLDERS[registry])
        # Metrics are typed with hyphens; result files have underscores.
        return tuple(each.replace("_", "-") for each in found) if registry.endswith("metrics") else found
    module, constant = REGISTRIES[registry]
    source = _STACKBONE.joinpath(*module.split(".")[1:]).with_suffix(".py").read_text(encoding="utf-8")
    for node in ast.parse(source).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if constant in [getattr(target, "id", None) for target in targets]:
            value = node.value  # type: ignore[attr-defined]
            names = value.keys if isinstance(value, ast.Dict) else value.elts
            return tuple(ast.literal_eval(name) for name in names if name)
    message = f"{module} defines no {constant}"
    raise KeyError(message)


def _added(folder: Folder) -> tuple[str, ...]:
    """Return all names, ours too, if other packages add any and these can be used; else none."""
    from importlib.metadata import entry_points  # takes a while to import

    if not entry_points(group=folder.group):
        return ()
    try:
        return tuple(folder.every())
    except PluginError:  # said where it is used: help is there all the same
        return ()


def _declared(folder: Folder) -> tuple[str, ...]:
    """Return the names that the files of a folder declare, by the place that they declare, else by file."""
    files = sorted(_STACKBONE.joinpath(folder.path).glob(folder.pattern))
    texts = [file.read_text(encoding="utf-8") for file in files]
    found = [text for text in texts if folder.having in text and _NAME.search(text)]
    found.sort(key=lambda text: int(place[1]) if (place := _PLACE.search(text)) else 100)
    return tuple(name[1] for text in found if (name := _NAME.search(text)))
