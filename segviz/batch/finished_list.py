"""The list of what a run has finished, one JSON line each, from which a later run goes on.

The first line says what the run is. A line is written and synced once its files are; a line that a kill has cut in half
counts as none. Where the system can lock files, a run holds its list's lock from the first entry, or from the start if
it found a list, so that of two runs with one list the second is refused.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from segviz.atomic_write import write_atomically
from segviz.batch.file_lock import CAN_LOCK, is_file_at, lock_file, open_locked
from segviz.text import plain_text

SHOWN = 60  # characters of a value in a message
RunWords = Mapping[str, str]


class ResumeError(ValueError):
    """A list cannot be gone on from; the message names the cause and the cure."""


class FinishedList:
    """A list on disk, which appears with its first entry.

    Args:
        path: the file.
        run: what the results depend on, by name; another run's list is refused.
        resume: whether to go on from the file; otherwise it is replaced.

    Raises:
        ResumeError: the file is another run's list, or no list at all, or a run that has not ended writes to it.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path, run: RunWords, resume: bool) -> None:
        self.path, self._run = path, run
        self._file: BinaryIO | io.BufferedWriter | None = None
        self._found = self._hold()
        try:
            self.entries: dict[str, Any] = read_list(path, run) if resume else {}
        except BaseException:
            self.close()
            raise

    def _hold(self) -> BinaryIO | None:
        """The file that is there, locked; None where there is none.

        Raises:
            ResumeError: another run has it.
            OSError: it cannot be read.
        """
        while CAN_LOCK:
            try:
                file = self.path.open("rb")
            except FileNotFoundError:
                return None
            if not lock_file(file):
                with file:
                    raise ResumeError(describe_other(self.path, parse_line(file.readline()).get("run")))
            if is_file_at(file, self.path):
                return file
            file.close()  # its run has replaced it since
        return None

    def add(self, key: str, entry: Any) -> None:
        """Add an entry and sync the file.

        Raises:
            ResumeError: another run writes such a list, which it began meanwhile.
            OSError: it cannot be written, for example because the disk is full.
        """
        if self._file is None:
            self._file = self._begin()
        self.entries[key] = entry
        try:
            self._file.write(line_of({"key": key, "entry": entry}))
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            error.filename = str(self.path)  # a full disk names no file
            raise

    def _begin(self) -> BinaryIO:
        """The file with its first line and the entries that were read, whole lines alone."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lines = [{"run": dict(self._run)}, *({"key": key, "entry": one} for key, one in self.entries.items())]
        data = b"".join(map(line_of, lines))
        if not CAN_LOCK:
            write_atomically(self.path, data)
            return self.path.open("ab")
        if self._found is None or not is_file_at(self._found, self.path):
            self._let_go()
            self._found = self._hold()  # nobody's, or another run's, which began it meanwhile
        file = open_locked(self.path, data)
        if file is None:
            raise ResumeError(describe_other(self.path, None))
        self._let_go()
        return file

    def _let_go(self) -> None:
        if self._found is not None:
            self._found.close()
            self._found = None

    def close(self) -> None:
        """Close the file."""
        self._let_go()
        if self._file is not None:
            with suppress(OSError):  # of a full disk, which `add` has reported
                self._file.close()
            self._file = None

    def remove(self) -> None:
        """Close and delete the file, for nothing is left to go on with; one of another run stays."""
        own = self._file if self._file is not None else self._found
        if CAN_LOCK:  # while the lock is held
            if own is not None and is_file_at(own, self.path):
                self.path.unlink(missing_ok=True)
            self.close()
        else:  # a system that deletes no open file
            self.close()
            self.path.unlink(missing_ok=True)


def describe_other(path: Path, run: object) -> str:
    """What to do about a list that another run writes to.

    Args:
        path: the list.
        run: the other run's words, as far as they could be read.
    """
    words = run if isinstance(run, dict) else {}
    names = [str(words[name]) for name in ("command", "--model") if name in words]
    other = plain_text(" ".join(names), SHOWN)
    return (
        f"another run{f' ({other})' if other else ''} writes to {path} and has not ended; wait until it has, or name "
        "another place"
    )


def line_of(value: Mapping[str, Any]) -> bytes:
    """A JSON line."""
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def read_list(path: Path, run: RunWords) -> dict[str, Any]:
    """The entries of a list by their keys; none where there is no file.

    Raises:
        ResumeError: the file is another run's list, or no list at all.
        OSError: it cannot be read.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return {}
    with file:
        check_run(path, parse_line(file.readline()).get("run"), run)
        found: dict[str, Any] = {}
        for line in file:
            one = parse_line(line)
            if isinstance(one.get("key"), str) and "entry" in one:
                found[one["key"]] = one["entry"]
    return found


def parse_line(line: bytes) -> dict[str, Any]:
    """The object of a line; an empty one where the line was cut, or holds something else."""
    with suppress(ValueError, RecursionError):
        value = json.loads(line)
        if isinstance(value, dict):
            return value
    return {}


def check_run(path: Path, found: object, run: RunWords) -> None:
    """Check that a list is of this run.

    Raises:
        ResumeError: it is not; the message names the first difference.
    """
    if not isinstance(found, dict) or not all(isinstance(one, str) for one in found.values()):
        raise ResumeError(f"{path} is not a list of finished pictures, so --resume cannot go on from it; remove it")
    for name in dict.fromkeys((*run, *found)):
        mine, other = run.get(name, "nothing"), found.get(name, "nothing")
        if mine != other:
            raise ResumeError(
                f"{path} is the list of another run: {plain_text(name, SHOWN)} was {plain_text(other, SHOWN)} and is "
                f"now {plain_text(mine, SHOWN)}; go on with the same options, name another place, or remove "
                "the list to start again"
            )
