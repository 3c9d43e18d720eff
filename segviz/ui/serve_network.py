"""`segviz.app`: the app over a network that is an object of this process."""

from __future__ import annotations

import importlib.util
import logging
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import streamlit as st
from streamlit import config
from streamlit.web import bootstrap
from streamlit.web.server.starlette.starlette_server import UvicornRunner
from torch import nn

from segviz.attention.grid_map import Grid
from segviz.catalogue.entry import CatalogueEntry, derive_name
from segviz.catalogue.own_models import add_live_network, live_network, own_models
from segviz.data.classes import RgbColour
from segviz.server.launch import app_script, check_port
from segviz.watch.placement import FitMode
from segviz.watch.watch_network import check_network

LOG = logging.getLogger(__name__)
FIRST_PORT, PORTS = 8501, 100  # without a port, the first free one from Streamlit's on
START_WITHIN_S = 120.0

_serving: list[tuple[threading.Thread, int]] = []  # the server of this process, and its port
_lock = threading.Lock()


def serve_network(
    model: nn.Module,
    classes: str | Sequence[str] | None = None,
    palette: Sequence[RgbColour] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    *,
    name: str = "",
    title: str = "",
    size: Grid | None = None,
    fit: FitMode = "stretch",
    layers: str | Sequence[str] = (),
    find_windows: bool = False,
    port: int | None = None,
    block: bool | None = None,
) -> str:
    """Open the app over a network of yours; the bundled models are there too. Returns the address of its page.

    In a script it serves until Ctrl-C; in a notebook or a prompt it serves in the background, and a further call adds
    its network to the same server, or replaces the one of the same name.

    Args:
        model: the network, in eval mode. It stays where it is, and nothing is changed on it.
        classes: names of its classes, or of a class set such as "cityscapes".
        palette: an RGB colour for each class.
        mean: mean of the input, in [0, 1], or in 0..255 where a value of it or of the std is above 1.
        std: standard deviation, in the same units.
        name: what links call it; by default from the network's class.
        title: what pages call it; by default the network's class.
        size: (height, width) at which it sees pictures; by default their own size.
        fit: "stretch" or "pad".
        layers: patterns of the layers whose maps are offered; by default all.
        find_windows: whether to find windows that nothing in the network describes, as in `segviz.watch`.
        port: where to listen; by default the first free one from 8501 on.
        block: whether to serve until Ctrl-C; by default where Python runs a script.

    Raises:
        TypeError: the model is no `nn.Module`.
        ValueError: it cannot be watched, or an option cannot be used.
        RuntimeError: the port is taken, or the server does not start.
    """
    check_network(model)
    others = [key for key in own_models() if live_network(key) is None]
    entry = CatalogueEntry(
        name or derive_name(type(model).__name__, others),
        title or type(model).__name__,
        "an object of Python",
        classes=classes if classes is None or isinstance(classes, str) else tuple(classes),
        palette=None if palette is None else tuple(palette),
        mean=None if mean is None else tuple(mean),
        std=None if std is None else tuple(std),
        size=size,
        fit=fit,
        layers=(layers,) if isinstance(layers, str) else tuple(layers),
        find_windows=find_windows,
    )
    if entry.name in others:
        raise ValueError(f"name '{entry.name}' is another model's of SEGVIZ_MODELS; choose another name")
    add_live_network(entry, model)
    with _lock:
        if _serving and _serving[0][0].is_alive():
            return page_of(_serving[0][1], entry.name)
        if st.runtime.exists():
            raise RuntimeError("a Streamlit app runs in this process already; call segviz.app from a script of its own")
        chosen = choose_port(port)
        server = make_server(chosen)
        address = page_of(chosen, entry.name)
        print(f"{entry.title}: {address}", flush=True)
        if not in_prompt() if block is None else block:
            server.run()
            return address
        _serving[:] = [(threading.Thread(target=serve_quietly, args=(server,), name="segviz app", daemon=True), chosen)]
        _serving[0][0].start()
        wait_until_up(_serving[0][0])
    return address


def page_of(port: int, name: str) -> str:
    """The address of a network's page."""
    return f"http://localhost:{port}/inspect?model={name}"


def in_prompt() -> bool:
    """Whether somebody types into this process: a notebook or a prompt, which must stay free."""
    return hasattr(sys, "ps1") or "ipykernel" in sys.modules


def choose_port(port: int | None) -> int:
    """The given port, or the first free one.

    Raises:
        RuntimeError: it is taken, or none is free.
    """
    for one in [port] if port is not None else range(FIRST_PORT, FIRST_PORT + PORTS):
        try:
            check_port(one, ())
            return one
        except RuntimeError:
            if port is not None:
                raise
    raise RuntimeError(f"no port from {FIRST_PORT} to {FIRST_PORT + PORTS - 1} is free; name another with port=")


def make_server(port: int) -> UvicornRunner:
    """The app's server in this process, as `streamlit run` makes it in one of its own."""
    script = app_script()
    config._main_script_path = str(script)  # its folder has .streamlit/config.toml
    bootstrap.load_config_options({"server_port": port, "server_headless": True})
    config._server_mode = "starlette-app"
    return UvicornRunner(load_script(script).app)


def load_script(script: Path) -> ModuleType | Any:
    """The app's script as a module, which makes the ASGI app.

    Raises:
        RuntimeError: a setting is wrong.
    """
    spec = importlib.util.spec_from_file_location("segviz_app_script", script)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except SystemExit as error:  # where its own process would end
        raise RuntimeError(str(error)) from None
    return module


def serve_quietly(server: UvicornRunner) -> None:
    """Serve until the process ends."""
    try:
        server.run()
    except SystemExit:
        LOG.error("the app's server ended; look at the log above")


def wait_until_up(thread: threading.Thread) -> None:
    """Return once the app answers.

    Raises:
        RuntimeError: it does not, or its server has ended.
    """
    end = time.monotonic() + START_WITHIN_S
    while time.monotonic() < end and thread.is_alive():
        if st.runtime.exists():
            return
        time.sleep(0.1)
    raise RuntimeError("the app's server did not start; the log above says why")
