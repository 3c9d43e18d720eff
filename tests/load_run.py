"""Load test of the real server: each answer alone first, then to many visitors at once, and what that costs.

`python tests/load_run.py` is the long form (half an hour to an hour on two cores); the tests run `--short`. Each part
reports its figures and its problems; the exit status is 1 if there are any problems.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from app_server import wait_until_healthy
from load_client import View, Visitor, png

from segviz.attribution import METHODS
from segviz.benchmarks.viewer import find_free_port
from segviz.server.launch import app_command, app_environment, app_script
from segviz.ui.models import model_title

PAGES = ("inspect", "psa", "snl", "sam", "fla", "compare")  # the last part of their addresses
INSPECTED = ("cs_nl", "spatial_nl", "dual_nl", "ema", "rcca")  # their kinds of map are on Inspect only, which keeps one
SEEN = "inspect"  # the page for parts that need only one
FIRST_SEED = 100
P50_S, P95_S, SETTLED_S, RERUN_CPU_S = 0.3, 0.5, 0.5, 0.06  # limits for known pictures: reruns, a storm of events
DRAWN_S = 1.5  # limit for a slider whose last value needs a new street and a forward
UNFAIR = 1.6  # the longest mean wait over the shortest
GROWS = 2**20  # bytes by which caches may grow over the second half
RSS_GROWS = 0.02
WORK_MIB = 600  # above an idle server, which takes 360 MiB with torch for CPUs, and some 660 with torch for CUDA
MIB = 2**20


@dataclass(frozen=True)
class Size:
    """How much of everything; 0 leaves a part out."""

    sessions: int = 16
    seeds: int = 6
    captures: int = 10_000
    seen: int = 640
    newcomers: int = 32
    turns: int = 5
    reruns: int = 500
    uploads: int = 200
    opened: int = 60
    crowd: int = 8
    grace: float = 30.0
    explained: int = 2
    explained_seeds: int = 4
    methods: tuple[str, ...] = tuple(METHODS)
    inspected: tuple[str, ...] = INSPECTED
    flood: int = 8  # answers of 6 MiB, more than the cache of `SMALL` holds
    timed: bool = True  # whether the promised times are required; not in tests, which run beside other work


QUICK = ("saliency", "grad_cam_output")
SHORT = Size(
    sessions=5,
    seeds=2,
    captures=40,
    seen=20,
    newcomers=5,
    turns=2,
    reruns=0,
    uploads=8,
    opened=4,
    explained=1,
    explained_seeds=2,
    grace=8.0,
    methods=QUICK,
    inspected=("cs_nl", "ema", "rcca"),
    flood=2,
    timed=False,
)
FORGETFUL = {"SEGVIZ_CACHE_MB": "1"}  # too small for most answers, so each view is a forward
TTL_S = 3
BRIEF = {"STREAMLIT_SERVER_DISCONNECTED_SESSION_TTL": str(TTL_S)}  # seconds; 60 in .streamlit/config.toml
UPLOADS = 'segviz_store_bytes{store="uploads"}'
LIMIT_MIB = 3072
SMALL = {"SEGVIZ_CACHE_MB": "16", "SEGVIZ_VIEWER_MB": "16"}  # full before the first half ends
SMALLER = {"SEGVIZ_CACHE_MB": "8", "SEGVIZ_VIEWER_MB": "4"}  # the same in the short form


@dataclass
class Findings:
    """Figures by name, and problems."""

    figures: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def require(self, holds: bool, problem: str) -> None:
        """Note a problem unless `holds`."""
        if not holds:
            self.problems.append(problem)


@dataclass
class Server:
    """A running server, and what Linux reports about its process."""

    address: str
    pid: int
    log: Path
    idle_mib: float = 0.0  # resident once a page without models has loaded the libraries
    counted: float = 0.0  # when Streamlit was last asked for the size of its caches

    @property
    def cpu_s(self) -> float:
        """CPU seconds used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self, name: str = "VmRSS") -> float:
        """Resident memory in MiB, or its peak (VmHWM)."""
        return int(re.search(rf"{name}:\s+(\d+)", self.status)[1]) / 1024  # type: ignore[index]

    @property
    def peak(self) -> dict[str, int]:
        """Its peak memory, in all and without what the libraries take."""
        peak = self.memory("VmHWM")
        return {"peak MiB": round(peak), "peak MiB above idle": round(peak - self.idle_mib)}

    @property
    def threads(self) -> int:
        """The number of its threads."""
        return int(re.search(r"Threads:\s+(\d+)", self.status)[1])  # type: ignore[index]

    @property
    def status(self) -> str:
        """Linux's report on the process."""
        return Path(f"/proc/{self.pid}/status").read_text()

    def metric(self, path: str, name: str) -> float | None:
        """The sum of a metric over its labels; None if the server does not report it."""
        try:
            text = urlopen(self.address + path, timeout=30).read().decode()
        except HTTPError:
            return None
        labels = "" if "{" in name else r"(?:\{.*\})?"
        found = re.findall(rf"^{re.escape(name)}{labels} ([0-9.e+]+)$", text, re.MULTILINE)
        return sum(map(float, found)) if found else None

    @property
    def cache_bytes(self) -> float:
        """What Streamlit's caches and the app's own stores hold."""
        time.sleep(max(0.0, self.counted + 5.1 - time.monotonic()))  # Streamlit counts every five seconds
        self.counted = time.monotonic()
        own = ("segviz_store_bytes", "segviz_results_bytes")
        held = [self.metric("/metrics", name) for name in own]
        return sum(one or 0 for one in [*held, self.metric("/_stcore/metrics", "cache_memory_bytes")])

    @property
    def forwards(self) -> float | None:
        """The number of forwards so far; None if the server does not report it."""
        return self.metric("/metrics", "segviz_computation_seconds_count")

    @property
    def failures(self) -> int:
        """How many scripts and computations failed, by its log; a visitor who leaves midway does not count."""
        text = self.log.read_text(errors="replace")
        return text.count("Uncaught app exe") + len(re.findall(r"failed, attempt \d", text))


