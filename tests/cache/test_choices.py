"""A word that is not among the choices is refused with all of them, and with the one that was probably meant."""

from __future__ import annotations

import pytest

from stackbone.cache import UsageError
from stackbone.cache.choices import check_choice, nearest

ENGINES = ("auto", "torch", "openvino")


@pytest.mark.parametrize("name", ENGINES)
def test_a_known_word_passes(name: str) -> None:
    check_choice("engine", name, ENGINES)


@pytest.mark.parametrize(("typed", "meant"), [("torhc", "torch"), ("open-vino", "openvino"), ("Auto", "auto")])
def test_the_nearest_is_suggested(typed: str, meant: str) -> None:
    expected = rf"^unknown engine '{typed}': choose from auto, torch, openvino; did you mean '{meant}'\?$"
    with pytest.raises(UsageError, match=expected):
        check_choice("engine", typed, ENGINES)
    assert nearest(typed, ENGINES) == meant


@pytest.mark.parametrize("typed", ["", "qqq", "tensorflow-lite"])
def test_a_word_like_no_other_lists_them(typed: str) -> None:
    with pytest.raises(UsageError, match=rf"^unknown --engine '{typed}': choose from auto, torch, openvino$"):
        check_choice("--engine", typed, iter(ENGINES))
    assert nearest(typed, ENGINES) is None
    assert nearest("a", ENGINES, cutoff=0.2) == "auto"
