"""Which recipes are run where features are large."""

from __future__ import annotations

import pytest

from stackbone.stack.learners.recipes import STACKS, affordable
from stackbone.stack.solvers.large import streamed

LARGE = (streamed.LARGE // 2048 + 1, 2048)


@pytest.mark.parametrize("recipes", [STACKS, ("published",), ("oof",)])
def test_small_features_are_fitted_by_every_recipe_that_was_asked_for(recipes: tuple[str, ...]) -> None:
    assert affordable(recipes, LARGE[0] - 1, 2048) == (list(recipes), [])


def test_the_published_recipe_is_left_out_beside_another_of_large_features() -> None:
    recipes, notes = affordable(STACKS, *LARGE)
    assert recipes == ["oof"]
    assert len(notes) == 1
    assert "131,073 x 2,048" in notes[0]
    assert "--recipe published" in notes[0]


@pytest.mark.parametrize("recipe", ["published", "oof", "mean"])
def test_a_recipe_that_was_asked_for_by_itself_is_run_in_any_case(recipe: str) -> None:
    assert affordable([recipe], *LARGE) == ([recipe], [])
