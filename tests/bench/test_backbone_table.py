"""The table of the documentation is what the backbones declare."""

from __future__ import annotations

import pytest

import backbone_table
from stackbone.extract.backbones.backbone import BACKBONES


def test_the_documented_table_is_up_to_date() -> None:
    page = backbone_table.PAGE.read_text(encoding="utf-8")
    assert page == backbone_table.with_table(page), "run `python bench/backbone_table.py`"
    assert all(f"| `{name}` |" in page for name in BACKBONES.our_names)


def test_a_page_without_a_place_for_it_is_refused() -> None:
    with pytest.raises(ValueError, match="has no lines"):
        backbone_table.with_table("# Backbones\n")
