"""Hugging Face's hub, from which timm and transformers fetch: without a network, they fail at once and say why."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit
from urllib.request import getproxies

from huggingface_hub import constants
from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

from segviz.runtime.causes import causes_of

_offline = threading.Lock()


@contextmanager
def reach_hub() -> Iterator[None]:
    """Have the libraries use the files that they kept where the hub's name cannot be resolved.

    They would try again and again for a minute. What they did not keep is an error that says so.

    Raises:
        ConnectionError: the hub cannot be reached, and a file was not kept.
    """
    host = urlsplit(constants.ENDPOINT).hostname or ""
    if constants.HF_HUB_OFFLINE or can_resolve(host):
        yield
        return
    with _offline:  # the setting is the process's
        constants.HF_HUB_OFFLINE = True
        try:
            yield
        except Exception as error:
            if not any(isinstance(one, LocalEntryNotFoundError | OfflineModeIsEnabled) for one in causes_of(error)):
                raise
            raise ConnectionError(f"{host} cannot be reached, and no earlier download is kept") from error
        finally:
            constants.HF_HUB_OFFLINE = False


def can_resolve(host: str) -> bool:
    """Whether a host's name has an address; a proxy may know it, where there is one."""
    if getproxies().keys() & {"https", "all"}:
        return True
    try:
        return bool(socket.getaddrinfo(host, 443))
    except OSError:
        return False
