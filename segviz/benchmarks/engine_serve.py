"""A turn of `bench engine` in a process of its own: the app's process, but without its pages.

`serve_turn` reads a plan as one line of JSON from stdin, and writes its phases and at last its figures as lines of
JSON to stdout. A second line, or the end of stdin, stops it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict, replace

from segviz.benchmarks.engine_crowd import TurnPlan
from segviz.benchmarks.engine_turn import StoppedError, measure_turn
from segviz.engine.client import Engine, make_backend
from segviz.settings import settings

APPLICATION = "segviz-bench"  # the replicas' name, so that those of an app in the same cluster stay as they are


def serve_turn() -> None:
    """Read a plan from stdin, measure it, and write what is found to stdout; Ray's own words go to stderr."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the benchmark, which ends this process in order
    lines = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    given = json.loads(sys.stdin.readline())
    plan = TurnPlan(**{**given, "size": tuple(given["size"])})
    stopped = threading.Event()

    def watch() -> None:
        sys.stdin.readline()
        stopped.set()

    def write(name: str, value: object) -> None:
        lines.write(json.dumps({name: value}) + "\n")

    threading.Thread(target=watch, daemon=True).start()
    try:
        engine, close = make_engine(plan.backend)
        write("turn", asdict(measure_turn(plan, engine, close, lambda phase: write("phase", phase), stopped)))
    except StoppedError:
        write("stopped", True)
    except Exception as error:
        write("error", str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__)
    lines.close()


def make_engine(backend: str) -> tuple[Engine, Callable[[], None]]:
    """An engine with this backend and otherwise the operator's settings, and what closes it."""
    kind, _, count = backend.partition(":")
    limits = replace(settings(), backend=kind, replicas=(int(count or 1), int(count or 1)))
    if kind == "threads":
        threads = make_backend(limits, lambda *_: None)
        return Engine(threads), threads.close
    from segviz.engine.ray_cluster.ray_backend import make_ray_backend

    replicas = make_ray_backend(limits, lambda *_: None, APPLICATION)
    return Engine(replicas), replicas.close
