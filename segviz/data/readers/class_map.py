"""Any folder of pictures and labels, read by a class map; see `class_map_file`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePath

from segviz.data.class_sets import give_colours
from segviz.data.classes import VOID, ClassSet, RgbColour
from segviz.data.data_set import DataSet, Listing, pair_files, refuse_split
from segviz.data.label_codes import LabelCodes
from segviz.data.readers.class_map_file import ClassMap, read_class_map
from segviz.data.readers.coded_labels import read_coded_labels
from segviz.data.sample import DataError
from segviz.data.sample_files import (
    LABEL_SUFFIXES,
    SAMPLE_SUFFIXES,
    find_label_names,
    find_picture_names,
    read_names,
)


def read_colour(text: str) -> RgbColour:
    """A colour from its six hexadecimal digits."""
    red, green, blue = bytes.fromhex(text.removeprefix("#"))
    return red, green, blue


def classes_of(found: ClassMap) -> ClassSet:
    """The classes, each in its `colour`, or the first of its `colours`, or as a known data set draws it."""
    names = tuple(one.name for one in found.classes)
    palette = give_colours(names).palette
    own = [one.colour or next(iter(one.colours), None) for one in found.classes]
    return ClassSet(names, tuple(read_colour(text) if text else at for text, at in zip(own, palette, strict=True)))


def codes_of(found: ClassMap) -> LabelCodes:
    """The class of each id and colour."""
    ids = dict.fromkeys(found.void_ids, VOID)
    colours = dict.fromkeys(map(read_colour, found.void_colours), VOID)
    for at, one in enumerate(found.classes):
        ids |= dict.fromkeys(one.ids, at)
        colours |= dict.fromkeys(map(read_colour, one.colours), at)
    with_ids = any(one.ids for one in found.classes)
    with_colours = any(one.colours for one in found.classes)
    others_void = found.others == "void"
    return LabelCodes(ids if with_ids else {}, colours if with_colours else {}, others_void, mapped=True)


def open_with_class_map(root: Path, path: Path, layout: DataSet | None) -> DataSet:
    """The data set in a folder, its labels read by a class map.

    Args:
        root: the folder.
        path: the class map.
        layout: what the folder is by itself, whose splits are used where the class map names none.

    Raises:
        DataError: the class map cannot be used, or there are no splits.
    """
    found = read_class_map(path)
    classes, codes = classes_of(found), codes_of(found)
    form = " and ".join([kind for kind, some in (("ids", codes.ids), ("colours", codes.colours)) if some])
    mapped = {
        "classes": classes,
        "read_labels": partial(read_coded_labels, codes),
        "label_form": f"{form} by the class map {path}",
        "code": f"class map {found}",
        "server": None,
        "notes": (),
    }
    if found.splits:
        listing = partial(list_mapped_split, root, found)
        return DataSet(root, "class map", splits=tuple(found.splits), list_split=listing, **mapped)  # type: ignore[arg-type]
    if layout is None:
        raise DataError(
            f'{path} names no splits, and {root} has no known layout; add "splits": '
            '{"train": {"pictures": "FOLDER", "labels": "FOLDER"}}'
        )
    return replace(layout, **mapped)  # type: ignore[arg-type]


def list_mapped_split(root: Path, found: ClassMap, split: str) -> Listing:
    """The files of a split in the folders that a class map names: those of its list, or else of all pictures.

    Without a list, labels without a picture are told where none of them can belong to another split.

    Raises:
        DataError: there is no such split, or its list cannot be used.
    """
    if split not in found.splits:
        raise refuse_split(root, split, list(found.splits))
    folders = found.splits[split]
    pictures, labels = root / folders.pictures, root / folders.labels
    if folders.list:
        names = read_names(root / folders.list)
    else:
        ending = found.picture_ending
        taken = "" if pictures != labels else found.label_ending
        names = [name.removesuffix(ending) for name in find_picture_names(pictures) if name.endswith(ending)]
        names = [name for name in names if not taken or not name.endswith(taken)]
    if not names:
        return Listing((), (f"{pictures} holds no picture; correct 'pictures' of '{split}' in the class map",))
    if not folders.list and not shares_labels(found, split):
        names = sorted(drop_companions({*names, *find_label_names(labels, (found.label_ending,))}, set(names)))
    return pair_files(
        names,
        {name: (pictures / f"{name}{found.picture_ending}", SAMPLE_SUFFIXES) for name in names},
        {name: (labels / f"{name}{found.label_ending}", LABEL_SUFFIXES) for name in names},
        root,
        "add them, or correct 'labels' and 'label_ending' in the class map",
        "add them, or name the split's samples in a 'list' in the class map",
    )


def shares_labels(found: ClassMap, split: str) -> bool:
    """Whether the folder of a split's labels may hold those of other samples: of another split, or pictures too."""
    own = PurePath(found.splits[split].labels)
    others = [PurePath(one.labels) for name, one in found.splits.items() if name != split]
    if not found.label_ending:
        others += [PurePath(one.pictures) for one in found.splits.values()]
    return any(own.is_relative_to(one) or one.is_relative_to(own) for one in others)


def drop_companions(names: Collection[str], kept: Collection[str]) -> list[str]:
    """The names without those that add something to another, as `7_color` to `7`: some tools write such files, too.

    Args:
        names: of samples.
        kept: those that stay whatever they add.
    """
    return [
        name
        for name in names
        if name in kept or not any(letter in "_-. " and name[:at] in names for at, letter in enumerate(name))
    ]
