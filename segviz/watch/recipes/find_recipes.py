"""All recipes: ours, and those of installed packages."""

from __future__ import annotations

import logging
from functools import cache
from importlib.metadata import entry_points

from segviz.watch.recipes.deformable import DEFORMABLE_RECIPES
from segviz.watch.recipes.linear import LINEAR_RECIPES
from segviz.watch.recipes.object_queries import OBJECT_QUERY_RECIPES
from segviz.watch.recipes.recipe import DeclarationRecipe, LayoutRecipe, Recipe
from segviz.watch.recipes.spread_windows import SPREAD_WINDOW_RECIPES
from segviz.watch.recipes.token_orders import TOKEN_ORDER_RECIPES
from segviz.watch.recipes.windows import WINDOW_RECIPES

GROUP = "segviz.recipes"


@cache
def find_recipes() -> tuple[Recipe, ...]:
    """Recipes of packages, then ours. One that cannot be loaded is left out, with a warning in the log."""
    found: list[Recipe] = []
    for point in entry_points(group=GROUP):
        try:
            value = point.load()
            recipes = list(value) if isinstance(value, list | tuple) else [value]
            wrong = [one for one in recipes if not isinstance(one, LayoutRecipe | DeclarationRecipe)]
            if wrong:
                raise TypeError(f"{wrong[0]!r} is not a recipe; give a LayoutRecipe or a DeclarationRecipe")
        except Exception as error:  # another package's code
            logging.getLogger(__name__).warning("recipe %s was left out: %s", point.name, error)
            continue
        found += recipes
    return (
        *found,
        *WINDOW_RECIPES,
        *SPREAD_WINDOW_RECIPES,
        *TOKEN_ORDER_RECIPES,
        *OBJECT_QUERY_RECIPES,
        *LINEAR_RECIPES,
        *DEFORMABLE_RECIPES,
    )
