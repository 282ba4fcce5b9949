"""Which heads are trained, and what of them can be set: read from what users type, and refused before the work."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any

from stackbone.cache.choices import unknown_choice
from stackbone.cache.errors import StackError, UsageError
from stackbone.stack.detection.head import HEADS

DEFAULT_HEAD = "conv"


def choose_heads(asked: str | Sequence[str]) -> tuple[str, ...]:
    """Return names of heads that were given as a list or separated by commas, each once, in their order.

    Raises
    ------
    UsageError
        If there is none, or a name is unknown.
    """
    words = asked.split(",") if isinstance(asked, str) else asked
    names = tuple(dict.fromkeys(word.strip() for word in words if word.strip()))
    if not names:
        message = f"--head names no head: type --head {DEFAULT_HEAD}, or several of {', '.join(HEADS)} by comma"
        raise UsageError(message)
    for name in names:
        if name not in HEADS:
            raise UsageError(unknown_choice("head", name, [*HEADS]))
    return names


def settings_of(heads: Sequence[str], epochs: int | None) -> dict[str, dict[str, Any]]:
    """Return arguments of heads' `fit` by head, of those that have the setting.

    Raises
    ------
    UsageError
        If epochs are asked for and no head is trained in epochs.
    """
    if epochs is None:
        return {}
    found = {name: {"epochs": epochs} for name in heads if HEADS[name].has_epochs}
    if not found:
        trained = [name for name, each in HEADS.items() if each.has_epochs]
        message = f"--epochs is for {', '.join(trained)}, and --head names {', '.join(heads)}: leave it out"
        raise UsageError(message)
    return found


def check_installed() -> None:
    """Raise `StackError` if what computes the scores is not installed."""
    if importlib.util.find_spec("faster_coco_eval") is None:
        message = (
            "the scores of detection are computed by faster-coco-eval, which is not installed. Type "
            "`pip install 'stackbone[detection]'`, and run the same command again"
        )
        raise StackError(message)
