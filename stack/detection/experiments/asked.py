"""Which heads are trained, and what of them can be set: read from what users type, and refused before the work."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any

from stackbone.cache.choices import check_choice, unknown_choice
from stackbone.cache.errors import StackError, UsageError
from stackbone.stack.detection.head import HEADS, PRECISIONS

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


def settings_of(heads: Sequence[str], epochs: int | None, precision: str = PRECISIONS[0]) -> dict[str, dict[str, Any]]:
    """Return arguments of heads' `fit` that are not the usual ones by head, of those that have the setting.

    Raises
    ------
    UsageError
        If the precision is unknown, or no head has a setting that is asked for.
    """
    check_choice("--precision", precision, PRECISIONS)
    found: dict[str, dict[str, Any]] = {}
    if epochs is not None:
        for name in _having("epochs", heads):
            found.setdefault(name, {})["epochs"] = epochs
    if precision != PRECISIONS[0]:
        for name in _having("precision", heads):
            found.setdefault(name, {})["precision"] = precision
    return found


def _having(setting: str, heads: Sequence[str]) -> list[str]:
    """Return the heads that have a setting; refuse it if none has."""
    every = [name for name, each in HEADS.items() if getattr(each, f"has_{setting}")]
    found = [name for name in heads if name in every]
    if not found:
        message = f"--{setting} is for {', '.join(every)}, and --head names {', '.join(heads)}: leave it out"
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
