"""The data route and the wire format: unguessable names, a bounded store, and maps that unpack to what was packed."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError
from starlette.applications import Starlette
from starlette.testclient import TestClient

from segviz.attention.maps import (
    AttendedFeatures,
    CrissCrossAttention,
    DotProductAttention,
    OffsetMaskAttention,
    StripAttention,
)
from segviz.server.blobs import BlobStore, blob_routes
from segviz.viewer import wire


def client(store: BlobStore) -> TestClient:
    return TestClient(Starlette(routes=blob_routes(store)))


def test_a_name_depends_on_every_byte_the_type_and_the_process() -> None:
    store, content = BlobStore(), bytes(3 * 2**20)
    changed = bytearray(content)
    changed[2**20 + 7] = 1
    names = {
        store.put(content),
        store.put(bytes(changed)),
        store.put(content, "image/png"),
        BlobStore().put(content),
    }
    assert len(names) == 4
    assert store.put(content) in names
    assert all(len(name) == 32 for name in names)


def test_the_least_recently_used_blobs_go_first() -> None:
    store = BlobStore(max_bytes=250)
    first, second = store.put(b"a" * 100), store.put(b"b" * 100)
    assert store.get(first) is not None  # a use: now `second` is the older one
    third = store.put(b"c" * 100)
    assert [store.get(name) is not None for name in (first, second, third)] == [True, False, True]


def test_a_blob_beyond_the_bound_is_kept_alone() -> None:
    store = BlobStore(max_bytes=10)
    small, large = store.put(b"small"), store.put(bytes(100))
    assert store.get(small) is None
    assert store.get(large) is not None


def test_a_blob_leaves_with_the_last_session_that_shows_it() -> None:
    store = BlobStore()
    own, shared, free = store.put(b"own", holder="one"), store.put(b"shared", holder="one"), store.put(b"free")
    assert store.hold(shared, "other")
    store.release("one")
    assert [store.get(name) is not None for name in (own, shared, free)] == [False, True, True]
    store.release("other")
    assert (store.get(shared), store._bytes, store.hold(shared, "one")) == (None, len(b"free"), False)


def test_putting_twice_counts_once() -> None:
    store = BlobStore(max_bytes=250)
    names = [store.put(b"a" * 100) for _ in range(5)]
    assert len(set(names)) == 1
    store.put(b"b" * 100)
    assert store.get(names[0]) is not None


def test_threads_do_not_corrupt_the_count() -> None:
    store = BlobStore(max_bytes=5_000)

    def work(seed: int) -> None:
        for number in range(200):
            store.get(store.put(f"{seed} {number}".encode() * 20))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store._bytes == sum(len(blob.content) for blob in store._blobs.values()) <= 5_000


@pytest.mark.parametrize("prefix", ["", "/some/base"])
def test_the_route_serves_a_blob_with_its_headers(prefix: str) -> None:
    store = BlobStore()
    name = store.put(b"0123456789", "image/png")
    response = client(store).get(f"{prefix}/segviz/blob/{name}")
    assert (response.status_code, response.content) == (200, b"0123456789")
    expected = {
        "content-type": "image/png",
        "content-encoding": "identity",
        "cross-origin-resource-policy": "same-origin",
        "x-content-type-options": "nosniff",
        "accept-ranges": "bytes",
        "content-length": "10",
    }
    assert expected.items() <= dict(response.headers).items()
    assert {"private", "immutable"} <= set(response.headers["cache-control"].split(", "))


def test_an_unknown_name_is_not_found_and_nothing_can_be_written() -> None:
    store = BlobStore()
    name = store.put(b"x")
    assert client(store).get(f"/segviz/blob/{'0' * 32}").status_code == 404
    assert client(store).get("/segviz/blob/").status_code == 404
    assert client(store).get(f"/segviz/blob/{name}/more").status_code == 404
    assert client(store).post(f"/segviz/blob/{name}", content=b"y").status_code == 405


@pytest.mark.parametrize(
    ("wanted", "status", "content"),
    [
        ("bytes=2-4", 206, b"234"),
        ("bytes=7-", 206, b"789"),
        ("bytes=7-99", 206, b"789"),
        ("bytes=-3", 206, b"789"),
        ("bytes=-99", 206, b"0123456789"),
        ("bytes=10-", 416, b""),
        ("bytes=-0", 416, b""),
        ("bytes=4-2", 200, b"0123456789"),
        ("bytes=0-1,4-5", 200, b"0123456789"),
        ("bytes=a-b", 200, b"0123456789"),
        ("bytes=-", 200, b"0123456789"),
        ("lines=1-2", 200, b"0123456789"),
        (f"bytes=0-{'9' * 5000}", 200, b"0123456789"),
    ],
)
def test_ranges(wanted: str, status: int, content: bytes) -> None:
    store = BlobStore()
    response = client(store).get(f"/segviz/blob/{store.put(b'0123456789')}", headers={"Range": wanted})
    assert (response.status_code, response.content) == (status, content)
    if status == 206:
        first = 10 - len(content) if wanted != "bytes=2-4" else 2
        assert response.headers["content-range"] == f"bytes {first}-{first + len(content) - 1}/10"


def test_a_packed_map_reads_back() -> None:
    queries, keys = torch.randn(6, 5), torch.randn(6, 5)
    packed = wire.pack(DotProductAttention("spatial", (2, 3), queries, keys))
    header, arrays = read(packed)
    assert (header["kind"], header["grid"], header["features"]) == ("dot", [2, 3], [2, 3])
    np.testing.assert_array_equal(arrays["queries"], queries.numpy())
    np.testing.assert_array_equal(arrays["keys"], keys.numpy())
    np.testing.assert_allclose(arrays["lse"], (queries @ keys.T).logsumexp(1).numpy(), rtol=1e-5)


def test_minus_infinity_and_the_features_grid_are_packed() -> None:
    masks = torch.tensor([[0.0, -torch.inf], [1.0, 2.0]])
    header, arrays = read(wire.pack(OffsetMaskAttention("collect", (1, 2), masks, "collect", None, (1, 4))))
    assert (header["features"], header["direction"]) == ([1, 4], "collect")
    np.testing.assert_array_equal(arrays["masks"], masks.numpy())


@pytest.mark.parametrize("reach", [(0, 0), (1, 0), (1, 2), (2, 1)])
def test_masks_of_small_reach_are_cropped_to_windows(reach: tuple[int, int]) -> None:
    height, width, cells = 6, 9, 54
    row, column = torch.arange(cells) // width, torch.arange(cells) % width
    down, along = row[None] - row[:, None], column[None] - column[:, None]
    far = (down.abs() > reach[0]) | (along.abs() > reach[1])
    masks = torch.randn(cells, cells).masked_fill(far, -torch.inf)
    masks[7, 7] = -torch.inf  # a hole within reach
    header, arrays = read(wire.pack(OffsetMaskAttention("collect", (height, width), masks, "collect")))
    assert header["reach"] == list(reach)
    assert arrays["masks"].shape == (cells, 2 * reach[0] + 1, 2 * reach[1] + 1)
    places = [(step + far_off).clamp(0, 2 * far_off) for step, far_off in zip((down, along), reach, strict=True)]
    back = torch.tensor(arrays["masks"])[torch.arange(cells)[:, None], places[0], places[1]]
    np.testing.assert_array_equal(back.masked_fill(far, -torch.inf), masks)


def test_masks_that_reach_the_whole_grid_are_not_cropped() -> None:
    header, arrays = read(wire.pack(OffsetMaskAttention("collect", (3, 4), torch.zeros(12, 12), "collect")))
    assert header["reach"] is None
    assert arrays["masks"].shape == (12, 12)


def test_the_denominators_that_columns_need_are_packed() -> None:
    queries, strips = torch.randn(12, 5), torch.randn(4, 5)
    _, arrays = read(wire.pack(StripAttention("strip", (3, 4), queries, strips, "vertical")))
    np.testing.assert_allclose(arrays["lse"], (queries @ strips.T).logsumexp(1), rtol=1e-5)
    cross = CrissCrossAttention("cross", (3, 4), torch.randn(2, 12, 5), torch.randn(2, 12, 5))
    _, arrays = read(wire.pack(cross))
    np.testing.assert_array_equal(arrays["lse"], cross.log_normalisers)


def test_transposed_tensors_are_packed_in_row_major_order() -> None:
    output = torch.arange(6.0).reshape(3, 2).T
    _, arrays = read(wire.pack(AttendedFeatures("features", (2, 3), output, output.double())))
    np.testing.assert_array_equal(arrays["output"], output.numpy())
    np.testing.assert_array_equal(arrays["context"], output.numpy())


def test_labels_read_back_and_other_arrays_are_refused() -> None:
    labels = np.arange(15, dtype=np.uint8).reshape(3, 5)
    header, arrays = read(wire.pack_labels(labels))
    assert (header["kind"], header["grid"]) == ("labels", [3, 5])
    np.testing.assert_array_equal(arrays["labels"], labels)
    with pytest.raises((ValueError, TypeCheckError), match=r"(?i)uint8"):  # the types are checked in tests only
        wire.pack_labels(labels.astype(np.int64))


def read(packed: bytes) -> tuple[dict[str, object], dict[str, np.ndarray]]:
    """Does in Python what wire.js does."""
    start = 4 + int.from_bytes(packed[:4], "little")
    assert start % 4 == 0
    header = json.loads(packed[4:start])
    arrays = {}
    for entry in header["tensors"]:
        count = int(np.prod(entry["shape"]))
        values = np.frombuffer(packed, np.dtype(entry["dtype"]), count, start + entry["offset"])
        arrays[entry["name"]] = values.reshape(entry["shape"])
    return header, arrays
