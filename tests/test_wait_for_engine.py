"""What a page says while it waits for the engine, and when there is no answer or a doubtful one."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch
from backend_contract import ONE, Models, ask, until
from streamlit.testing.v1 import AppTest

from segviz.engine import Answer, BusyError, Engine, EngineError, Request, Runner, Status, ThreadBackend
from segviz.prediction.predictor import Predictor, load_predictor
from segviz.server.launch import app_script
from segviz.ui import wait_for_engine

PATIENCE = 240


class Refusing(ThreadBackend):
    """Has no answer for anyone."""

    def __init__(self, error: Exception, at_once: bool) -> None:
        super().__init__(Runner(), ONE)
        self.error, self.at_once = error, at_once

    def submit(self, request: Request) -> Answer:
        if self.at_once:
            raise self.error
        return self._refuse(self.error)


def opened(backend: ThreadBackend, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setattr("segviz.engine.client._engine", Engine(backend))
    app = AppTest.from_file(str(app_script()), default_timeout=PATIENCE).run()
    app.switch_page("pages/psa.py").run()
    assert [one.message for one in app.exception] == []
    return app


def viewers(app: AppTest) -> list[str]:
    return [one.key for one in app.get("bidi_component")]


def test_a_busy_server_says_so_and_offers_another_try(monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened(Refusing(BusyError("64 questions are waiting already; try again in a moment"), True), monkeypatch)
    assert [one.value for one in app.warning] == [
        "The server is busy: 64 questions are waiting already; try again in a moment."
    ]
    assert "Try again" in [button.label for button in app.button]
    assert not app.error and "psa" not in viewers(app)


def test_no_answer_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened(Refusing(EngineError("the picture is too large; scale it down first"), False), monkeypatch)
    assert [one.value for one in app.error] == [
        "Point-wise spatial attention cannot run: the picture is too large; scale it down first."
    ]


@pytest.mark.timeout(600)
def test_values_that_are_not_finite_get_a_banner_with_their_count(monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(name: str) -> Predictor:
        predictor = load_predictor(name)
        with torch.no_grad():
            predictor.model.classifier.bias[0] = torch.nan  # type: ignore[index]
        return predictor

    backend = ThreadBackend(Runner(damaged), ONE)
    app = opened(backend, monkeypatch)
    backend.close()
    (banner,) = [one.value for one in app.warning]
    assert "values are not finite (NaN or infinite), in confidence" in banner
    assert "psa" in viewers(app)


@pytest.fixture
def clicked(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Streamlit ends a script at the next look at its state, once this is set."""
    event = threading.Event()

    class State(dict[str, object]):
        def __contains__(self, key: object) -> bool:
            if event.is_set():
                raise InterruptedError
            return False

    monkeypatch.setattr(wait_for_engine.st, "session_state", State())
    yield event


def test_a_click_ends_the_wait_and_takes_the_question_back(clicked: threading.Event) -> None:
    models = Models()
    backend = ThreadBackend(Runner(models.load, models.identify), ONE)
    with models.held():
        backend.submit(ask(1, "other"))
        until(lambda: models.running == 1)
        answer = backend.submit(ask(2, "mine"))
        clicked.set()
        with pytest.raises(InterruptedError):
            wait_for_engine.wait_for(answer, "FLA")
        assert answer.cancelled() and backend.health().queued == 0
    backend.close()
    assert models.values() == [1]


def test_what_takes_a_while_is_told_and_what_is_known_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    spinner = wait_for_engine.st.spinner
    monkeypatch.setattr(wait_for_engine.st, "spinner", lambda text: told.append(text) or spinner(text))  # type: ignore[func-returns-value]
    models = Models()
    backend = ThreadBackend(Runner(models.load, models.identify), ONE)
    with models.held():
        answer = backend.submit(ask(1, "mine"))
        threading.Timer(0.3, models.open.set).start()
        wait_for_engine.wait_for(answer, "FLA (2 of 4)")
    wait_for_engine.wait_for(backend.submit(ask(1, "mine")), "FLA")
    backend.close()
    assert told == ["Running FLA (2 of 4) …"]


def test_statuses_in_words() -> None:
    statuses = (Status(3), Status(0), Status(0, 0, 35, 2), Status(0, 4, 36, 2))
    told = ["number 3 in the queue", "", "", "step 4 of 36, about 16 s left"]
    assert [wait_for_engine.describe_status(one) for one in statuses] == told


def test_statuses_of_replicas_in_words() -> None:
    told = {
        Status(3, replicas=0): "number 3 in the queue",
        Status(replicas=0): "waiting for a replica to start",
        Status(replicas=0, attempt=2): "failed once; waiting for a replica",
        Status(replicas=1, attempt=2): "failed once; running again",
        Status(0, 4, 36, 2, replicas=2): "step 4 of 36, about 16 s left",
    }
    assert {status: wait_for_engine.describe_status(status) for status in told} == told
