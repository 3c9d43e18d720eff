"""A pool of drawn scenes for training and evaluation, drawn once and cached on disk."""

from __future__ import annotations

import hashlib
import os
import signal
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from segviz.data.sample import Sample
from segviz.data.scenes.scene import Scene, draw_scene, random_options
from segviz.paths import cache_folder
from segviz.runtime.cores import available_cores
from segviz.runtime.progress import progress_bar

UNSEEN = 1_000_000  # no training uses scenes from this seed on
UNSEEN_COUNT = 50
SCENES_PER_WORKER = 40  # about ten seconds of drawing; fewer are not worth a process


def scene_pool(
    count: int, first_seed: int, width: int = 480, height: int = 360, cache: Path | None = None
) -> list[Sample]:
    """Scenes of consecutive seeds with random options, from the cache if they are there.

    Args:
        count: number of scenes.
        first_seed: seed of the first scene.
        width: picture width in pixels.
        height: picture height in pixels.
        cache: folder of cached pools; the user's cache folder by default.
    """
    path = (cache or cache_folder()) / f"scenes-{drawing_version()}-{first_seed}-{count}-{width}x{height}.npz"
    if (known := read_pool(path, (count, height, width))) is not None:
        images, labels = known
    else:
        scenes = draw_scenes(range(first_seed, first_seed + count), width, height)
        images = np.array([scene.image for scene in scenes]).reshape(-1, height, width, 3)
        labels = np.array([scene.labels for scene in scenes]).reshape(-1, height, width)
        with suppress(OSError):  # a home folder that cannot be written, or a full disk, costs the next run a redrawing
            save_pool(path, images, labels)
    names = [f"scene {seed}" for seed in range(first_seed, first_seed + count)]
    return [Sample(*parts) for parts in zip(names, images, labels, strict=True)]


def draw_scenes(seeds: range, width: int, height: int) -> list[Scene]:
    """Draw the scenes of the seeds, in several processes if there are many.

    A script that calls this needs Python's usual `if __name__ == "__main__":`.
    """
    draw = partial(random_scene, width=width, height=height)
    workers = min(available_cores(), len(seeds) // SCENES_PER_WORKER)
    fewer = "; --scenes N draws fewer" if len(seeds) > UNSEEN_COUNT else ""
    what = f"drawing scenes for this and later runs{fewer}"
    bar = partial(progress_bar, total=len(seeds), desc=what, unit="scene")
    if workers < 2:
        return list(bar(map(draw, seeds)))
    with ProcessPoolExecutor(workers, get_context("spawn"), ignore_interrupt) as pool:
        try:
            return list(bar(pool.map(draw, seeds, chunksize=4)))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def ignore_interrupt() -> None:
    """Leave Ctrl-C, which reaches a terminal's every process, to the one that waits for the workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def random_scene(seed: int, width: int, height: int) -> Scene:
    """Draw the scene of a seed with random options."""
    return draw_scene(seed, random_options(seed), width=width, height=height)


def read_pool(
    path: Path, shape: tuple[int, int, int]
) -> tuple[UInt8[np.ndarray, "scenes height width 3"], UInt8[np.ndarray, "scenes height width"]] | None:
    """Pictures and labels of a pool of (scenes, height, width); None if it is not there, or damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            images, labels = arrays["images"], arrays["labels"]
    except Exception:  # a damaged pool is drawn again; NumPy raises whatever its bytes lead to
        return None
    sound = images.shape == (*shape, 3) and labels.shape == shape and images.dtype == labels.dtype == np.uint8
    return (images, labels) if sound else None


def save_pool(path: Path, images: np.ndarray, labels: np.ndarray) -> None:
    """Write a pool through a temporary file, so that no reader finds half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.npz")
    try:
        np.savez(temporary, images=images, labels=labels)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def drawing_version() -> str:
    """A short hash of the drawing code, so that changed code never reads an old pool."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]
