"""Every file of a split is read once before anything else: what is wrong is told at once, and pixels are counted.

What was found in a split too large for memory is kept in the user's cache folder, so that the next command does not
read all files again. The entry's name is made of the names, sizes and times of the files, and of how labels are read:
when one of them changes, the split is scanned anew. Nothing is written into the data set's folder.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from segviz.atomic_write import open_atomically
from segviz.data.data_set import DataSet
from segviz.data.read_ahead import map_ahead
from segviz.data.sample import DataError, HeightAndWidth, LazySamples, Sample, SampleFiles, count_labels
from segviz.paths import cache_folder

RESIDENT_BYTES = 2 * 1024**3  # decoded pictures and labels that stay in memory
KEPT_FROM = RESIDENT_BYTES  # findings in smaller splits are not kept: they are quickly made again
PIXEL_BYTES = 4  # three of the picture and one of the labels
WrapNames = Callable[..., Iterable[str]]


@dataclass(frozen=True)
class SplitScan:
    """What reading all files of a split gave.

    Attributes:
        samples: the sound ones, in memory or read as needed.
        faults: what is wrong, a sentence for each of the others; files are named from the data set's folder.
        bytes: the size of all sound samples decoded.
    """

    samples: Sequence[Sample]
    faults: tuple[str, ...]
    bytes: int


@dataclass(frozen=True)
class Finding:
    """What reading one sample gave: its counts and size, and the sample itself while there is room; or a fault."""

    counts: Int64[np.ndarray, " classes"]
    size: HeightAndWidth
    sample: Sample | None
    fault: str | None = None


def scan_split(
    data: DataSet, split: str, files: tuple[SampleFiles, ...], limit: int, progress: WrapNames | None
) -> SplitScan:
    """Read every sample of a split once, in background threads.

    Args:
        data: the data set.
        split: the split's name, for the progress bar.
        files: the files of its samples.
        limit: bytes up to which all samples are kept in memory; beyond it they are read again when they are needed.
        progress: wraps the names while their files are read.
    """
    entry = cache_file(data, files)
    if (known := read_entry(entry, len(files), len(data.classes.names))) is not None and known[2] > limit:
        return SplitScan(LazySamples(files, data.read_sample, known[0], known[1]), (), known[2])
    names = [one.name for one in files]
    wrapped: Iterable[str] = names if progress is None else progress(names, desc=f"reading {split}", unit="image")
    kept: list[Sample] | None = []
    sound: list[SampleFiles] = []
    findings: list[Finding] = []
    faults: list[str] = []
    total = 0
    results = map_ahead(partial(examine_sample, data), files)
    for _, one, found in zip(wrapped, files, results, strict=True):
        if found.fault is not None:
            faults.append(found.fault.replace(f"{data.root}{os.sep}", ""))
            continue
        total += PIXEL_BYTES * found.size[0] * found.size[1]
        sound.append(one)
        if total > limit:
            kept = None
        if kept is not None and found.sample is not None:
            kept.append(found.sample)
        findings.append(Finding(found.counts, found.size, None))
    if kept is not None or not findings:
        kept = kept or []
        return SplitScan(tuple(kept), tuple(faults), total)
    counts, sizes = np.stack([one.counts for one in findings]), tuple(one.size for one in findings)
    if not faults and total > KEPT_FROM:
        write_entry(entry, counts, sizes, total)
    return SplitScan(LazySamples(tuple(sound), data.read_sample, counts, sizes), tuple(faults), total)


def examine_sample(data: DataSet, files: SampleFiles) -> Finding:
    """Read one sample, and count its pixels."""
    classes = len(data.classes.names)
    try:
        sample = data.read_sample(files)
    except DataError as fault:
        return Finding(np.zeros(classes, np.int64), (0, 0), None, str(fault))
    return Finding(count_labels(sample.labels, classes), (sample.labels.shape[0], sample.labels.shape[1]), sample)


# ---- what was found before ------------------------------------------------------------------------------


def cache_file(data: DataSet, files: Sequence[SampleFiles]) -> Path:
    """Where the findings of these files are kept, in the user's cache folder."""
    digest = hashlib.sha256(json.dumps([data.code, list(data.classes.names), data.classes.void]).encode())
    for one in files:
        for path in (one.picture, one.labels):
            with suppress(OSError):
                if path is not None:
                    state = path.stat()
                    digest.update(f"{path.resolve()}\0{state.st_size}\0{state.st_mtime_ns}\n".encode(errors="replace"))
    return cache_folder() / "splits" / f"{digest.hexdigest()[:40]}.npz"


def read_entry(
    path: Path, samples: int, classes: int
) -> tuple[Int64[np.ndarray, "samples classes"], tuple[HeightAndWidth, ...], int] | None:
    """Counts, sizes and bytes of a split that was scanned before; None if it was not, or the file is damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
            counts, sizes, total = found["counts"].astype(np.int64), found["sizes"], int(found["bytes"])
    except Exception:  # a damaged entry is made again; NumPy raises whatever its bytes lead to
        return None
    if counts.shape != (samples, classes) or sizes.shape != (samples, 2):
        return None
    return counts, tuple((int(height), int(width)) for height, width in sizes), total


def write_entry(path: Path, counts: np.ndarray, sizes: Sequence[HeightAndWidth], total: int) -> None:
    """Keep what was found; where the folder cannot be written, the split is scanned again next time."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with open_atomically(path) as file:
            np.savez_compressed(file, counts=counts, sizes=np.array(sizes, np.int64), bytes=total)
