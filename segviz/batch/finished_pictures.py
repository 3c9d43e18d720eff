"""The pictures that an output folder has finished: those are skipped when the run is resumed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from segviz.batch.finished_list import FinishedList, RunWords
from segviz.batch.inputs import Source, pack_picture
from segviz.batch.run import PROBLEMS, PutError, PutFile, Step

LIST_NAME = "segviz-finished.jsonl"
RunRest = Callable[[Sequence[Source]], Iterator[Step]]


@dataclass(frozen=True)
class FinishedPicture:
    """One picture's files and its entry in `--json`.

    Attributes:
        files: the SHA-256 of each file's bytes, by its name in the folder.
        summary: the entry, without the files' paths.
    """

    files: Mapping[str, str]
    summary: Mapping[str, Any]


class NotedSources(list[Source]):
    """Sources of which each is noted as it is taken, before its picture is read.

    Args:
        sources: the pictures.
        note: called with each, maybe more than once.
    """

    def __init__(self, sources: Sequence[Source], note: Callable[[Source], None]) -> None:
        super().__init__(sources)
        self._note = note

    def __iter__(self) -> Iterator[Source]:
        for source in super().__iter__():
            self._note(source)
            yield source


class FinishedPictures:
    """The pictures of a folder that are finished.

    Args:
        folder: the output folder.
        put: writes a file into it.
        run: what the results depend on.
        sources: the pictures of this run.
        resume: whether to skip those that are finished; the list then stays in the folder at the end.

    Raises:
        ResumeError: the folder's list is of another run.
    """

    def __init__(self, folder: Path, put: PutFile, run: RunWords, sources: Sequence[Source], resume: bool) -> None:
        self._folder, self._put, self._resume, self._sources = folder, put, resume, sources
        self._list = FinishedList(folder / LIST_NAME, run, resume)
        self._written: dict[str, str] = {}  # of the picture at hand
        self._begun: dict[str, str] = {}  # digests by stem, from before the picture was read
        self._known = [self._find(source) if self._list.entries else None for source in sources]
        self._left = len(self.rest)

    @property
    def rest(self) -> list[Source]:
        """The pictures that are left."""
        return [source for source, known in zip(self._sources, self._known, strict=True) if known is None]

    def put(self, name: str, data: bytes) -> str:
        """Write a file of the picture at hand."""
        path = self._put(name, data)
        self._written[name] = sha256(data).hexdigest()
        return path

    def run(self, run_rest: RunRest) -> Iterator[Step]:
        """The steps of all pictures in order, of which only those that are left are worked on.

        Args:
            run_rest: works on pictures, and writes their files with `put`.

        Raises:
            PutError: a file, or the list, cannot be written.
        """
        rest = run_rest(NotedSources(self.rest, self._note))
        for number, (source, known) in enumerate(zip(self._sources, self._known, strict=True), 1):
            if known is not None:
                paths = tuple(str(self._folder / name) for name in known.files)
                summary = {**known.summary, "files": list(paths)}
                yield Step(number, len(self._sources), source, paths, summary, resumed=True)
                continue
            self._written = {}
            step = next(rest, None)
            if step is None:
                return
            if step.problem is None:
                self._add(step)
                self._left -= 1
            yield replace(step, number=number, total=len(self._sources))

    def _note(self, source: Source) -> None:
        if source.stem not in self._begun:
            with suppress(*PROBLEMS):  # whoever reads the picture says it
                self._begun[source.stem] = pack_picture(source).digest

    def _add(self, step: Step) -> None:
        assert step.summary is not None
        summary = {name: value for name, value in step.summary.items() if name != "files"}
        key = self._begun.get(step.source.stem)
        try:
            if key is None or pack_picture(step.source).digest != key:  # replaced meanwhile: which was read is unknown
                return
        except PROBLEMS:  # a picture that is gone by now cannot be recognised
            return
        try:
            self._list.add(key, {"files": self._written, "summary": summary})
        except OSError as cause:
            raise PutError(step.source, cause) from cause

    def _find(self, source: Source) -> FinishedPicture | None:
        """What is known of a picture whose files are all there as they were written."""
        try:
            entry = self._list.entries.get(pack_picture(source).digest)
        except PROBLEMS:
            return None
        if not isinstance(entry, dict):
            return None
        files, summary = entry.get("files"), entry.get("summary")
        if not isinstance(files, dict) or not isinstance(summary, dict):
            return None
        if not all(is_file_of_folder(self._folder, name, digest) for name, digest in files.items()):
            return None
        return FinishedPicture(files, summary)

    def close(self) -> None:
        """Close the list; where all pictures are finished and nobody asked to go on, none is left behind."""
        if not self._left and not self._resume:
            self._list.remove()
        self._list.close()


def is_file_of_folder(folder: Path, name: str, digest: object) -> bool:
    """Whether a folder holds a file of this name with these bytes."""
    path = folder / name
    try:
        if Path(name).name != name or path.is_symlink() or not path.is_file():
            return False
        return sha256(path.read_bytes()).hexdigest() == digest
    except (OSError, ValueError):  # ValueError: no file has such a name
        return False
