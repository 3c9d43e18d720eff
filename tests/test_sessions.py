"""What is kept of a session, and what is dropped once its visitor has left."""

from __future__ import annotations

import sys

from starlette.applications import Starlette
from starlette.testclient import TestClient
from streamlit.runtime.uploaded_file_manager import UploadedFileRec

from segviz.server.headers import script_hashes
from segviz.ui.deep_links import add_script, addresses, deep_link_routes
from segviz.ui.sessions import FILE_BYTES, held_bytes

INDEX = "<head><script>\n window.prerenderReady = false\n</script></head>"


def test_an_upload_counts_with_its_names() -> None:
    long = UploadedFileRec("f", "n" * 60_000, "t" * 1000, b"x")
    assert held_bytes(long) >= 61_000
    assert held_bytes(UploadedFileRec("", "", "", b"")) >= FILE_BYTES
    assert held_bytes(long) < 61_000 + FILE_BYTES + 5 * sys.getsizeof("")


def test_every_address_of_a_page_answers_with_the_place_of_the_server_in_it() -> None:
    index = add_script(INDEX)
    client = TestClient(Starlette(routes=deep_link_routes(index)))
    for address in addresses():
        answer = client.get(f"/{address}")
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-cache")
        assert "BACKEND_BASE_URL" in answer.text.split("prerenderReady")[0]
    assert {"inspect", "same_pixel", "blocks"} <= set(addresses())
    assert client.get("/inspect/_stcore/health").status_code == 404
    assert len(script_hashes(index)) == 2
