"""How networks of other people are named in a text; quick to import, for the command line's `--help`."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

LIBRARY_PREFIXES = ("timm", "torchvision", "hf", "smp")
PYTHON_SUFFIX = ".py"
PYTHON_SOURCE = re.compile(r".+\.py:[A-Za-z_][\w.]*|[A-Za-z_]\w*(\.\w+)*:[A-Za-z_][\w.]*")
SOURCE_FORMS = (
    "net.py:build, package.module:build, timm:NAME, torchvision:NAME, hf:NAME, hf:FOLDER, smp:NAME or smp:FOLDER"
)


def names_network(text: str) -> bool:
    """Whether a text names a network to build, and neither a bundled model nor a file of weights."""
    prefix, colon, name = text.partition(":")
    if colon and prefix in LIBRARY_PREFIXES:
        return bool(name)
    return PYTHON_SOURCE.fullmatch(text) is not None or lacks_function(text) or is_saved_folder(text)


def lacks_function(text: str) -> bool:
    """Whether a text names a Python file and, by mistake, no function in it."""
    return text.removesuffix(":").endswith(PYTHON_SUFFIX)


def ask_for_function(text: str) -> str:
    """What to write where a Python file is named without a function."""
    file = text.removesuffix(":")
    return f"{file} is Python code; write {file}:FUNCTION, with the function that returns the network"


def is_saved_folder(text: str) -> bool:
    """Whether a path is a folder that transformers' `save_pretrained` wrote."""
    with suppress(OSError, ValueError):
        return (Path(text) / "config.json").is_file()
    return False
