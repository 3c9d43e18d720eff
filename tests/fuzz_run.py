"""Fuzzing: thousands of bad inputs of nine kinds, each given to the code that reads it, through one harness.

`python tests/fuzz_run.py` is the long form: 5,000 inputs, a few minutes on two cores; the tests run a short form. It
prints a table and the problems. The exit status is 1 if an input raised anything but the project's own errors, took
over 5 s, or wrote a file outside the chosen folder.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qs, urlencode

import fuzz_inputs as bad
import fuzz_words as odd
import numpy as np
from fuzz_harness import STUCK_S, Harness, Kind, Place, RefusedError, Tally
from starlette.applications import Starlette
from streamlit.logger import set_log_level
from streamlit.runtime.pages_manager import PagesManager
from streamlit.testing.v1 import AppTest

from segviz.batch.finished_list import FinishedList, ResumeError
from segviz.batch.finished_pictures import LIST_NAME, FinishedPictures
from segviz.batch.inputs import find_sources, make_stems
from segviz.batch.run import Folder
from segviz.batch.zip_input import ZipError, list_zip_files
from segviz.benchmarks.measure import Report
from segviz.catalogue import checkpoint_file
from segviz.catalogue.checkpoint_checks import CheckpointError
from segviz.catalogue.read_weights import read_weights
from segviz.catalogue.record import Record
from segviz.cli import main as cli
from segviz.data.class_sets import CLASS_SETS
from segviz.data.classes import CAMVID, VOID
from segviz.data.open_data_set import load_split
from segviz.data.readers.single_labels import decode_truth
from segviz.data.sample import DataError
from segviz.data.scenes.by_name import SourceError
from segviz.evaluation.stored_counts import counts_from_json
from segviz.image import ImageError, decode, resize, to_tensor, working_size
from segviz.server import blobs, downloads, health
from segviz.server.guard import Guard
from segviz.server.launch import app_script
from segviz.settings import read_settings
from segviz.training.options import TrainOptions
from segviz.ui import permalink
from segviz.ui.picture_sidebar import KNOBS
from segviz.viewer.display import Display

INPUTS = 5000
FILES = {
    "MODEL": "sam.safetensors",
    "BADMODEL": "bad.safetensors",
    "PICTURE": "scene.png",
    "BADPICTURE": "bad.png",
    "DATA": "data",
    "BADDATA": "bad data",
    "OUT": "out",
}  # of a command line
RANGES = {row[0]: (row[2], row[3]) for row in KNOBS}


# ---- how each input is used ------------------------------------------------------------------------------


def use_picture(data: bytes, place: Place) -> None:
    """Decode an upload and scale it to the model's size."""
    image = decode(data)
    assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and image.size
    small = resize(image, working_size(*image.shape[:2]))
    assert to_tensor(small).isfinite().all()


def use_mask(data: bytes, place: Place) -> None:
    """Decode ground truth: every pixel must be a class or void."""
    truth = decode_truth(data, CAMVID, (bad.HEIGHT, bad.WIDTH), (24, 32))
    assert truth.labels.shape == (24, 32)
    assert set(np.unique(truth.labels)) <= {*range(len(CAMVID.names)), VOID}


def lay_file(name: str, data: bytes, place: Place) -> Path:
    """Write a file with these bytes and return its path."""
    path = place.given / name
    path.write_bytes(data)
    return path


lay_checkpoint = partial(lay_file, "x.safetensors")
lay_weights = partial(lay_file, "x.pth")


def use_checkpoint(path: Path, place: Place) -> None:
    """Load a checkpoint: its weights must be finite and its record printable."""
    model, record = checkpoint_file.load_checkpoint(path)
    assert all(value.isfinite().all() for value in model.state_dict().values())
    json.dumps(asdict(record)).encode()
    " ".join((record.model, record.command, *record.classes)).encode()


def use_weights(path: Path, place: Place) -> None:
    """Read foreign weights: what is read are named tensors and texts."""
    stored = read_weights(path)
    assert all(isinstance(name, str) and value.numel() < 10**9 for name, value in stored.tensors.items())
    " ".join((*stored.classes, *stored.skipped)).encode(errors="backslashreplace")


def use_query(given: dict[str, list[str]], place: Place) -> None:
    """Read an address: what was read must survive being written and read again."""
    link, refused = permalink.read_link(given, RANGES, Display())
    again, none = permalink.read_link(
        parse_qs(urlencode(link.parameters(Display())), keep_blank_values=True), RANGES, Display()
    )
    assert (again, none) == (link, ())
    if refused:
        raise RefusedError(f"left out: {', '.join(refused)}")


def use_page(given: tuple[str, dict[str, list[str]]], place: Place) -> None:
    """Open a whole page by its address."""
    page, parameters = given
    app = AppTest.from_file(str(app_script()), default_timeout=STUCK_S)
    for name, value in parameters.items():
        app.query_params[name] = value
    app.switch_page(page)
    with patch.object(PagesManager, "__init__", begin_with_navigation):
        app.run()
    assert [one.message for one in app.exception] == []
    if messages := [one.value for one in (*app.error, *app.warning)]:
        raise RefusedError(messages[0])


