"""The entry point of `python -m segviz COMMAND`. Exit codes: 0 success, 1 failure, 2 wrong usage.

`segviz.cli.parser` knows the options; `segviz.cli.commands` does the work and is imported only when a command runs.
"""

from __future__ import annotations

import argparse
import io
import logging
import os
import shlex
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from segviz.catalogue.own_models import own_models, read_setting_models
from segviz.cli.bench_parser import bring_subject_forward
from segviz.cli.errors import UsageError, describe_error, is_stop, list_faults, print_error
from segviz.cli.own_models import find_file_faults, list_models
from segviz.cli.parser import build_parser, typed_options
from segviz.cli.unused_options import refuse_unused
from segviz.runtime.garbage_collection import pause_collector
from segviz.runtime.interrupts import exit_at_once, handle_signals, raise_interrupt
from segviz.runtime.lazy_dynamo import defer_compiler
from segviz.server.launch import app_command, app_environment, app_script, check_port, passed_value, serve
from segviz.settings import SettingError, settings
from segviz.text import join_with_commas


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; every failure is one sentence on stderr."""
    return run_command(read_command(list(sys.argv[1:] if arguments is None else arguments)))


def read_command(words: list[str]) -> argparse.Namespace:
    """Read a command line; what is wrong with it ends the process with exit code 2."""
    escape_unencodable()
    own, passed_on = split_at_dashes(words) if words[:1] == ["app"] else (bring_subject_forward(words), [])
    with handle_signals(exit_at_once):
        options = build_parser().parse_args(own)
        options.given = typed_options(own)
    typed = "python -m segviz " + shlex.join(words)
    options.typed = typed.encode(errors="backslashreplace").decode()  # a file's name need not be valid text
    options.extra = passed_on
    options.words = words
    options.cluster_folder = None
    return options


def run_command(options: argparse.Namespace) -> int:
    """Run the chosen command and report its failures as sentences; SEGVIZ_TRACEBACK=1 shows the traceback."""
    try:
        environment = settings()
        refuse_unused(options)
        if options.subcommand == "app":
            return run_app(options)
        if getattr(options, "ray", None) is not None and options.cluster_folder is None:
            from segviz.cli.cluster_command import run_in_child

            return run_in_child(options.words, options)
        os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else torch's profiler writes to stderr during `bench`
        # Where HOME cannot be written, matplotlib says so in two lines of log, and works all the same.
        logging.getLogger("matplotlib").setLevel(logging.ERROR)
        with handle_signals(exit_at_once), pause_collector(), defer_compiler():
            from segviz.cli import commands

        with handle_signals(raise_interrupt):
            return commands.COMMANDS[options.subcommand](options)
    except KeyboardInterrupt:
        return print_error("stopped")
    except BrokenPipeError:  # the reader of stdout, such as `head`, has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (UsageError, SettingError) as error:
        return print_error(str(error), 2)
    except (ValueError, LookupError, OSError, RuntimeError, MemoryError, ImportError) as error:
        if is_stop(error):
            return print_error("stopped")
        if environment.traceback:
            raise
        return print_error(describe_error(error), faults=list_faults(error))


def run_app(options: argparse.Namespace) -> int:
    """Start Streamlit on the app, with the arguments after `--`.

    Raises:
        RuntimeError: Streamlit is not installed.
        UsageError: two options name the port.
    """
    if find_spec("streamlit") is None:
        raise RuntimeError("the app needs Streamlit, which is not installed; install it with `pip install streamlit`")
    script = app_script()
    if options.port is not None and passed_value(options.extra, "--server.port") is not None:
        raise UsageError("--port and --server.port both name the port; give one of them")
    tables = options.own_models or ()
    environment = app_environment()
    if tables:
        environment["SEGVIZ_MODELS"] = list_models(tables)
        paths = filter(None, (str(Path.cwd()), environment.get("PYTHONPATH")))  # the app runs in another folder
        environment["PYTHONPATH"] = os.pathsep.join(paths)
    own_models()  # says here, in one sentence, what is wrong with SEGVIZ_MODELS
    check_port(options.port, options.extra)
    if own := list(read_setting_models(environment.get("SEGVIZ_MODELS", "").strip()).values()):
        words = join_with_commas(
            entry.title if entry.title == entry.name else f"{entry.title} ({entry.name})" for entry in own
        )
        print(f"segviz: the app offers {words}; pages begin with {own[0].title}")
        for fault in find_file_faults(own):
            print(f"segviz: {fault}", file=sys.stderr)
    return serve(app_command(script, options.port, *options.extra), script.parent, environment)


def escape_unencodable() -> None:
    """Let stdout and stderr escape letters that their encoding lacks, such as those of a file's name."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def split_at_dashes(words: list[str]) -> tuple[list[str], list[str]]:
    """Split arguments into those before and after the first `--`."""
    at = words.index("--") if "--" in words else len(words)
    return words[:at], words[at + 1 :]
