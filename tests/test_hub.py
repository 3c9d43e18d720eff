"""The hub of Hugging Face: without a network, what was kept is used, and what was not is one sentence at once."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest
from huggingface_hub import constants, hf_hub_download
from huggingface_hub.errors import OfflineModeIsEnabled

import segviz
from segviz.catalogue.sources import hub
from segviz.catalogue.sources.hub import can_resolve, reach_hub
from segviz.catalogue.sources.opened_network import OpenError


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without a network, and the folder of what it kept."""

    def fail(*_: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(hub, "getproxies", dict)
    monkeypatch.setattr(hub.socket, "getaddrinfo", fail)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def test_a_file_that_was_not_kept_is_one_sentence(offline: Path) -> None:
    with pytest.raises(ConnectionError, match="cannot be reached, and no earlier download is kept"), reach_hub():
        hf_hub_download("a/b", "weights.bin")
    assert not constants.HF_HUB_OFFLINE


def test_a_file_that_was_kept_is_used(offline: Path) -> None:
    kept = offline / "models--a--b" / "snapshots" / ("0" * 40) / "weights.bin"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"x")
    (offline / "models--a--b" / "refs").mkdir()
    (offline / "models--a--b" / "refs" / "main").write_text("0" * 40)
    with reach_hub():
        assert hf_hub_download("a/b", "weights.bin") == str(kept)


def test_a_thread_stays_offline_after_another_one_has_left(offline: Path) -> None:
    inside, left, seen = threading.Event(), threading.Event(), list[object]()

    def fetch_later() -> None:
        try:
            with reach_hub():
                inside.set()
                left.wait(10)
                seen.append(constants.HF_HUB_OFFLINE)
                hf_hub_download("a/b", "weights.bin")
        except Exception as error:
            seen.append(error)

    other = threading.Thread(target=fetch_later)
    with reach_hub():
        other.start()
        assert inside.wait(10)  # no thread waits for another one's downloads
    left.set()
    other.join(30)
    stayed, error = seen
    assert stayed
    assert isinstance(error, ConnectionError)
    assert "cannot be reached, and no earlier download is kept" in str(error)
    assert not constants.HF_HUB_OFFLINE


def test_a_thread_that_another_one_took_offline_says_so(offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "can_resolve", lambda host: True)
    with pytest.raises(ConnectionError, match="cannot be reached, and no earlier download is kept"), reach_hub():
        raise OfflineModeIsEnabled("offline mode")


def test_the_user_s_own_setting_stays(offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(OfflineModeIsEnabled), reach_hub():
        raise OfflineModeIsEnabled("offline mode")
    assert constants.HF_HUB_OFFLINE


def test_other_errors_stay_as_they_are(offline: Path) -> None:
    with pytest.raises(ValueError, match="mine"), reach_hub():
        raise ValueError("mine")
    assert not constants.HF_HUB_OFFLINE


@pytest.mark.timeout(20)
def test_an_error_that_is_its_own_cause_stays_as_it_is(offline: Path) -> None:
    error = ValueError("mine")
    with pytest.raises(ValueError, match="mine"), reach_hub():
        raise error from error


def test_a_proxy_may_know_the_name(offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not can_resolve("huggingface.co")
    monkeypatch.setattr(hub, "getproxies", lambda: {"https": "http://proxy:3128"})
    assert can_resolve("huggingface.co")


def test_weights_of_timm_are_not_asked_for_again_and_again(offline: Path) -> None:
    with pytest.raises(
        OpenError, match=r"cannot be reached, and no earlier download is kept\); give a file of weights"
    ):
        segviz.load("timm:vit_tiny_patch16_224")
