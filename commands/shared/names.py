"""Names for help texts, from where each is defined: a help text that lists them by hand goes stale.

They are read from the source, since importing it would load scikit-learn to print a few words.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

_NAME = re.compile(r'^ +name ?= ?"([^"]+)"', re.MULTILINE)
_PLACE = re.compile(r"^ +place ?= ?(\d+)", re.MULTILINE)
_STACKBONE = Path(__file__).parents[2]  # the package's folder

REGISTRIES = {
    "engines": ("stackbone.extract.engines.engine", "ENGINES"),
    "precisions": ("stackbone.extract.engines.engine", "PRECISIONS"),
    "groups": ("stackbone.extract.backbones.backbone", "GROUPS"),
    "optimisers": ("stackbone.extract.methods.method", "OPTIMISERS"),
    "lora_targets": ("stackbone.extract.methods.lora.targets", "TARGETS"),
    "trainings": ("stackbone.extract.steering.options", "TRAININGS"),
    "training_precisions": ("stackbone.extract.steering.options", "PRECISIONS"),
    "meta_scores": ("stackbone.stack.learners.options", "SCORES"),
    "meta_combine": ("stackbone.stack.learners.options", "COMBINE"),
    "group_by": ("stackbone.stack.divisions.labelled_images", "GROUP_BY"),
    "rare": ("stackbone.stack.divisions.division", "RARE"),
    "projections": ("stackbone.stack.report.projection", "PROJECTIONS"),
    "formats": ("stackbone.stack.models.predict", "FORMATS"),
}
"""Word in braces, as help texts have it, to module and constant (a tuple, or a dict's keys) that it stands for."""

FOLDERS = {
    "methods": ("extract/methods", "*/recipe.py", ""),
    "tasks": ("stack/tasks/kinds", "*.py", ""),
    "stacks": ("stack/learners/bases", "*.py", "sees_all = True"),
    "meta_learners": ("stack/learners/meta", "*.py", '"classification"'),
    "regression_meta_learners": ("stack/learners/meta", "*.py", '"regression"'),
}
"""Word in braces to the folder, and the files in it, each of which declares one; with what these have in their text."""


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
    if registry in FOLDERS:
        return _declared(*FOLDERS[registry])
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


def _declared(folder: str, pattern: str, having: str) -> tuple[str, ...]:
    """Return the names that the files of a folder declare, by the place that they declare, else by file."""
    texts = [file.read_text(encoding="utf-8") for file in sorted(_STACKBONE.joinpath(folder).glob(pattern))]
    found = [text for text in texts if having in text and _NAME.search(text)]
    found.sort(key=lambda text: int(place[1]) if (place := _PLACE.search(text)) else 100)
    return tuple(name[1] for text in found if (name := _NAME.search(text)))