@contextmanager
def serve(script: Path, log: Path, data_mib: int = 0, **settings: str) -> Iterator[Server]:
    """Run a script's server with these environment variables and at most `data_mib` of memory (0: any amount)."""
    port = find_free_port()
    command = app_command(script, port, "--server.headless", "true", "--server.fileWatcherType", "none")
    if data_mib:
        command = ["prlimit", f"--data={data_mib * MIB}", *command]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=script.parent, env={**app_environment(), **settings}, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        wait_until_healthy(f"http://127.0.0.1:{port}", process, log)
        yield Server(f"http://127.0.0.1:{port}", process.pid, log)
    finally:
        process.terminate()
        process.wait(30)


@asynccontextmanager
async def visitors(server: Server, count: int) -> AsyncIterator[list[Visitor]]:
    """Open `count` sessions, each with the first page."""
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(Visitor(server.address)) for _ in range(count)]
        await asyncio.gather(*(one.run() for one in opened))
        yield opened


async def open_page(visitor: Visitor, page: str, seed: int) -> View:
    """Open a page on a street; "inspect ema" is Inspect with that model."""
    visitor.set("number_input", "Street", double_value=seed)
    page, _, model = page.partition(" ")
    if model:
        await visitor.run(page)
        visitor.set("selectbox", "Model", string_value=model_title(model))
    return await visitor.run(page)


async def explain(visitor: Visitor, methods: Sequence[str], seed: int) -> View:
    """Open the Attribution page on a street and wait until all these methods are computed."""
    page, titles = "attribution", [METHODS[name].title for name in methods]
    view = await open_page(visitor, page, seed)
    visitor.set("button_group", "Methods", string_array_value={"data": titles})
    view = await visitor.run(page)
    while (labels := {one.label: one.disabled for one in view.of("button")}) and labels.get("Compute", False) is False:
        start = "Compute" in labels
        view = await (visitor.press(page, "Compute") if start else visitor.run(page))
        await asyncio.sleep(0.5)
    return view


# ---- the parts ------------------------------------------------------------------------------------------


async def isolation(server: Server, size: Size, pages: Sequence[str] = PAGES) -> Findings:
    """Each answer among many equals the answer given alone."""
    found = Findings()
    pages = [
        one for page in pages for one in ([f"{SEEN} {name}" for name in size.inspected] if page == SEEN else [page])
    ]
    questions = [(page, FIRST_SEED + number) for page in pages for number in range(size.seeds)]
    alone: dict[tuple[str, int], str] = {}
    seconds = []
    async with visitors(server, 1) as (visitor,):
        for question in questions:
            view = await open_page(visitor, *question)
            alone[question] = view.digest
            seconds.append(view.seconds)
    found.require(
        len(set(alone.values())) == len(alone), "two pictures have the same answer, so mixing them up would not show"
    )
    await together(server, size, questions, alone, found)
    found.figures["alone: median seconds"] = round(median(seconds), 3)
    return found


