"""Values on the command line: the choices that options offer, and readers that check what was typed.

The choices repeat tables of `segviz.figures`, whose imports take seconds: `--help` must not wait for them. A test holds
both equal.
"""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from segviz.catalogue.source_names import names_network
from segviz.runtime.garbage_collection import pause_collector
from segviz.runtime.lazy_dynamo import defer_compiler

FIGURE_NAMES = (
    "fla-5", "fla-6", "atta-1", "atta-6", "atta-7", "atta-9", "psa-3", "psa-5", "psa-6", "snl", "compare",
)  # fmt: skip
LOOK_NAMES = ("attends_to", "attended_by", "strip", "points")
SCALE_NAMES = ("linear", "log", "percentile")
COLOUR_NAMES = ("viridis", "cividis", "magma", "gray")
EXPORT_FORMATS = ("png", "svg", "pdf", "npz", "csv")
ALL_MODELS = "all"  # `evaluate --model all`: every bundled model
MINUTES_IN = {"s": 1 / 60, "m": 1.0, "h": 60.0}


def read_model(text: str) -> str:
    """Read a model's name or the path of a segviz checkpoint.

    Raises:
        argparse.ArgumentTypeError: it is the name of another network, or of none.
    """
    if names_network(text):
        raise argparse.ArgumentTypeError(
            f"'{text}' is not a segviz model, which this command needs; use `predict`, `evaluate` or `attend` with it"
        )
    with suppress(OSError):  # for example a name that is too long
        if text.endswith(".safetensors") or Path(text).is_file():
            return text
    refuse_untrained(text)
    return read_model_name(text)


def refuse_untrained(text: str) -> None:
    """Refuse the name of a network of the papers, where a trained one is needed.

    Raises:
        argparse.ArgumentTypeError: it is one.
    """
    with pause_collector(), defer_compiler():
        from segviz.catalogue.location import describe_untrained
        from segviz.models.networks.rows import NETWORKS

    if text in NETWORKS:
        raise argparse.ArgumentTypeError(describe_untrained(text))


def read_model_name(text: str) -> str:
    """Read the name of a model in the registry.

    Raises:
        argparse.ArgumentTypeError: there is no such model.
    """
    with pause_collector(), defer_compiler():
        from segviz.models.registry import MODELS

    if text not in MODELS:
        raise argparse.ArgumentTypeError(f"model '{text}' is unknown; use {', '.join(MODELS)}")
    return text


def read_network_name(text: str) -> str:
    """Read the name of a model in the registry, or of a network of the papers.

    Raises:
        argparse.ArgumentTypeError: there is no such network.
    """
    with pause_collector(), defer_compiler():
        from segviz.models.registry import NETWORK_NAMES

    if text not in NETWORK_NAMES:
        raise argparse.ArgumentTypeError(f"network '{text}' is unknown; use {', '.join(NETWORK_NAMES)}")
    return text


def read_head_choice(text: str) -> int | str:
    """Read a head: its number, "mean" or "largest".

    Raises:
        argparse.ArgumentTypeError: it is none of these.
    """
    if text in ("mean", "largest"):
        return text
    if re.fullmatch(r"\d{1,4}", text):
        return int(text)
    raise argparse.ArgumentTypeError(f"'{text}' is not a head; use its number, mean or largest")


def read_pixel(text: str) -> tuple[int, int]:
    """Read an image pixel `Y,X`.

    Raises:
        argparse.ArgumentTypeError: it is not two whole numbers.
    """
    match = re.fullmatch(r"(\d{1,6}),(\d{1,6})", text.strip())
    if not match:
        raise argparse.ArgumentTypeError(f"'{text}' is not a pixel; write Y,X in whole pixels, such as 120,300")
    return int(match[1]), int(match[2])


def read_scales(text: str) -> tuple[float, ...]:
    """Read factors on a picture's size, `S[,S...]`, each from 0.1 to 4.

    Raises:
        argparse.ArgumentTypeError: one is no number, or out of range.
    """
    return tuple(number_reader(0.1, 4)(part.strip()) for part in text.split(","))


def read_share(text: str) -> float:
    """Read a share above 0 and at most 1: a number such as 0.5, or a fraction such as 2/3.

    Raises:
        argparse.ArgumentTypeError: it is neither, or out of range.
    """
    match = re.fullmatch(r"(\d{1,4})/(\d{1,4})", text.strip())
    try:
        value = int(match[1]) / int(match[2]) if match else float(text)
    except (ValueError, ZeroDivisionError):
        value = math.nan
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a share; use a fraction or a number up to 1, such as 2/3")
    return value


def file_suffix(path: Path | None) -> str:
    """A file's suffix in lower case, without its dot; empty if there is none."""
    return path.suffix.lower().lstrip(".") if path is not None else ""


def read_figure_path(text: str) -> Path:
    """Read a file name whose suffix is one of EXPORT_FORMATS.

    Raises:
        argparse.ArgumentTypeError: it has another suffix, or none.
    """
    path = Path(text)
    if file_suffix(path) not in EXPORT_FORMATS:
        raise argparse.ArgumentTypeError(f"'{text}' has no known suffix; use .{', .'.join(EXPORT_FORMATS)}")
    return path


def read_minutes(text: str) -> float:
    """Read a duration such as 90s, 9m or 1.5h, in minutes; a bare number is minutes.

    Raises:
        argparse.ArgumentTypeError: it is no duration, or 0.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip().lower())
    value = float(match[1]) * MINUTES_IN[match[2] or "m"] if match else 0.0
    if value <= 0:
        raise argparse.ArgumentTypeError(f"'{text}' is not a duration; write for example 90s, 9m or 1.5h")
    return value


def integer_reader(low: int, high: int | None = None) -> Callable[[str], int]:
    """A reader of whole numbers from `low` to `high`."""
    cure = f"use {low} {'or more' if high is None else f'to {high}'}"

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"'{text}' is not a whole number; {cure}") from None
        if value < low or (high is not None and value > high):
            raise argparse.ArgumentTypeError(f"{value} is out of range; {cure}")
        return value

    return read


def number_reader(low: float, high: float) -> Callable[[str], float]:
    """A reader of finite numbers from `low` to `high`."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"'{text}' is out of range; use a number from {low:g} to {high:g}")
        return value

    return read
