"""Data sets on disk: any layout of `readers.table`, or any folder with a class map; every file checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from segviz.data.data_set import DataSet, refuse_split
from segviz.data.readers.class_map import open_with_class_map
from segviz.data.readers.pascal_context import open_pascal_context
from segviz.data.readers.table import READERS, find_layout
from segviz.data.sample import DataError, LazySamples, Sample, Split, list_first
from segviz.data.sample_files import find_folders
from segviz.data.split_scan import RESIDENT_BYTES, WrapNames, scan_split

FOLDERS_TRIED = 50  # inside a folder without a layout
WITH_BACKGROUND = "context"  # in the place of a class map: PASCAL Context with its background as the 60th class


def open_data_set(root: Path, class_map: Path | None = None) -> DataSet:
    """Find out what data set a folder holds: layout, splits, classes and palette; no picture is read.

    Args:
        root: the data set's folder.
        class_map: a JSON file that says which class each id or colour of the label files is
            (`readers.class_map_file`); or `context`, for PASCAL Context's 60 classes with background.

    Raises:
        DataError: the folder has no known layout, or its lists or the class map cannot be used.
    """
    if not root.is_dir():
        raise DataError(f"{root} is not a folder; check the path and its spelling")
    layout = find_layout(root)
    if class_map is not None and str(class_map) == WITH_BACKGROUND and not class_map.exists():
        if layout != "context":
            raise DataError(
                f"{root} is not PASCAL Context, so '{class_map}' is not a class map for it; name a JSON file"
            )
        return open_pascal_context(root, background=True)
    if class_map is not None:
        return open_with_class_map(root, class_map, None if layout is None else READERS[layout].open(root))
    if layout is None:
        if nearby := find_nearby(root):
            raise DataError(f"{root} has no known layout, but {describe_nearby(nearby)}")
        known = "; ".join(f"{reader.title}: {reader.folders}" for reader in READERS.values())
        raise DataError(
            f"{root} has no known layout: {root / 'meta.json'} is missing, and so are the folders of others; "
            f"name the folder that holds {known}; or give --class-map FILE"
        )
    return READERS[layout].open(root)


def find_nearby(root: Path) -> dict[Path, str]:
    """The folders inside that have a known layout, such as VOC2012 in VOCdevkit, or else the one above; by title."""
    inside = [root / name for name in find_folders(root)[:FOLDERS_TRIED]]
    for folders in (inside, [root.absolute().parent]):
        if found := {one: READERS[layout].title for one in folders if (layout := find_layout(one)) is not None}:
            return found
    return {}


def describe_nearby(nearby: Mapping[Path, str]) -> str:
    """Which folders have a known layout, and to name one of them."""
    if len(nearby) == 1:
        ((folder, title),) = nearby.items()
        return f"{folder} is a {title} folder; name that one"
    listed = ", ".join(list_first([f"{folder} ({title})" for folder, title in nearby.items()]))
    return f"{len(nearby)} folders in it have one: {listed}; name one of them"


def load_split(
    root: Path,
    split: str,
    progress: WrapNames | None = None,
    *,
    class_map: Path | None = None,
    skip_damaged: bool = False,
    limit: int = RESIDENT_BYTES,
) -> Split:
    """Read and check a split of any layout; nothing is returned unless every file is sound.

    Args:
        root: the data set's folder.
        split: for example "train", or several joined by "+", such as "train+val".
        progress: wraps the names while their files are read, for example `progress_bar`.
        class_map: see `open_data_set`.
        skip_damaged: leave out samples whose files are missing or damaged, and say so in `Split.notes`.
        limit: bytes of decoded pictures and labels up to which all stay in memory, 2 GiB by default; a larger split is
            read as its samples are needed, by threads in the background.

    Raises:
        DataError: a file is missing or unreadable, a picture and its labels differ in size, or a class is unknown;
            the message names the first few faults and counts the rest.
    """
    data = open_data_set(root, class_map)
    listing = data.list_files(split)
    if any(one.labels is None for one in listing.files):
        parts = split.split("+")
        bare = next((one for one in parts if any(file.labels is None for file in data.list_files(one).files)), split)
        raise DataError(
            f"the {bare} split of {root} has no labels, as only its test server has them; "
            f"{'leave it out, or ' if len(parts) > 1 else ''}use `predict --split {bare}`"
        )
    scan = scan_split(data, split, listing.files, limit, progress)
    left_out = listing.missing + len(scan.faults)
    faults = [*listing.faults, *list_first(scan.faults)]
    if faults and not (skip_damaged and len(scan.samples)):
        raise refuse_faults(f"{split} split of {root}", faults, left_out, len(scan.samples))
    if not len(scan.samples):
        raise refuse_split(root, split, data.splits)
    notes = [*data.notes, *describe_reading(split, scan.samples, scan.bytes)]
    if faults:
        whole = left_out + len(scan.samples)
        notes.append(f"{left_out} of {whole} samples of {split} are left out: {'; '.join(faults)}")
    return Split(split, scan.samples, data.classes, tuple(notes))


def refuse_faults(title: str, faults: Sequence[str], damaged: int, sound: int) -> DataError:
    """The error for a split with faults: one sentence for one of them, and a line for each of several.

    Args:
        title: which split it is.
        faults: what is wrong, in sentences.
        damaged: the samples concerned.
        sound: the others.
    """
    count = f"{damaged:,} of {damaged + sound:,} pictures"
    skip = [f"--skip-damaged of `train` and `evaluate` leaves out {count}"] if damaged and sound else []
    if len(faults) == 1:
        return DataError("; ".join([f"{title}: {faults[0]}", *skip]))
    return DataError(f"{title}: {count if damaged else 'its pictures'} cannot be used:", [*faults, *skip])


def describe_reading(split: str, samples: Sequence[Sample], size: int) -> list[str]:
    """How the samples of a split are read, in a sentence; none if they are in memory, as those of a small set are."""
    if not isinstance(samples, LazySamples):
        return []
    takes, count = f"{size / 1024**3:.1f} GiB", f"{len(samples):,}"
    return [f"{split} takes {takes} decoded, so its {count} pictures are read as they are needed"]
