"""The page of methods has every method of ours."""

from __future__ import annotations

import pytest

from stackbone.stack.transfer.registry import METHODS
from tests.made.checkout import ROOT

PAGE = (ROOT / "docs" / "transfer-methods.md").read_text(encoding="utf-8")
OURS = [METHODS[name] for name in METHODS.our_names if METHODS[name].family != "baseline"]


@pytest.mark.parametrize("method", OURS, ids=lambda each: each.name)
def test_every_method_has_a_row_with_its_family_and_paper(method: object) -> None:
    name, family, source = (str(getattr(method, each)) for each in ("name", "family", "source"))
    (row,) = (line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |"))
    assert f"| {family} |" in row
    author = source.replace(",", " ").split()[0]
    assert author in row


def test_no_method_is_documented_that_is_not_there() -> None:
    named = [line.split("`")[1] for line in PAGE.splitlines() if line.startswith("| `")]
    assert sorted(named) == sorted(each.name for each in OURS)
