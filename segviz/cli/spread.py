"""Where a command's pictures are worked on: in turn in this process, or by workers in a Ray cluster."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from segviz.batch.inputs import Source, pack_picture
from segviz.batch.ordered_map import map_in_order
from segviz.batch.run import PROBLEMS, MapPictures, PictureOutcome, WorkOnPicture, map_in_turn
from segviz.cli.spread_options import OWN_ADDRESS
from segviz.cli.worker_jobs import PictureJob, pack_model
from segviz.settings import Settings, settings
from segviz.text import count_words

if TYPE_CHECKING:
    from segviz.batch.ray_workers import RayWorkers
    from segviz.cluster.picture_worker import WorkerJob


@contextmanager
def spread_pictures(
    options: argparse.Namespace, sources: Sequence[Source], open_work: Callable[[argparse.Namespace], WorkOnPicture]
) -> Iterator[tuple[MapPictures, Callable[[], str]]]:
    """What maps the work on pictures over them, and what says where that is; "" is this process.

    Args:
        options: of the command.
        sources: the pictures that are left; where there are none, no network is opened.
        open_work: a function of a module: opens the network of options, and returns what works on a picture.

    Raises:
        ImportError: Ray is wanted and not installed.
        NoWorkersError: there is no cluster, or no room in it.
    """
    if not sources:
        yield lambda sources, cancelled: iter(()), str
    elif options.ray is None:
        yield map_in_turn(open_work(options)), str
    else:
        with hire_workers(options, len(sources)) as workers:
            open_job(workers, PictureJob(options, pack_model(options), open_work))

            def outcomes(sources: Sequence[Source], cancelled: Callable[[], bool]) -> Iterator[PictureOutcome]:
                return check_problems(map_in_order(workers, sources, pack_picture, cancelled))

            yield outcomes, lambda: name_workers(workers)


def check_problems(outcomes: Iterator[Any]) -> Iterator[PictureOutcome]:
    """Outcomes of workers; an error that is no picture's problem ends the run here as it does in one process.

    Raises:
        Exception: that error.
    """
    for one in outcomes:
        if isinstance(one, Exception) and not isinstance(one, PROBLEMS):
            raise one
        yield one


@contextmanager
def hire_workers(options: argparse.Namespace, tasks: int) -> Iterator[RayWorkers]:
    """Workers in the cluster of `--ray`; none of them is left after the block.

    Args:
        options: of the command.
        tasks: how many there are.

    Raises:
        ImportError: Ray is not installed.
        NoWorkersError: there is no cluster, or no room in it.
    """
    try:
        from segviz.batch.ray_cluster import count_workers, has_idle_gpus, join_cluster
        from segviz.batch.ray_workers import RayWorkers
    except ImportError as error:
        raise ImportError(f"--ray needs Ray ({error}); pip install 'ray[serve]', or leave out --ray") from None
    limits = settings()
    share = choose_share(limits)
    address = limits.ray_address if options.ray == OWN_ADDRESS else options.ray
    with join_cluster(address, options.cluster_folder):
        workers = RayWorkers(share, count_workers(share, options.workers, tasks))
        if has_idle_gpus(share):
            print(
                "segviz: the cluster has GPUs, and these workers use none; set SEGVIZ_REPLICA_GPUS=1",
                file=sys.stderr,
            )
        try:
            yield workers
        finally:
            workers.close()


def choose_share(limits: Settings) -> Any:
    """What each worker has, by the settings of replicas."""
    from segviz.batch.ray_cluster import WorkerShare

    return WorkerShare(limits.replica_cpus, limits.replica_gpus, limits.threads or max(1, int(limits.replica_cpus)))


def open_job(workers: RayWorkers, job: WorkerJob) -> None:
    """Have workers open a job, and say once what it notes.

    Raises:
        Exception: what a worker raised.
    """
    import torch

    report = workers.open(job)
    sys.stderr.write(report.notes)
    if report.torch != torch.__version__:
        print(
            f"segviz: the workers have PyTorch {report.torch}, and this machine has {torch.__version__}; the last "
            "bits of results may differ",
            file=sys.stderr,
        )


def name_workers(workers: RayWorkers) -> str:
    """How many workers there are, in words."""
    return count_words(workers.count, "worker")
