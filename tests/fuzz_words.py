"""Bad input of words: addresses, requests and command lines, by Hypothesis; and sound ones of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st

PARAMETERS = (
    "picture", "seed", "model", "pin", "colours", "opacity", "range", "scale", "cells", "direction", "outlines",
    "strongest", "hidden", "crowding", "vehicle_distance", "sun", "utm",
)  # fmt: skip
KNOBBED = ("crowding", "vehicle_distance")
WORDS = (
    "upload", "7", "fla", "sam", "fcn", "100-200-1", "0-0", "gray", "65", "shared", "log", "attended_by", "true", "Sky",
    "0.5", "nan", "1e999", "-1", "99999-99999-9", "../../etc/passwd", "<script>alert(1)</script>", "![](http://x/)",
    "٣", "a\0b", "9" * 500,
)  # fmt: skip
words = st.one_of(st.sampled_from(WORDS), st.text(max_size=12))
queries = st.dictionaries(
    st.one_of(st.sampled_from(PARAMETERS), st.text(max_size=8)), st.lists(words, min_size=1, max_size=10), max_size=6
)

PAGES = tuple(
    f"pages/{name}.py" for name in ("home", "inspect", "psa", "snl", "sam", "fla", "results", "many_pictures")
)
FEW = {"seed": ("3", "x"), "model": ("fcn", "x")}  # for whole pages: another street or model takes a forward each
pages = st.tuples(
    st.sampled_from(PAGES),
    queries.map(
        lambda given: {name: list(FEW.get(name, values)) for name, values in given.items() if name not in KNOBBED}
    ),
)

HEADERS = ("range", "host", "origin", "accept", "accept-encoding", "content-length", "cookie", "if-range")
HEADER_WORDS = (
    b"bytes=0-9", b"bytes=-5", b"bytes=9-1", b"bytes=0-,5-", b"bytes=99999999-", b"localhost", b"[::1", b"a:b:c",
    b"null", b"http://evil.example", b"text/html", b"gzip", b"9" * 5000, b"\xff\xfe", b"-1",
)  # fmt: skip
PATHS = (
    "/", "/segviz/blob/", "/segviz/file/", "BLOB", "..", "%2e%2e", "\\", "//", "/metrics", "/healthz", "\0", "?", "#",
    "_stcore/upload_file/", "a" * 3000,
)  # fmt: skip
header_names = st.sampled_from([name.encode() for name in HEADERS])
header_values = st.one_of(st.sampled_from(HEADER_WORDS), st.binary(max_size=20))
paths = st.lists(st.one_of(st.sampled_from(PATHS), st.text(max_size=6)), max_size=6).map("".join)
requests = st.tuples(
    st.sampled_from(["GET", "GET", "GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "BREW"]),
    st.one_of(st.just("/segviz/blob/BLOB"), paths),
    st.lists(st.tuples(header_names, header_values), max_size=4),
    st.booleans(),  # whether the host is a good one
)

REQUEST = ("GET", "/segviz/blob/BLOB", [], True)
COMMANDS = ("predict", "attend", "watch", "figure", "evaluate", "train", "datasets", "bench", "models", "app")
OPTIONS = (
    "--model", "--out", "--zip", "--json", "--device", "--at", "--map", "--look", "--scale", "--shared-scale",
    "--colours", "--format", "--size", "--page", "--columns", "--models", "--feature", "--labels", "--width",
    "--no-letters", "--caption", "--data", "--split", "--multi-scale", "--scales", "--without-context", "--scenes",
    "--record", "--init", "--steps", "--batch", "--crop", "--rate", "--budget", "--seed", "--output-stride",
    "--resume", "--rounds", "--only", "--ask", "--url", "--markdown", "--scores", "--record-of", "--port", "--help",
    "--", "--weights", "--classes", "--mean", "--std", "--input-size", "--fit", "--layers", "--head",
    "--step", "--flip", "--whole", "--long-side", "--nonsense",
)  # fmt: skip
VALUES = (
    "PICTURE", "BADPICTURE", "MODEL", "BADMODEL", "DATA", "BADDATA", "OUT", "OUT/a.png", "OUT/a.svg", "OUT/a.npz",
    "OUT/a.csv", "OUT/deep/er", "OUT/" + "x" * 300, "PICTURE/under", "scene:1", "scene:x", "scene:" + "9" * 30,
    "psa-6", "fla-5", "compare", "snl", "blocks", "models", "questions", "val", "train", "sam", "fcn", "all", "10,20",
    "9999,9999", "1,2,3", "0", "1", "-1", "2", "4", "nan", "1e999", "inf", "9m", "0s", "points", "log",
    "attended_by", "attends_to",
    "gray", "png", "svg", "csv", "npz", "strip", "gate", "both", "cpu", "cuda:99", "toaster", "", " ", "-",
    "x" * 300, "a\0b", "\udcff.png", "٣", "1" * 5000, "a\nb", "single", "output",
    "2/3", "1/0", "own", "64,96",
)  # fmt: skip
values = st.one_of(st.sampled_from(VALUES), st.text(max_size=6))
bare = st.lists(st.one_of(st.sampled_from(OPTIONS), values), max_size=8)
SOUND: dict[str, Sequence[str]] = {
    "predict": ("PICTURE", "--model", "MODEL", "--out", "OUT", "--device", "cpu"),
    "attend": ("PICTURE", "--model", "MODEL", "--out", "OUT/a.npz", "--at", "10,20"),
    "watch": ("PICTURE", "--model", "timm:levit_128s", "--weights", "random", "--device", "cpu"),
    "figure": ("atta-9", "PICTURE", "--out", "OUT/a.png", "--models", "MODEL"),
    "evaluate": ("--model", "MODEL", "--data", "DATA", "--split", "train"),
    "train": ("--model", "sam", "--data", "DATA", "--out", "OUT/a.safetensors", "--steps", "1"),
    "datasets": ("DATA", "--split", "train"),
    "bench": ("blocks", "--rounds", "1"),
    "models": ("--record-of", "MODEL"),
    "app": ("--port", "8501"),
}


@st.composite
def command_lines(draw: Callable[..., Any]) -> list[str]:
    """A command with sound options of which some are gone or other words, and with others."""
    command = draw(st.sampled_from(COMMANDS))
    given = list(SOUND[command])
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, max(len(given) - 1, 0)))
        deed = draw(st.integers(0, 3))
        if deed == 0 and given:
            del given[at]
        elif deed == 1 and given:
            given[at] = draw(values)
        else:
            option = draw(st.sampled_from(OPTIONS))
            given[at:at] = [option, *draw(st.lists(values, max_size=2))]
    return [command, *given] if draw(st.integers(0, 9)) else draw(bare)
