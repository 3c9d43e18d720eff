"""How the command line reports errors: one sentence on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from segviz.runtime.causes import causes_of
from segviz.runtime.out_of_memory import ExplainedMemoryError, is_memory_of_gpu, is_out_of_memory
from segviz.runtime.size_option import IN_COMMANDS, name_size_option
from segviz.text import plain_text

MAX_ERROR_LENGTH = 600  # characters
WRONG_USAGE = 2  # exit code


class UsageError(ValueError):
    """Options that do not go together; exit code 2."""


def is_told_once() -> bool:
    """Whether another of `torchrun`'s processes, which all have the same command line, says what is wrong with it."""
    return "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("RANK", "0") != "0"


def print_error(message: str, code: int = 1, faults: Sequence[str] = ()) -> int:
    """Print an error on stderr, and each of its faults in a line below it; return the exit code."""
    if code == WRONG_USAGE and is_told_once():
        return code
    print(f"segviz: {plain_text(message, MAX_ERROR_LENGTH)}", file=sys.stderr)
    for fault in faults:
        print(f"  {plain_text(fault, MAX_ERROR_LENGTH)}", file=sys.stderr)
    return code


def is_stop(error: BaseException | None) -> bool:
    """Whether an error came of Ctrl-C: Python wraps what is raised while it makes a class in a RuntimeError."""
    return error is not None and any(isinstance(one, KeyboardInterrupt) for one in causes_of(error, stated=True))


def list_faults(error: Exception) -> tuple[str, ...]:
    """The faults of a data set, which its error lists one a line; none for other errors."""
    return tuple(getattr(error, "faults", ()))  # not by type: the commands import data sets later


def describe_error(error: Exception) -> str:
    """Describe an error's cause and cure in one sentence, without a traceback."""
    if isinstance(error, MemoryError | RuntimeError) and is_out_of_memory(error):
        return describe_lack(error)
    if isinstance(error, KeyError) and error.args:  # str() of a KeyError puts its text in quotes
        return str(error.args[0])
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror.lower()}; check the path, its permissions and the free space"
    lines = name_size_option(str(error), IN_COMMANDS).strip().splitlines()
    return lines[0] if lines else f"{type(error).__name__} without a message; set SEGVIZ_TRACEBACK=1 to see where"


def describe_lack(error: Exception) -> str:
    """What to do about a lack of memory; where segviz said of what, in its words."""
    other = "--device cpu" if is_memory_of_gpu(error) else "free some memory"
    if isinstance(error, ExplainedMemoryError):
        return f"{name_size_option(str(error), IN_COMMANDS)}, or {other}"
    return f"not enough memory; use a smaller picture, batch or crop, or {other}"
