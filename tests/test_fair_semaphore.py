"""Turns at what pages do themselves: so many at once, in order, and whoever leaves blocks nobody."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack

import numpy as np
import pytest
from backend_contract import until

from segviz.data.classes import CAMVID
from segviz.data.label_png import indexed_png
from segviz.ui.draw_street import DRAWING
from segviz.ui.fair_semaphore import DECODING, DECODING_AT_ONCE, Turns
from segviz.ui.ground_truth import decode_file
from segviz.ui.picture import Picture


class ClickedError(Exception):
    """The visitor has clicked on."""


def nobody() -> None:
    """Nobody clicks."""


def leave() -> None:
    """The visitor has clicked on."""
    raise ClickedError


def test_so_many_have_a_turn_at_once_and_in_the_order_of_asking() -> None:
    turns, order, at_once, most = Turns(2), list[int](), 0, 0
    lock = threading.Lock()

    def work(number: int) -> None:
        nonlocal at_once, most
        with turns.turn(nobody):
            with lock:
                order.append(number)
                at_once += 1
                most = max(most, at_once)
            time.sleep(0.03)
            with lock:
                at_once -= 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    with turns.turn(nobody), turns.turn(nobody):
        for number, thread in enumerate(threads, start=1):
            thread.start()
            end = time.monotonic() + 10
            while len(turns._line) < number:  # it has asked
                assert time.monotonic() < end
                time.sleep(0.001)
    for thread in threads:
        thread.join(10)
    assert most == 2
    assert order == sorted(order)


def test_decoding_files_holds_up_no_drawing_and_ground_truth_waits_its_turn() -> None:
    shown, done = Picture("street", np.zeros((4, 4, 3), np.uint8)), threading.Event()
    labels = indexed_png(np.zeros((4, 4), np.uint8), CAMVID.colours, {})
    waiting = threading.Thread(target=lambda: (decode_file(labels, shown, CAMVID), done.set()))
    with ExitStack() as others:
        for _ in range(DECODING_AT_ONCE):
            others.enter_context(DECODING.turn(nobody))
        with DRAWING.turn(nobody):
            waiting.start()
            assert not done.wait(0.5)
    assert done.wait(10)
    waiting.join(10)


def test_whoever_leaves_the_line_does_not_hold_it_up() -> None:
    turns, done, inside, free = Turns(1), list[str](), threading.Event(), threading.Event()

    def hold() -> None:
        with turns.turn(nobody):
            inside.set()
            free.wait(10)

    def click_away() -> None:
        with pytest.raises(ClickedError), turns.turn(leave):
            done.append("never")

    def stay() -> None:
        with turns.turn(nobody):
            done.append("stayed")

    threads = [threading.Thread(target=one) for one in (hold, click_away, stay)]
    threads[0].start()
    assert inside.wait(10)
    threads[1].start()
    threads[2].start()
    until(lambda: not threads[1].is_alive())
    free.set()
    for thread in threads:
        thread.join(10)
    assert done == ["stayed"]


def test_what_fails_in_its_turn_gives_it_back() -> None:
    turns = Turns(1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), turns.turn(nobody):
            1 / 0  # noqa: B018
    with turns.turn(nobody):
        pass


def test_whoever_has_clicked_on_meanwhile_does_nothing_with_the_turn() -> None:
    turns = Turns(1)
    with pytest.raises(ClickedError), turns.turn(leave):
        pytest.fail("its turn began")
    with turns.turn(nobody):
        pass
