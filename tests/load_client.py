"""A visitor without a browser, who speaks Streamlit's websocket protocol to a real server.

The messages are private to Streamlit, so another version may change them; tests/test_load.py would show it. A browser
takes a hundred times the CPU; on two cores it would dominate the measurement.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import re
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import httpx
import numpy as np
import websockets
from PIL import Image
from streamlit.proto.Alert_pb2 import Alert
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Common_pb2 import FileUploaderState, UploadedFileInfo
from streamlit.proto.Element_pb2 import Element
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState

PATIENCE = 120.0  # seconds for a page
GONE = ("empty", "spinner", "skeleton")  # elements that only show while the page is built
CONTROLS = ("selectbox", "checkbox")  # their messages also say what was set before
CLOCK = re.compile(rb'"time": \d+')  # when a link's component was sent
TOKEN = "0123456789abcdef" * 2  # against cross-site requests; any value passes if cookie and header are equal
MAIN = 0  # the container of the page's own elements; 1 is the sidebar


@dataclass
class View:
    """What a page showed once its script had ended.

    Attributes:
        elements: the elements by their path on the page, in order.
        seconds: time from the click to the end of the script.
        failed: whether the script ended with an exception.
    """

    elements: dict[tuple[int, ...], Element] = field(default_factory=dict)
    seconds: float = 0.0
    failed: bool = False

    def of(self, kind: str) -> list[Any]:
        """All elements of a kind."""
        return [getattr(one, kind) for one in self.elements.values() if one.WhichOneof("type") == kind]

    @property
    def errors(self) -> list[str]:
        """Exceptions, errors and warnings that the visitor sees."""
        alerts = [one.body for one in self.of("alert") if one.format in (Alert.ERROR, Alert.WARNING)]
        return [one.message for one in self.of("exception")] + alerts

    @property
    def digest(self) -> str:
        """Hash of all that the main part shows, but for a link's clock; files' addresses name their content."""
        hasher = hashlib.sha256()
        for path, element in sorted(self.elements.items()):
            if path[0] == MAIN and element.WhichOneof("type") not in (*GONE, *CONTROLS):
                hasher.update(CLOCK.sub(b"", element.SerializeToString(deterministic=True)))
        return hasher.hexdigest()

    @property
    def maps(self) -> int:
        """The number of maps in the viewers; 1 for a page without any."""
        found = [json.loads(one.json or "[{}]")[0] for one in self.of("bidi_component")]
        return sum(len(one.get("panels", ())) for one in found) or 1


class Visitor:
    """One session. `async with Visitor(address) as visitor: view = await visitor.run("fla")`."""

    def __init__(self, address: str) -> None:
        self.address, self.session = address, ""
        self.query = ""  # the part of the address after ?
        self.view = View()
        self.fragment = ""
        self._pages: dict[str, str] = {}
        self._states: dict[str, WidgetState] = {}
        self._uploaded: dict[str, str] = {}  # the address that deletes a file, by its uploader's label
        self._cached: dict[str, ForwardMsg] = {}

    async def __aenter__(self) -> Visitor:
        self._socket = await websockets.connect(
            self.address.replace("http", "ws") + "/_stcore/stream",
            subprotocols=[websockets.Subprotocol("streamlit")],
            origin=websockets.Origin(self.address),
            max_size=None,
            open_timeout=PATIENCE,
            ping_timeout=None,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._socket.close()

    async def run(self, page: str = "", fragment: str = "") -> View:
        """Open a page by the last part of its address, or rerun the current page or one fragment of it."""
        start = time.perf_counter()
        await self.click(page, fragment)
        view = await asyncio.wait_for(self._view(keep=bool(fragment)), PATIENCE)
        view.seconds = time.perf_counter() - start
        self.view = view
        return view

    async def click(self, page: str = "", fragment: str = "") -> None:
        """Ask for a run without waiting for it."""
        message = BackMsg()
        message.rerun_script.page_script_hash = self._pages.get(page, "")
        message.rerun_script.page_name = "" if page in self._pages else page
        message.rerun_script.fragment_id = fragment
        message.rerun_script.query_string = self.query
        message.rerun_script.widget_states.widgets.extend(self._states.values())
        message.rerun_script.cached_message_hashes.extend(self._cached)
        await self._socket.send(message.SerializeToString())

    def set(self, kind: str, label: str, **value: Any) -> None:
        """Set a widget by its label, for the next run: `set("number_input", "Street", double_value=4)`."""
        found = [one for one in self.view.of(kind) if one.label == label]
        if not found:
            raise LookupError(f"the page has no {kind} {label!r}, only {[one.label for one in self.view.of(kind)]}")
        self._states[found[0].id] = WidgetState(id=found[0].id, **value)

    async def press(self, page: str, label: str) -> View:
        """Press a button and return what the page then shows."""
        self.set("button", label, trigger_value=True)
        try:
            return await self.run(page)
        finally:
            self._states = {key: state for key, state in self._states.items() if not state.trigger_value}

    async def upload(self, label: str, name: str, content: bytes) -> None:
        """Put a file into an uploader, for the next run. As in a browser, the file before it is deleted."""
        message = BackMsg()
        message.file_urls_request.request_id = name
        message.file_urls_request.file_names.append(name)
        message.file_urls_request.session_id = self.session
        await self._socket.send(message.SerializeToString())
        while (answer := await self._next()).WhichOneof("type") != "file_urls_response":
            pass
        urls = answer.file_urls_response.file_urls[0]
        headers = {"X-Xsrftoken": TOKEN, "Origin": self.address}
        async with httpx.AsyncClient(base_url=self.address, cookies={"_streamlit_xsrf": TOKEN}) as client:
            sent = await client.put(urls.upload_url, files={name: (name, content)}, headers=headers, timeout=PATIENCE)
            sent.raise_for_status()
            if label in self._uploaded:
                (await client.delete(self._uploaded[label], headers=headers)).raise_for_status()
        self._uploaded[label] = urls.delete_url
        state = FileUploaderState()
        info = UploadedFileInfo(file_id=urls.file_id, name=name, size=len(content), file_urls=urls)
        state.uploaded_file_info.append(info)
        self.set("file_uploader", label, file_uploader_state_value=state)

    async def seconds_until_settled(self, quiet: float = 1.0) -> float:
        """Seconds from now to the last message, once no script runs and nothing came for `quiet` seconds."""
        start = last = time.perf_counter()
        running = True
        while True:
            try:
                message = await self._next(quiet)
            except TimeoutError:
                if not running:
                    return last - start
                assert time.perf_counter() - start < PATIENCE, "the script does not end"
                continue
            last = time.perf_counter()
            if message.WhichOneof("type") in ("new_session", "script_finished"):
                running = message.WhichOneof("type") == "new_session"

    async def _next(self, patience: float = PATIENCE) -> ForwardMsg:
        message = ForwardMsg()
        data = await asyncio.wait_for(self._socket.recv(), patience)
        assert isinstance(data, bytes)
        message.ParseFromString(data)
        if message.WhichOneof("type") == "ref_hash":  # an element that this visitor has received before
            where = message.metadata
            message = ForwardMsg()
            message.CopyFrom(self._cached[_cached_hash(data)])
            message.metadata.CopyFrom(where)
        elif message.metadata.cacheable:
            self._cached[message.hash] = message
        return message

    async def _view(self, keep: bool) -> View:
        view = View(dict(self.view.elements) if keep else {})
        started = False
        while True:
            message = await self._next()
            kind = message.WhichOneof("type")
            if kind == "new_session":
                started = True
                view = View(dict(self.view.elements) if keep else {})
                self.session = message.new_session.initialize.session_id or self.session
            elif kind == "navigation":
                self._pages = {one.url_pathname: one.page_script_hash for one in message.navigation.app_pages}
                for one in message.navigation.app_pages:
                    if one.is_default:
                        self._pages[""] = one.page_script_hash
            elif kind == "delta" and message.delta.WhichOneof("type") == "new_element":
                view.elements[tuple(message.metadata.delta_path)] = message.delta.new_element
                if message.delta.new_element.WhichOneof("type") == "bidi_component":
                    self.fragment = message.delta.fragment_id
            elif kind == "script_finished" and started:
                if message.script_finished == ForwardMsg.FINISHED_WITH_COMPILE_ERROR:
                    view.failed = True
                if message.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN:
                    return view


def _cached_hash(data: bytes) -> str:
    message = ForwardMsg()
    message.ParseFromString(data)
    return message.ref_hash


def png(seed: int, height: int = 96, width: int = 120, times: int = 1) -> bytes:
    """PNG file of random pixels, different for each seed; `times` repeats pixels: a large picture in a small file."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    pixels = pixels.repeat(times, 0).repeat(times, 1)
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG")
    return data.getvalue()