async def together(
    server: Server, size: Size, questions: Sequence[tuple[str, int]], alone: dict[tuple[str, int], str], found: Findings
) -> None:
    """Many visitors ask all questions, each in an order of their own."""
    counts = {"captures": 0, "wrong": 0, "errors": 0}
    waits: list[list[float]] = [[] for _ in range(size.sessions)]

    async def visit(number: int, visitor: Visitor) -> None:
        at = number
        while counts["captures"] < size.captures:
            question = questions[at % len(questions)]
            at += 1 + number % 3
            view = await open_page(visitor, *question)
            waits[number].append(view.seconds)
            counts["captures"] += view.maps
            counts["wrong"] += view.digest != alone[question]
            counts["errors"] += bool(view.errors or view.failed)

    start, cpu = time.perf_counter(), server.cpu_s
    async with visitors(server, size.sessions) as opened:
        await asyncio.gather(*(visit(number, one) for number, one in enumerate(opened)))
        threads = server.threads
    every = [one for row in waits for one in row]
    found.figures |= {
        **counts,
        "sessions": size.sessions,
        "views": len(every),
        "views a second": round(len(every) / (time.perf_counter() - start), 2),
        "CPU seconds a view": round((server.cpu_s - cpu) / len(every), 3),
        **quantiles(every),
        "threads": threads,
        **server.peak,
    }
    found.require(counts["wrong"] == 0, f"{counts['wrong']} of {len(every)} views showed a different answer than alone")
    found.require(counts["errors"] == 0, f"{counts['errors']} views showed an error")
    found.require(threads <= 2 * size.sessions + 30, f"{threads} threads")


async def attributions(server: Server, size: Size) -> Findings:
    """Each attribution among many equals the one computed alone, which has left the cache since."""
    found, wrong, errors = Findings(), 0, 0
    seeds = [FIRST_SEED + number for number in range(size.explained_seeds)]
    async with visitors(server, 1) as (visitor,):
        alone = {seed: (await explain(visitor, size.methods, seed)).digest for seed in seeds}
        for number in range(size.flood):
            await open_page(visitor, "fla", 20_000 + number)
    found.require(
        len(set(alone.values())) == len(alone), "two pictures have the same answer, so mixing them up would not show"
    )

    async def visit(number: int, visitor: Visitor) -> None:
        nonlocal wrong, errors
        for turn in range(size.explained):
            seed = seeds[(number + turn) % len(seeds)]
            view = await explain(visitor, size.methods, seed)
            wrong += view.digest != alone[seed]
            errors += view.failed or any("misses completeness" not in one for one in view.errors)

    async with visitors(server, size.sessions) as opened:
        await asyncio.gather(*(visit(number, one) for number, one in enumerate(opened)))
    found.figures |= {"views": size.sessions * size.explained, "methods": len(size.methods)}
    found.figures |= {"wrong": wrong, "errors": errors, **server.peak}
    found.require(wrong == 0, f"{wrong} views showed a different attribution than alone")
    found.require(errors == 0, f"{errors} views showed an error")
    return found


