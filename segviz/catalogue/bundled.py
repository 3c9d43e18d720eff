"""The bundled models: which checkpoints exist, how they scored, and what their contexts are worth."""

from __future__ import annotations

from collections.abc import Mapping

from segviz.catalogue.checkpoint_checks import CheckpointError
from segviz.catalogue.checkpoint_file import read_record
from segviz.catalogue.context_worth import ContextWorth, context_worth
from segviz.catalogue.location import bundled_path
from segviz.catalogue.map_record import MeasuredMap
from segviz.catalogue.record import VAL
from segviz.models.registry import SPECS


def available_models() -> tuple[str, ...]:
    """Names of the models whose checkpoint exists, in the registry's order."""
    return tuple(name for name in SPECS if bundled_path(name).is_file())


def val_miou(name: str) -> float | None:
    """Mean IoU of a bundled checkpoint on CamVid's val split, in [0, 1]; None if it cannot be read."""
    try:
        return read_record(bundled_path(name)).val_miou
    except CheckpointError:
        return None


def bundled_maps(name: str) -> Mapping[str, MeasuredMap]:
    """The numbers of a bundled checkpoint's maps over val, by the map's name; empty where none were measured."""
    try:
        maps = read_record(bundled_path(name)).maps
    except CheckpointError:
        return {}
    return maps[VAL].maps if VAL in maps else {}


def bundled_worth(name: str) -> ContextWorth | None:
    """What the context of a bundled checkpoint is worth, by its record; None without a context, or a readable file."""
    try:
        return context_worth(read_record(bundled_path(name)))
    except CheckpointError:
        return None
