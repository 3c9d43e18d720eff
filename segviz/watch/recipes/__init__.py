"""Recipes: how to read modules of libraries whose attention a forward pass alone does not tell.

Packages add theirs by the entry point group `segviz.recipes`: each entry is a recipe or a list of recipes.
"""