start_pages = PagesManager.__init__


def begin_with_navigation(self: PagesManager, *arguments: Any, **more: Any) -> None:
    """Switch off the pages folder for every run: AppTest resets the flag that app.py sets once in a server."""
    start_pages(self, *arguments, **more)
    PagesManager.uses_pages_directory = False


def lay_data_set(chance: random.Random | None, place: Place) -> Path:
    bad.data_set(place.given / "data", chance)
    return place.given / "data"


def use_data_set(root: Path, place: Place) -> None:
    """Read a data set's folder, and its pictures one by one."""
    for source in find_sources([str(root / "train" / "images")]):
        with contextlib.suppress(ImageError):
            source.open()
    for sample in load_split(root, "train").samples:
        assert sample.image.shape[:2] == sample.labels.shape


def lay_class_map(chance: random.Random | None, place: Place) -> Path:
    bad.class_map_folder(place.given / "data", chance)
    return place.given / "data"


def use_class_map(root: Path, place: Place) -> None:
    """Read a split of PASCAL Context, and one by a class map; the class map counts where both are refused."""
    with contextlib.suppress(DataError):
        assert load_split(root / "context", "train").classes.names == CLASS_SETS["context59"].names
    for sample in load_split(root, "train", class_map=root / "map.json").samples:
        assert sample.image.shape[:2] == sample.labels.shape


def use_list(data: bytes, place: Place) -> None:
    """Go on from a list of finished pictures, and read those entries that are counts."""
    (place.chosen / LIST_NAME).write_bytes(data)
    sources = find_sources(["scene:1"])
    finished = FinishedPictures(place.chosen, Folder(place.chosen).put, bad.LIST_RUN, sources, resume=True)
    assert finished.rest == sources, "its files are not there"
    finished.close()
    counted = FinishedList(place.chosen / LIST_NAME, bad.LIST_RUN, resume=True)
    counted.close()
    for entry in counted.entries.values():
        with contextlib.suppress(ValueError):
            assert counts_from_json(entry, 11).everywhere is not None


def use_archive(data: bytes, place: Place) -> None:
    """Read a ZIP of pictures and write each one under its own name."""
    found = list_zip_files(data).pictures
    folder, failed = Folder(place.chosen), None
    for (_, opened), stem in zip(found, make_stems([name for name, _ in found]), strict=True):
        try:
            folder.put(f"{stem}.bin", opened().tobytes()[:100])
        except ImageError as error:
            failed = error
    if failed:
        raise failed


@cache
def server() -> tuple[Guard, str]:
    """The routes behind the guard, and the name of a blob."""
    store = blobs.BlobStore()
    routes = [*blobs.blob_routes(store), *downloads.download_routes(), *health.health_routes()]
    return Guard(Starlette(routes=routes), limits=read_settings({})), store.put(bytes(range(100)))


def use_request(request: tuple[str, str, list[tuple[bytes, bytes]], bool], place: Place) -> None:
    """Send a request: every answer must be complete, and none may be a server error."""
    method, path, headers, sound = request
    guard, name = server()
    headers = [*([(b"host", b"localhost:8501")] if sound else []), *headers]
    status, length, body = asyncio.run(answered(guard, method, path.replace("BLOB", name), headers))
    assert status < 500, status
    assert length is None or method == "HEAD" or int(length) == len(body)
    if status >= 400:
        raise RefusedError(body.decode().strip() or f"status {status}")


async def answered(
    app: Guard, method: str, path: str, headers: list[tuple[bytes, bytes]]
) -> tuple[int, bytes | None, bytes]:
    """The status, content-length and body of the answer."""
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": path,
        "raw_path": path.encode(errors="surrogatepass"), "query_string": b"", "root_path": "", "scheme": "http",
        "headers": headers, "client": ("203.0.113.5", 4711), "server": ("127.0.0.1", 8501),
    }  # fmt: skip
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    start, *parts = sent
    assert not parts[-1].get("more_body")
    return start["status"], dict(start["headers"]).get(b"content-length"), b"".join(one["body"] for one in parts)


def lay_command(words: Sequence[str], place: Place) -> list[str]:
    """Write the files that words name, where the command may write, because it may be asked to replace them."""
    chance = random.Random(repr(words))
    known = {name: place.chosen / file for name, file in FILES.items()}
    known["MODEL"].write_bytes(bad.real_checkpoint())
    known["PICTURE"].write_bytes(bad.pictures()[0])
    if "BADMODEL" in words:
        known["BADMODEL"].write_bytes(bad.checkpoint(chance))
    known["BADPICTURE"].write_bytes(bad.picture(chance))
    bad.data_set(known["DATA"], None)
    bad.data_set(known["BADDATA"], chance)
    parts = (word.partition("/") for word in words)
    return [str(known.get(start, start)) + slash + rest for start, slash, rest in parts]


