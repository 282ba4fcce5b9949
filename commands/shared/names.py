"""Names for help texts, from where each is defined: a help text that lists them by hand goes stale.

They are read from the source, since importing it would load scikit-learn to print a few words.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

_STACKBONE = Path(__file__).parents[2]  # the package's folder

REGISTRIES = {
    "engines": ("stackbone.extract.networks.engines", "ENGINES"),
    "precisions": ("stackbone.extract.networks.engines", "PRECISIONS"),
    "groups": ("stackbone.extract.backbones.backbone", "GROUPS"),
    "methods": ("stackbone.extract.steerings.file", "METHODS"),
    "stages": ("stackbone.extract.steerings.file", "STAGES"),
    "optimisers": ("stackbone.extract.methods.method", "OPTIMISERS"),
    "training_precisions": ("stackbone.extract.steering.options", "PRECISIONS"),
    "tasks": ("stackbone.stack.evaluation.options", "TASKS"),
    "recipes": ("stackbone.stack.learners.recipes", "ROWS"),
    "meta_learners": ("stackbone.stack.learners.meta", "LEARNERS"),
    "regression_meta_learners": ("stackbone.stack.learners.regressors", "META_LEARNERS"),
    "meta_scores": ("stackbone.stack.learners.meta", "SCORES"),
    "meta_combine": ("stackbone.stack.learners.meta", "COMBINE"),
    "group_by": ("stackbone.stack.divisions.labelled", "GROUP_BY"),
    "rare": ("stackbone.stack.divisions.outer_folds", "RARE"),
    "projections": ("stackbone.stack.report.projection", "PROJECTIONS"),
    "formats": ("stackbone.stack.models.predict", "FORMATS"),
}
"""Word in braces, as help texts have it, to module and constant (a tuple, or a dict's keys) that it stands for."""


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