async def known_pictures(server: Server, size: Size) -> Findings:
    """Clicks on pictures that the server knows: reruns of the whole page and of the viewer's fragment."""
    found = Findings()
    async with visitors(server, size.sessions) as opened:
        await asyncio.gather(*(one.run(SEEN) for one in opened))
        for whole in (True, False):
            seconds: list[float] = []

            async def click(visitor: Visitor, whole: bool = whole, seconds: list[float] = seconds) -> None:
                for _ in range(size.seen // size.sessions):
                    view = await visitor.run(SEEN, "" if whole else visitor.fragment)
                    seconds.append(view.seconds)
                    found.require(not view.errors, f"a rerun showed {view.errors}")

            cpu = server.cpu_s
            await asyncio.gather(*map(click, opened))
            name = "rerun" if whole else "fragment"
            found.figures |= {f"{name}: {key}": value for key, value in quantiles(seconds).items()}
            each = round((server.cpu_s - cpu) / len(seconds), 3)
            found.figures[f"{name}: CPU seconds"] = each
            took = quantiles(seconds)
            quick = whole or (took["p50 s"] <= P50_S and took["p95 s"] <= P95_S)  # a click runs the fragment
            found.require(quick or not size.timed, f"a {name} took {took}")
            found.require(each <= RERUN_CPU_S or not size.timed, f"a {name} took {each} CPU seconds")
    return found


async def storm(server: Server, size: Size) -> Findings:
    """Forty moves of a display control in 1.6 seconds, and forty of a slider that draws another street."""
    found = Findings()
    async with visitors(server, 1) as (visitor,):
        await visitor.run(SEEN)
        for name, slider in (("display", ""), ("street", "Crowding")):
            before = server.forwards
            for number in range(40):
                if slider:
                    value = {"data": [number / 40]}
                    visitor.set("slider", slider, double_array_value=value)
                await visitor.click(SEEN, "" if slider else visitor.fragment)
                await asyncio.sleep(0.04)
            settled = round(await visitor.seconds_until_settled(), 2)
            found.figures[f"storm of {name}: seconds until settled"] = settled
            most = DRAWN_S if slider else SETTLED_S
            found.require(settled <= most or not size.timed, f"a storm of {name} settled after {settled} s")
            if before is not None:
                ran = (server.forwards or 0) - before
                found.figures[f"storm of {name}: forwards"] = ran
                found.require(ran <= (bool(slider) or not size.timed), f"a storm of {name} events ran {ran} forwards")
    return found


async def new_pictures(server: Server, size: Size) -> Findings:
    """Every visitor brings new pictures: all are serve, and nobody waits much longer than the others."""
    found = Findings()
    waits: list[list[float]] = []

    async def visit(number: int, visitor: Visitor) -> None:
        mine = []
        for turn in range(size.turns):
            view = await open_page(visitor, "fla", 10_000 + number * 100 + turn)
            mine.append(view.seconds)
            found.require(not view.errors and not view.failed, f"a new picture showed {view.errors}")
        waits.append(mine)

    async with visitors(server, size.newcomers) as opened:
        await asyncio.gather(*(visit(number, one) for number, one in enumerate(opened)))
    means = [mean(one) for one in waits]
    found.figures |= {"sessions": size.newcomers, **quantiles([one for row in waits for one in row])}
    found.figures |= {"longest / shortest mean wait": round(max(means) / min(means), 2)}
    found.figures |= server.peak
    found.require(max(means) <= UNFAIR * min(means), f"mean waits from {min(means):.2f} to {max(means):.2f} s")
    found.require(server.peak["peak MiB above idle"] < WORK_MIB, f"peak memory: {server.peak}")
    return found


async def growth(server: Server, size: Size, page: str = SEEN) -> Findings:
    """New streets, uploads, sessions opened and closed: nothing grows over the second half of each."""
    found = Findings()

    async def rerun(number: int) -> None:
        await open_page(visitor, page, 50_000 + number)

    async def upload(number: int) -> None:
        shape = (360, 480) if size.timed else (96, 120)  # in the long form, large enough to fill the stores
        await visitor.upload("Photograph or other picture", f"{number}.png", png(number, *shape))
        view = await visitor.run(page)
        found.require(not view.errors, f"an upload showed {view.errors}")

    async def visit(number: int) -> None:
        async with Visitor(server.address) as other:
            await other.run(page)

    async with visitors(server, 1) as (visitor,):
        if size.reruns:
            await check_growth(server, found, "reruns", size.reruns, rerun)
        if size.uploads:
            visitor.set("button_group", "Picture", string_array_value={"data": ["My picture"]})
            await visitor.run(page)
            await check_growth(server, found, "uploads", size.uploads, upload)
    if size.opened:
        await check_growth(server, found, "sessions", size.opened, visit)
    return found


async def abandoned_upload(server: Server, size: Size, page: str = SEEN) -> Findings:
    """An upload whose visitor vanishes is freed within its time to live plus half a minute."""
    found = Findings()
    within = TTL_S + size.grace
    async with visitors(server, 1) as (visitor,):
        visitor.set("button_group", "Picture", string_array_value={"data": ["My picture"]})
        await visitor.run(page)
        await visitor.upload("Photograph or other picture", "left.png", png(1, 1000, 1000))  # no run takes it
        start = time.perf_counter()
        while not (held := server.metric("/metrics", UPLOADS)):
            found.require(time.perf_counter() - start < 60, "the server does not report the uploads that it holds")
            if found.problems:
                return found
            await asyncio.sleep(0.5)
    start = time.perf_counter()
    while server.metric("/metrics", UPLOADS) and time.perf_counter() - start <= within:
        await asyncio.sleep(0.5)
    took = round(time.perf_counter() - start, 1)
    found.figures |= {"uploaded MiB": round(held / MIB, 1), "freed after s": took, "time to live s": TTL_S}
    found.require(took <= within, f"an upload was held for {took} s")
    return found


async def memory_limit(server: Server, size: Size) -> Findings:
    """Large pictures for everybody under a memory limit: whole, smaller or refused, and then all is as before."""
    found, outcomes = Findings(), {"whole": 0, "smaller": 0, "refused": 0}
    name = f"{SEEN} snl"  # the model that needs the most
    async with visitors(server, size.crowd) as opened:
        before = (await open_page(opened[0], name, FIRST_SEED)).digest

        async def visit(number: int, visitor: Visitor) -> None:
            await open_page(visitor, name, FIRST_SEED)
            visitor.set("button_group", "Picture", string_array_value={"data": ["My picture"]})
            await visitor.run(SEEN)
            data = png(number, 32, 32, times=220)  # 49.6 megapixels in a small file
            await visitor.upload("Photograph or other picture", f"{number}.png", data)
            view = await visitor.run(SEEN)
            found.require(not view.failed and not view.of("exception"), f"a large picture ended in {view.errors}")
            text = " ".join(view.errors)
            outcomes["smaller" if "computed at 1/" in text else "refused" if text else "whole"] += 1

        await asyncio.gather(*(visit(number, one) for number, one in enumerate(opened)))
    async with visitors(server, 1) as (visitor,):
        after = (await open_page(visitor, name, FIRST_SEED)).digest
    found.require(after == before, "the next answer differs from the one before")
    found.figures |= {**outcomes, **server.peak, "limit MiB": LIMIT_MIB}
    return found


async def check_growth(server: Server, found: Findings, name: str, count: int, step: Any) -> None:
    """Repeat `step` `count` times, and check what the second half leaves behind."""
    for number in range(count // 2):
        await step(number)
    caches, resident = server.cache_bytes, server.memory()
    for number in range(count // 2, count):
        await step(number)
    grown, more = server.cache_bytes - caches, server.memory() / resident - 1
    found.figures |= {f"{name}: caches grew by MiB": round(grown / MIB, 2), f"{name}: resident grew by %": more * 100}
    found.require(grown <= GROWS, f"{name}: caches grew by {grown / MIB:.1f} MiB over the second half")
    if count >= 60:  # with fewer, noise dominates
        found.require(more <= RSS_GROWS, f"{name}: resident memory grew by {more:.1%} over the second half")


def quantiles(seconds: Sequence[float]) -> dict[str, float]:
    """Median and 95th percentile."""
    ordered = sorted(seconds)
    return {"p50 s": round(median(ordered), 3), "p95 s": round(ordered[int(0.95 * (len(ordered) - 1))], 3)}


# ---- all of it ------------------------------------------------------------------------------------------


def run(size: Size, folder: Path) -> dict[str, Findings]:
    """Run all parts; the short form needs no server with the default settings."""
    groups: list[tuple[dict[str, str], list[Any]]] = [(FORGETFUL, [isolation])]
    if size == SHORT:
        groups += [(SMALLER | BRIEF, [known_pictures, storm, new_pictures, attributions, growth, abandoned_upload])]
    else:
        groups += [
            ({}, [known_pictures, storm]),
            ({}, [new_pictures]),
            (SMALL, [attributions]),
            (SMALL | BRIEF, [growth, abandoned_upload]),
            ({}, [memory_limit]),
        ]
    found = {}
    for number, (settings, parts) in enumerate(groups):
        limit = LIMIT_MIB if memory_limit in parts else 0
        with serve(app_script(), folder / f"{number}.log", limit, **settings) as server:
            asyncio.run(warm(server))
            for part in parts:
                start = time.perf_counter()
                found[part.__name__] = asyncio.run(part(server, size))
                found[part.__name__].figures["seconds in all"] = round(time.perf_counter() - start, 1)
                found[part.__name__].require(server.failures == 0, f"{server.log} reports failures")
                print(part.__name__, json.dumps(found[part.__name__].figures, indent=2), flush=True)
    return found


async def warm(server: Server) -> None:
    """Have the server load the libraries."""
    async with Visitor(server.address) as visitor:
        await visitor.run("results")
    server.idle_mib = server.memory()


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="a minute instead of an hour")
    folder = Path(tempfile.mkdtemp(prefix="segviz-load-"))
    found = run(SHORT if parser.parse_args().short else Size(), folder)
    problems = [f"{name}: {problem}" for name, one in found.items() for problem in one.problems]
    print("\n".join(problems) or "No problems.", f"\nLoad average {os.getloadavg()}; logs in {folder}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
