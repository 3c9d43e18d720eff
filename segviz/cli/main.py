"""The command line: `python -m segviz COMMAND`. Exit codes: 0 done, 1 it failed, 2 wrong usage.

This file holds the words of the command line; what the commands do stands in commands/, whose imports are heavy and
come in only when a command runs.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec

from segviz.cli.errors import UsageError, print_error, describe_error
from segviz.cli.parser import build_parser
from segviz.runtime.garbage_collection import paused
from segviz.server.launch import app_command, app_environment, app_script
from segviz.settings import SettingError, settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; every failure is one sentence on stderr."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    own, passed_on = split_at_dashes(given) if given[:1] == ["app"] else (given, [])
    options = build_parser().parse_args(own)
    typed = "python -m segviz " + shlex.join(given)
    options.typed = typed.encode(errors="backslashreplace").decode()  # a file's name may be no text
    options.extra = passed_on
    return run_command(options)


def run_command(options: argparse.Namespace) -> int:
    """The chosen command, with its failures as sentences. SEGVIZ_TRACEBACK=1 shows where they came from."""
    try:
        wanted = settings()
        if options.function == "app":
            return run_app(options)
        os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else torch's profiler talks on stderr during `bench`
        with paused():
            from segviz.cli import commands

        return int(getattr(commands, options.function)(options))
    except KeyboardInterrupt:
        return print_error("stopped")
    except BrokenPipeError:  # the reader of our output, such as `head`, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (UsageError, SettingError) as error:
        return print_error(str(error), 2)
    except (ValueError, LookupError, OSError, RuntimeError, MemoryError, ImportError) as error:
        if wanted.traceback:
            raise
        return print_error(describe_error(error))


def run_app(options: argparse.Namespace) -> int:
    """Start Streamlit on the app, and pass on what followed `--`."""
    if find_spec("streamlit") is None:
        raise RuntimeError("the app needs Streamlit, which is not installed; install it with `pip install streamlit`")
    script = app_script()
    command = app_command(script, options.port, *options.extra)
    return 1 if subprocess.call(command, cwd=script.parent, env=app_environment()) else 0


def split_at_dashes(given: list[str]) -> tuple[list[str], list[str]]:
    """The arguments before and after the first `--`."""
    at = given.index("--") if "--" in given else len(given)
    return given[:at], given[at + 1 :]


# ---- options that several commands share -------------------------------------------------------------------


# ---- values ------------------------------------------------------------------------------------------------
