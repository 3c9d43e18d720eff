"""Which line of a user's code an error is from. Quick to import: no torch."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from pathlib import Path
from traceback import walk_tb


def name_line(cause: str, error: BaseException) -> str:
    """The cause of an error, and the line that raised it: of the innermost code that is neither torch's nor segviz's.

    The cause stays as it is where no other code ran.
    """
    others = (Path(__file__).parents[1], Path(importlib.__file__).parent, torch_folder())
    lines = [(Path(frame.f_code.co_filename), number) for frame, number in walk_tb(error.__traceback__)]
    blamed = [one for one in lines if one[0].suffix == ".py" and not any(map(one[0].is_relative_to, others))]
    return f"{cause}, line {blamed[-1][1]} of {blamed[-1][0].name}" if blamed else cause


def torch_folder() -> Path:
    """The folder of torch's own code."""
    spec = find_spec("torch")
    assert spec is not None and spec.origin is not None, "segviz needs torch"
    return Path(spec.origin).parent
