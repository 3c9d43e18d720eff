"""A pool of drawn scenes for training and evaluation, drawn once and kept in the user's cache."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from tqdm import tqdm

from segviz.data.dataset import Sample
from segviz.data.scenes.scene import Scene, draw_scene, random_options

UNSEEN = 1_000_000  # scenes from this seed on are never trained on
UNSEEN_COUNT = 50
SCENES_PER_WORKER = 40  # some ten seconds of drawing; fewer do not pay for starting a process


def scene_pool(
    count: int, first_seed: int, width: int = 480, height: int = 360, cache: Path | None = None
) -> list[Sample]:
    """Scenes of consecutive seeds with random options.

    Args:
        count: how many.
        first_seed: of the first one.
        width: in pixels.
        height: in pixels.
        cache: folder of kept pools; the user's cache folder by default.
    """
    path = (cache or cache_folder()) / f"scenes-{drawing_version()}-{first_seed}-{count}-{width}x{height}.npz"
    if path.is_file():
        with np.load(path) as kept:
            images, labels = kept["images"], kept["labels"]
    else:
        scenes = draw_scenes(range(first_seed, first_seed + count), width, height)
        images = np.array([scene.image for scene in scenes]).reshape(-1, height, width, 3)
        labels = np.array([scene.labels for scene in scenes]).reshape(-1, height, width)
        save_pool(path, images, labels)
    names = [f"scene {seed}" for seed in range(first_seed, first_seed + count)]
    return [Sample(*parts) for parts in zip(names, images, labels, strict=True)]


def draw_scenes(seeds: range, width: int, height: int) -> list[Scene]:
    """The scenes of the seeds, by several processes where there are many.

    A script that gets here needs Python's usual `if __name__ == "__main__":`.
    """
    draw = partial(random_scene, width=width, height=height)
    workers = min(os.cpu_count() or 1, len(seeds) // SCENES_PER_WORKER)
    bar = partial(tqdm, total=len(seeds), desc="drawing scenes", unit="scene")
    if workers < 2:
        return list(bar(map(draw, seeds)))
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        return list(bar(pool.map(draw, seeds, chunksize=4)))


def random_scene(seed: int, width: int, height: int) -> Scene:
    """The scene of a seed, its options drawn by chance too."""
    return draw_scene(seed, random_options(seed), width=width, height=height)


def save_pool(path: Path, images: np.ndarray, labels: np.ndarray) -> None:
    """Write a pool by way of a temporary file, so that no reader meets half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.npz")
    np.savez(temporary, images=images, labels=labels)
    temporary.replace(path)


def cache_folder() -> Path:
    """Where segviz keeps what can be made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "segviz"


def drawing_version() -> str:
    """A short hash of the drawing code: another code, another pool."""
    sources = sorted(Path(__file__).parent.glob("*scene*.py"))
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]
