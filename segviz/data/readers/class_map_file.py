"""A class map: a JSON file that says which class each id or colour of label files is, and where the files are.

```
{"classes": [{"name": "road", "colours": ["#804080"]}, {"name": "car", "ids": [26, 27], "colour": "#0000FF"}],
 "void_ids": [0], "void_colours": ["#000000"], "others": "fault",
 "splits": {"train": {"pictures": "train/img", "labels": "train/lab", "list": "train.txt"}},
 "picture_ending": "", "label_ending": "_L"}
```
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from segviz.data.classes import VOID
from segviz.data.sample import DataError
from segviz.data.sample_files import is_name, read_text
from segviz.text import plain_text
from segviz.typed_json import convert_or_list_faults

FORM = '{"classes": [{"name": "road", "ids": [7]}, ...], "void_ids": [0]}'
ListItem = TypeVar("ListItem")
MOST_ENDING = 100  # characters of an ending, a class or a split
COLOUR = re.compile(r"#?([0-9a-fA-F]{6})")


@dataclass(frozen=True)
class ClassEntry:
    """A class: the ids or the colours that label files have for it, and the colour to draw it in."""

    name: str
    ids: tuple[int, ...] = ()
    colours: tuple[str, ...] = ()
    colour: str | None = None


@dataclass(frozen=True)
class SplitFolders:
    """Where a split's files are, from the data set's folder; without a list, all pictures belong to it."""

    pictures: str
    labels: str
    list: str | None = None


@dataclass(frozen=True)
class ClassMap:
    """The fields of a class map.

    Attributes:
        classes: in index order.
        void_ids, void_colours: pixels without a class.
        others: what any other id or colour is: "fault" or "void".
        splits: the folders; where there are none, those of the layout that the folder has.
        picture_ending, label_ending: what follows a sample's name in the names of its files, before the suffix.
    """

    classes: tuple[ClassEntry, ...]
    void_ids: tuple[int, ...] = ()
    void_colours: tuple[str, ...] = ()
    others: str = "fault"
    splits: Mapping[str, SplitFolders] = field(default_factory=dict)
    picture_ending: str = ""
    label_ending: str = ""


def read_class_map(path: Path) -> ClassMap:
    """Read and check a class map.

    Raises:
        DataError: it is missing or damaged, or has gaps or doubles; all of that in one message.
    """
    text = read_text(path, f"a class map is JSON of the form {FORM}")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise DataError(f"{path} must be JSON of the form {FORM}")
    found, faults = convert_or_list_faults(ClassMap, value)
    if faults := [*faults, *find_faults(found)]:
        raise name_faults(path, faults)
    return found


def name_faults(path: Path, faults: Sequence[str]) -> DataError:
    """The error that names all faults of a class map: one in a sentence, several one a line."""
    if len(faults) == 1:
        return DataError(f"{path}: {plain_text(faults[0], 200)}")
    return DataError(f"{path} has {len(faults)} faults; a class map is JSON of the form {FORM}", faults)


def find_faults(found: ClassMap) -> list[str]:
    """All that is wrong with a class map, in sentences.

    Args:
        found: as it was read. None stands where a value could not be read; that was told, and is looked past.
    """
    faults = find_class_faults(found.classes) if found.classes is not None else []
    found = drop_unread(found)
    faults += [*find_value_faults(found), *find_double_faults(found)]
    given = [one for one in found.classes if one.ids or one.colours]
    if len({bool(one.ids) for one in given}) > 1 and not all(one.colours for one in given):
        faults.append("some classes have ids and others only colours; give all of them ids, or all of them colours")
    faults += find_path_faults(found)
    if found.others not in ("fault", "void"):
        faults.append(f"'others' is '{found.others}'; use fault or void")
    return faults


def drop_unread(found: ClassMap) -> ClassMap:
    """A class map without what could not be read, for which None stands."""
    classes = tuple(
        ClassEntry(
            f"classes[{at}]" if one.name is None else one.name, read_of(one.ids), read_of(one.colours), one.colour
        )
        for at, one in enumerate(found.classes or ())
        if one is not None
    )
    splits = {name: SplitFolders(one.pictures or "", one.labels or "", one.list)
              for name, one in found.splits.items() if one is not None}  # fmt: skip
    others = "fault" if found.others is None else found.others
    endings = (found.picture_ending or "", found.label_ending or "")
    return ClassMap(classes, read_of(found.void_ids), read_of(found.void_colours), others, splits, *endings)


def read_of(values: tuple[ListItem, ...]) -> tuple[ListItem, ...]:
    """Those of a list's values that could be read; none where there is no list."""
    return tuple(value for value in values or () if value is not None)


