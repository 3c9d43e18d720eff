"""The bundled models: which checkpoints exist, how they scored, and what their contexts are worth."""

from __future__ import annotations

from collections.abc import Mapping

from segviz.catalogue.checkpoint_checks import CheckpointError
from segviz.catalogue.checkpoint_file import read_record
from segviz.catalogue.context_worth import ContextWorth, context_worth
from segviz.catalogue.location import bundled_path
from segviz.catalogue.map_record import MeasuredMap
from segviz.catalogue.record import VAL, Record
from segviz.models.registry import MODELS


def available_models() -> tuple[str, ...]:
    """Names of the models whose checkpoint exists, in the registry's order."""
    return tuple(name for name in MODELS if bundled_path(name).is_file())


def bundled_record(name: str) -> Record | None:
    """The record of a bundled checkpoint; None if it cannot be read."""
    try:
        return read_record(bundled_path(name))
    except CheckpointError:
        return None


def val_miou(name: str) -> float | None:
    """Mean IoU of a bundled checkpoint on CamVid's val split, in [0, 1]; None if it cannot be read."""
    record = bundled_record(name)
    return None if record is None else record.val_miou


def bundled_maps(name: str) -> Mapping[str, MeasuredMap]:
    """The numbers of a bundled checkpoint's maps over val, by the map's name; empty where none were measured."""
    record = bundled_record(name)
    return {} if record is None or VAL not in record.maps else record.maps[VAL].maps


def bundled_worth(name: str) -> ContextWorth | None:
    """What the context of a bundled checkpoint is worth, by its record; None without a context, or a readable file."""
    record = bundled_record(name)
    return None if record is None else context_worth(record)
