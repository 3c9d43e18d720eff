"""Who counts the labelled pictures of `evaluate`: this process or workers in a cluster; and what is counted already."""

from __future__ import annotations

import argparse
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from segviz.atomic_write import check_destination
from segviz.batch.finished_list import FinishedList, ResumeError
from segviz.batch.ordered_map import WorkerLostError, map_in_order
from segviz.cli.errors import UsageError
from segviz.cli.run_words import describe_run
from segviz.cli.spread import hire_workers, name_workers, open_job
from segviz.cli.worker_jobs import PortableFiles, ScoreJob, pack_model
from segviz.data.sample import Sample
from segviz.engine.request import digest
from segviz.evaluation.evaluate import CountSamples, SampleCounts, SampleScorer
from segviz.evaluation.protocols import ScoringProtocol
from segviz.evaluation.stored_counts import counts_from_json, counts_to_json

if TYPE_CHECKING:
    from segviz.batch.ray_workers import RayWorkers

MapSamples = Callable[[Iterable[Sample]], Iterator[SampleCounts | Exception]]


@dataclass
class Counting:
    """Counts the samples of one network after the other.

    Attributes:
        options: of the command.
        workers: those of the cluster; None for this process.
        finished: the list of samples that are counted; None where none is kept.
        told: whether the number of workers was said.
    """

    options: argparse.Namespace
    workers: RayWorkers | None
    finished: FinishedList | None
    told: bool = False

    def open(
        self, path: Path | None, classes: int, protocols: Mapping[str, Mapping[str, ScoringProtocol]], maps: bool
    ) -> Callable[[str], CountSamples]:
        """Have a network counted, and return what counts a set of pictures by its name.

        Args:
            path: its checkpoint; None for the network of `--model`.
            classes: the number of its classes.
            protocols: those to score by, by name, for each set by its name.
            maps: whether its maps are measured too.
        """
        model = pack_model(self.options, path)
        if self.workers is not None:
            open_job(self.workers, ScoreJob(self.options, model, classes, protocols, maps))
            if not self.told:
                print(f"segviz: {name_workers(self.workers)} in the cluster", file=sys.stderr)
                self.told = True

        def count_set(name: str) -> CountSamples:
            key = key_of_set(model, f"{name} {write_protocols(protocols[name])} {maps}")
            return lambda scorer, samples: self._count(samples, self._mapper(name, scorer), key, classes)

        return count_set

    def _mapper(self, name: str, scorer: SampleScorer) -> MapSamples:
        workers = self.workers
        if workers is None:
            return lambda samples: map(scorer, samples)
        return lambda samples: map_in_order(workers, samples, lambda sample: (name, sample))

    def _count(self, samples: Sequence[Sample], count: MapSamples, start: str, classes: int) -> Iterator[SampleCounts]:
        """The counts of all samples in order, of which only those that are not in the list are made."""
        passed: deque[tuple[str, str, SampleCounts | None]] = deque()  # name, key, and the list's counts

        def find_new() -> Iterator[Sample]:
            for sample in samples:
                key = key_of_sample(start, sample) if self.finished is not None else ""
                known = self._find(key, classes)
                passed.append((sample.name, key, known))
                if known is None:
                    yield sample

        for made in count(find_new()):
            yield from take_known(passed)
            name, key, _ = passed.popleft()
            if isinstance(made, WorkerLostError):
                raise WorkerLostError(f"{name}: {made}")
            if isinstance(made, Exception):
                raise made
            if self.finished is not None:
                self.finished.add(key, counts_to_json(made))
            yield made
        yield from take_known(passed)

    def _find(self, key: str, classes: int) -> SampleCounts | None:
        if self.finished is None or key not in self.finished.entries:
            return None
        try:
            return counts_from_json(self.finished.entries[key], classes)
        except ValueError as error:
            raise ResumeError(f"{self.finished.path} holds counts that cannot be read ({error}); remove it") from None


def take_known(passed: deque[tuple[str, str, SampleCounts | None]]) -> Iterator[SampleCounts]:
    """The counts from the list that come before the next sample without."""
    while passed and passed[0][2] is not None:
        known = passed.popleft()[2]
        assert known is not None
        yield known


def write_protocols(protocols: Mapping[str, ScoringProtocol]) -> str:
    """The protocols in the words of which lists of finished samples hold digests; other words would count all anew."""
    each = [f"({name!r}, Way({write_fields(one)}))" for name, one in sorted(protocols.items())]
    return f"[{', '.join(each)}]"


def write_fields(one: ScoringProtocol) -> str:
    """A protocol's fields in the words of the digests; a field that is new may stand here only where it is set."""
    return (
        f"scales={one.scales!r}, flip={one.flip!r}, context={one.context!r}, crop={one.crop!r}, step={one.step!r}, "
        f"size={one.size!r}, long_side={one.long_side!r}"
    )


def key_of_set(model: PortableFiles, words: str) -> str:
    """A digest of all that counts depend on beside the sample."""
    return sha256(f"{model.digest} {words}".encode()).hexdigest()


def key_of_sample(start: str, sample: Sample) -> str:
    """A digest of a sample, and of how it is counted."""
    return sha256(f"{start} {sample.name!r} {digest(sample.image)} {digest(sample.labels)}".encode()).hexdigest()


@contextmanager
def open_counting(options: argparse.Namespace, pictures: int) -> Iterator[Counting | None]:
    """What counts the samples; None where this process does, and keeps no list.

    Args:
        options: of the command.
        pictures: how many there are.

    Raises:
        UsageError: `--resume` cannot go on from its file.
        ImportError: Ray is wanted and not installed.
        NoWorkersError: there is no cluster, or no room in it.
    """
    finished = open_list(options) if options.resume is not None else None
    try:
        if options.ray is not None:
            with hire_workers(options, pictures) as workers:
                yield Counting(options, workers, finished)
        else:
            yield None if finished is None else Counting(options, None, finished)
    finally:
        if finished is not None:
            finished.close()


def open_list(options: argparse.Namespace) -> FinishedList:
    """The list of `--resume FILE`.

    Raises:
        UsageError: the file is another run's, or no list.
        OSError: it cannot be written.
    """
    check_destination(options.resume)
    try:
        finished = FinishedList(options.resume, describe_run(options), resume=True)
    except ResumeError as error:
        raise UsageError(str(error)) from None
    if finished.entries:
        print(f"segviz: {len(finished.entries)} counts are in {options.resume} already", file=sys.stderr)
    return finished