def find_class_faults(classes: Sequence[ClassEntry]) -> list[str]:
    """What is wrong with the number of classes, their names, and whether each has ids or colours."""
    faults = []
    if not 1 <= len(classes) <= VOID:
        faults.append(f"it has {len(classes)} classes; use 1 to {VOID}")
    named = {at: one for at, one in enumerate(classes) if one is not None and one.name is not None}
    names = Counter(one.name for one in named.values())
    faults += [f"the class '{name}' occurs {times} times; give each its own name" for name, times in names.items()
               if times > 1]  # fmt: skip
    faults += [f"class {at} has no name; give it one" for at, one in named.items() if not one.name.strip()]
    faults += [
        f"the class '{one.name}' has neither ids nor colours, which leaves a gap; give it some, or remove it"
        for one in named.values()
        if one.ids == () and one.colours == ()
    ]
    return faults


def find_value_faults(found: ClassMap) -> list[str]:
    """The ids that labels cannot hold, and the texts that are not colours."""
    ids = (*(number for one in found.classes for number in one.ids), *found.void_ids)
    drawn = [text for one in found.classes for text in (*one.colours, *filter(None, (one.colour,)))]
    return [
        *(f"the id {one} is not in 0 to {VOID}; label files have 8 bits" for one in ids if not 0 <= one <= VOID),
        *(
            f"'{text}' is not a colour; write it as #804080"
            for text in (*drawn, *found.void_colours)
            if not COLOUR.fullmatch(text)
        ),
    ]


def find_double_faults(found: ClassMap) -> list[str]:
    """The ids and colours that a class lists twice, or that belong to several classes, or to a class and to void."""
    ids = Counter(number for one in found.classes for number in set(one.ids))
    painted = Counter(colour for one in found.classes for colour in set(map(plain_colour, one.colours)))
    both = "is void and belongs to a class, too; give it to one of them"
    return [
        *(f"the class '{one.name}' lists {text} more than once; once is enough" for one in found.classes
          for text in list_repeats(one)),
        *(f"the id {one} {both}" for one in sorted(ids.keys() & set(found.void_ids))),
        *(f"the colour #{one} {both}" for one in sorted(painted.keys() & set(map(plain_colour, found.void_colours)))),
        *(f"the id {one} belongs to {times} classes; give it to one" for one, times in ids.items() if times > 1),
        *(f"the colour #{one} belongs to {times} classes; give it to one" for one, times in painted.items()
          if times > 1),
    ]  # fmt: skip


def list_repeats(entry: ClassEntry) -> list[str]:
    """The ids and colours that a class lists more than once, in words."""
    listed = Counter([*(f"the id {one}" for one in entry.ids),
                      *(f"the colour #{plain_colour(text)}" for text in entry.colours)])  # fmt: skip
    return [text for text, times in listed.items() if times > 1]


def plain_colour(text: str) -> str:
    """A colour without #, in small letters."""
    return text.lower().lstrip("#")


def find_path_faults(found: ClassMap) -> list[str]:
    """What is wrong with the names of folders, lists and endings: they must be short, and stay inside the folder."""
    paths = [path for one in found.splits.values() for path in (one.pictures, one.labels, *filter(None, (one.list,)))]
    faults = [
        f"{plain_text(path, 40)!a} is not a folder or list inside the data set's folder; write a path from there"
        for path in paths
        if not is_name(path)
    ]
    faults += [
        f"the ending {plain_text(text, 40)!a} cannot be part of a file's name; write what stands before the suffix"
        for text in (found.picture_ending, found.label_ending)
        if text and (not is_name(text) or "/" in text or len(text) > MOST_ENDING)
    ]
    names = [*found.splits, *(one.name for one in found.classes)]
    faults += [
        f"{plain_text(name, 40)!a} is not a name of a split or class; use at most {MOST_ENDING} printable characters"
        for name in names
        if len(name) > MOST_ENDING or not name.isprintable()
    ]
    return faults
