"""Hugging Face's hub, from which timm and transformers fetch: without a network, they fail at once and say why."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from urllib.parse import urlsplit
from urllib.request import getproxies

from huggingface_hub import constants
from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

from segviz.runtime.causes import causes_of


class OfflineSetting:
    """The libraries' setting to stay offline, which is the process's: on while any thread needs it."""

    def __init__(self) -> None:
        self._lock, self._threads = threading.Lock(), 0

    def is_of_user(self) -> bool:
        """Whether the user has set it, and no thread."""
        with self._lock:
            return not self._threads and bool(constants.HF_HUB_OFFLINE)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Have it on inside: the first thread sets it, the last one resets it."""
        with self._lock:
            self._threads += 1
            constants.HF_HUB_OFFLINE = True
        try:
            yield
        finally:
            with self._lock:
                self._threads -= 1
                constants.HF_HUB_OFFLINE = self._threads > 0


_offline = OfflineSetting()


@contextmanager
def reach_hub() -> Iterator[None]:
    """Have the libraries use the files that they kept where the hub's name cannot be resolved.

    They would try again and again for a minute. What they did not keep is an error that says so, also in a thread that
    could resolve the name while another one could not.

    Raises:
        ConnectionError: the hub cannot be reached, and a file was not kept.
    """
    if _offline.is_of_user():
        yield
        return
    host = urlsplit(constants.ENDPOINT).hostname or ""
    reached = can_resolve(host)
    # A hub that answers may lack a file's description, which is a LocalEntryNotFoundError too.
    signs = OfflineModeIsEnabled if reached else (OfflineModeIsEnabled, LocalEntryNotFoundError)
    try:
        with nullcontext() if reached else _offline.hold():
            yield
    except Exception as error:
        if not any(isinstance(one, signs) for one in causes_of(error)):
            raise
        raise ConnectionError(f"{host} cannot be reached, and no earlier download is kept") from error


def can_resolve(host: str) -> bool:
    """Whether a host's name has an address; a proxy may know it, where there is one."""
    if getproxies().keys() & {"https", "all"}:
        return True
    try:
        return bool(socket.getaddrinfo(host, 443))
    except OSError:
        return False