def use_command(words: Sequence[str], place: Place) -> None:
    """Run a command: it must succeed, or end stderr with one sentence. `short_work` replaces what takes minutes."""
    stderr = io.StringIO()
    with contextlib.redirect_stderr(stderr), contextlib.redirect_stdout(strict_output()), short_work():
        try:
            code: Any = cli.main(words)
        except SystemExit as end:
            code = end.code
    assert code in (0, 1, 2), code
    lines = [line for line in stderr.getvalue().splitlines() if line.startswith("segviz: ")]
    assert "Traceback" not in stderr.getvalue()
    if code:
        raise RefusedError(lines[-1] if lines else "")


def strict_output() -> io.TextIOWrapper:
    """A stdout that accepts what a UTF-8 terminal accepts."""
    return io.TextIOWrapper(io.BytesIO(), "utf-8", errors="strict")


@contextlib.contextmanager
def short_work() -> Iterator[None]:
    """Let `app` start nothing, `bench` measure nothing, and `train` only read its data."""
    from segviz.cli import bench, train_command

    def read_data(options: TrainOptions) -> Record:
        load_split(options.data, options.split, class_map=options.class_map, skip_damaged=options.skip_damaged)
        return Record(options.model, CAMVID.names, "none", 8)

    with contextlib.ExitStack() as stack:
        stack.enter_context(patch.object(train_command, "train_model", read_data))
        stack.enter_context(patch.object(cli, "serve", lambda *_: 0))
        for what in ("blocks", "sparse", "models", "networks", "questions", "viewer"):
            stack.enter_context(patch.object(bench, f"bench_{what}", lambda *_: Report("nothing", {}, (), {})))
        yield


# ---- all kinds ------------------------------------------------------------------------------------------

KINDS: Mapping[str, Kind] = {
    "pictures": Kind(bad.picture, lambda: bad.pictures()[:1], use_picture, (ImageError,), share=0.15),
    "ground truth": Kind(bad.mask, lambda: bad.masks()[:1], use_mask, (ImageError,), share=0.14),
    "checkpoints": Kind(
        bad.checkpoint, lambda: [bad.real_checkpoint()], use_checkpoint, (CheckpointError,), lay_checkpoint, 0.1
    ),
    "weights": Kind(
        bad.weights,
        lambda: [bad.sound_weights()[-1]],
        use_weights,
        (CheckpointError,),
        partial(lay_file, "x.pth"),
        0.04,
    ),
    "addresses": Kind(odd.queries, lambda: [{}], use_query, share=0.12),
    "pages by address": Kind(odd.pages, lambda: [("pages/psa.py", {})], use_page, share=0.02),
    "data sets": Kind(bad.spoiler, lambda: [None], use_data_set, (DataError, SourceError), lay_data_set, 0.08),
    "class maps": Kind(bad.spoiler, lambda: [None], use_class_map, (DataError,), lay_class_map, 0.03),
    "finished lists": Kind(bad.finished_list, lambda: [bad.sound_list()], use_list, (ResumeError,), share=0.03),
    "ZIPs": Kind(bad.archive, lambda: [bad.sound_archive()], use_archive, (ZipError, ImageError), share=0.11),
    "requests": Kind(odd.requests, lambda: [odd.REQUEST], use_request, share=0.11),
    "command lines": Kind(
        odd.command_lines(),
        lambda: [[name, *one] for name, one in odd.SOUND.items()],
        use_command,
        (),
        lay_command,
        0.07,
    ),
}


def counts(inputs: int) -> dict[str, int]:
    """The number of inputs of each kind; at least one."""
    return {name: max(1, round(inputs * kind.share)) for name, kind in KINDS.items()}


def table(found: Mapping[str, Tally]) -> str:
    """A row per kind, and their sum."""
    heads = ("kind", "inputs", "refused", "taken", "slowest s", "unhandled", "hangs", "outside")
    rows: list[tuple[Any, ...]] = []
    for name, one in found.items():
        troubles = map(len, (one.unhandled, one.hangs, one.outside))
        rows.append((name, one.inputs, one.refused, one.taken, round(one.slowest, 2), *troubles))
    sums = [sum(column) for column in list(zip(*rows, strict=True))[1:]]
    rows.append(("all", *sums[:3], max(row[4] for row in rows), *sums[4:]))
    return "\n".join(f"{row[0]:<17}" + "".join(f"{one:>10}" for one in row[1:]) for row in (heads, *rows))


def main() -> int:
    """Run the fuzzer from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=INPUTS, help="number of inputs in total (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: %(default)s)")
    parser.add_argument("--only", choices=KINDS, metavar="KIND", help="only this kind")
    options = parser.parse_args()
    set_log_level("error")
    start, found, output = time.perf_counter(), {}, sys.stdout  # a command that hangs may leave stdout redirected
    with tempfile.TemporaryDirectory(prefix="segviz-fuzz-") as folder:
        harness = Harness(Path(folder))
        for name, count in counts(options.inputs).items():
            if options.only in (None, name):
                found[name] = harness.run(name, KINDS[name], count, options.seed)
                print("\n".join(found[name].problems) or f"{name}: sound", file=output, flush=True)
    print(table(found), f"\n{time.perf_counter() - start:.0f} s", file=output)
    return 1 if any(one.problems for one in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
