"""Parts of the way to a cluster, without one."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
import threading
import warnings
from multiprocessing.connection import Connection
from pkgutil import resolve_name
from types import SimpleNamespace

import pytest

pytest.importorskip("ray", reason="Ray is not installed; pip install 'ray[serve]' to run these tests")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own, of the libraries that it uses
    from ray.exceptions import RayError

    from segviz.cluster import bridge, few_processes, serve_replicas, short_folder
    from segviz.cluster.board import Board, News
    from segviz.cluster.bridge import Bridge
    from segviz.cluster.messages import Answered, Channel, ReplicaState, RunTask, StartReplicas, StepsDone
    from segviz.cluster.replica_plan import ReplicaPlan

pytestmark = pytest.mark.slow


def test_a_bridge_ends_at_whatever_stops_it_from_listening(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its threads would go on telling of replicas, as if it listened."""

    def fail() -> None:
        raise MemoryError("a large picture")

    monkeypatch.setattr(bridge, "Bridge", lambda channel, start: SimpleNamespace(serve=fail))
    ours, theirs = socket.socketpair()
    with ours:
        Channel(Connection(os.dup(ours.fileno()))).send(StartReplicas("local", ReplicaPlan(), "test", ""))
        assert bridge.serve_app(theirs.detach()) == 1
    assert "MemoryError: a large picture" in capsys.readouterr().err


def test_only_replicas_of_apps_that_are_gone_are_orphans(monkeypatch: pytest.MonkeyPatch) -> None:
    there = ["lab-llm", "segviz", "segviz-aaaaaaaa", "segviz-bbbbbbbb", "segviz-eval-cccccccc"]

    def get_actor(name: str, namespace: str) -> object:
        if name == "segviz-bbbbbbbb":
            return object()
        raise ValueError(name)

    monkeypatch.setattr(serve_replicas.serve, "status", lambda: SimpleNamespace(applications=dict.fromkeys(there)))
    monkeypatch.setattr(serve_replicas.ray, "get_actor", get_actor)
    assert list(serve_replicas.find_orphans("segviz")) == ["segviz-aaaaaaaa"]


def test_replicas_of_two_machines_with_one_process_number_are_two() -> None:
    async def tell() -> int:
        board = Board()
        for node in ("one", "two", "two"):
            await board.note_state(ReplicaState(("fcn",), 17, node))
        return len((await board.wait_for_news(0)).states)

    assert asyncio.run(tell()) == 2


def test_a_stop_sign_and_steps_are_forgotten_with_their_task() -> None:
    async def tell() -> tuple[bool, bool, bool, bool]:
        board = Board()
        await board.begin("a")
        begun = await board.has_begun("a")
        before = await board.report("a", 1, 3)
        await board.stop("a")
        after = await board.report("a", 2, 3)
        await board.remove("a")
        return begun, before, after, await board.has_begun("a")

    assert asyncio.run(tell()) == (True, False, True, False)


def test_a_removed_task_leaves_nothing_on_the_board_whatever_comes_after() -> None:
    async def tell() -> tuple[bool, News]:
        board = Board()
        await board.begin("a")
        await board.remove("a")
        await board.begin("a")
        await board.stop("a")
        return await board.report("a", 1, 3), await board.wait_for_news(0)

    to_stop, news = asyncio.run(tell())
    assert to_stop and news.steps == {}


def test_a_task_can_be_stopped_before_it_begins_and_goes_on_with_a_new_board() -> None:
    async def tell() -> tuple[bool, bool]:
        board, new = Board(), Board()
        await board.stop("a")
        await board.begin("a")
        return await board.report("a", 0, 3), await new.report("a", 1, 3)

    assert asyncio.run(tell()) == (True, False)


def test_the_folder_of_a_local_cluster_has_a_short_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(short_folder, "gettempdir", lambda: "/scratch/slurm/job.1234567/tmp")
    with short_folder.make_short_folder() as folder:
        assert folder.startswith("/tmp/segviz-") and len(folder) < 28
    monkeypatch.undo()
    with short_folder.make_short_folder() as folder:
        assert folder.startswith(tempfile.gettempdir())


def make_bridge(board: SimpleNamespace, handle: SimpleNamespace | None = None) -> tuple[Bridge, list[object]]:
    """A bridge to a deployment, without a cluster; and what it sends to the app."""
    sent: list[object] = []
    made = object.__new__(Bridge)
    made._channel, made._pending = SimpleNamespace(send=sent.append), {"ticket"}  # type: ignore[assignment]
    made._deployment = SimpleNamespace(board=board, handle=handle)  # type: ignore[assignment]
    made._plan, made._news, made._closing = ReplicaPlan(), News(0, {}, ()), threading.Event()
    return made, sent


def fail(*_: object) -> None:
    raise RayError("the board is gone")


def test_an_answer_is_sent_though_the_board_is_gone() -> None:
    response = SimpleNamespace(result=lambda timeout_s: b"the outcome")
    handle = SimpleNamespace(run=SimpleNamespace(remote=lambda *_: response))
    made, sent = make_bridge(SimpleNamespace(remove=SimpleNamespace(remote=fail)), handle)
    made._run(RunTask("ticket", b"", None, 1.0, False))
    assert sent == [Answered("ticket", b"the outcome")]


def test_steps_are_told_again_after_an_error_of_any_kind(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    errors: list[Exception] = [ValueError("what is this"), RayError("the board is gone")]
    made, sent = make_bridge(SimpleNamespace(wait_for_news=SimpleNamespace(remote=lambda version: None)))

    def get(*_: object, **__: object) -> News:
        if errors:
            raise errors.pop(0)
        made._closing.set()
        return News(1, {"ticket": (2, 5)}, ())

    monkeypatch.setattr(bridge, "ray", SimpleNamespace(get=get))
    monkeypatch.setattr(bridge, "COUNT_EVERY_S", 0.01)
    made._follow_board()
    assert sent == [StepsDone("ticket", 2, 5)]
    assert "what is this" in (said := capsys.readouterr().err) and "the board is gone" not in said


def test_this_ray_has_all_that_is_replaced_to_leave_processes_out() -> None:
    assert few_processes.name_missing() == [], (
        "this version of Ray starts processes that segviz has no use for, which takes memory and nothing else; mend "
        "REPLACEMENTS or LEFT_OUT of segviz/cluster/few_processes.py"
    )


@pytest.mark.parametrize("path", few_processes.REPLACEMENTS)
def test_what_another_ray_lacks_is_left_alone_and_the_rest_is_replaced_meanwhile(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, _, name = path.rpartition(".")
    monkeypatch.delattr(resolve_name(owner), name)
    assert path in few_processes.name_missing()
    before = {other: few_processes.find(other) for other in few_processes.REPLACEMENTS}
    with few_processes.leave_out_processes():
        same = [other for other, found in before.items() if few_processes.find(other) is found]
    assert same == [path]
    assert {other: few_processes.find(other) for other in before} == before


def test_a_parameter_that_another_ray_lacks_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    def params(num_cpus: int, no_monitor: bool = False) -> tuple[int, bool]:
        return num_cpus, no_monitor

    monkeypatch.setattr(few_processes.PARAMETERS, params)
    assert few_processes.name_missing() == [
        f"{few_processes.PARAMETERS}({name})" for name in few_processes.LEFT_OUT if name != "no_monitor"
    ]
    with few_processes.leave_out_processes():
        assert few_processes.find(few_processes.PARAMETERS)(2, no_monitor=False) == (2, True)
