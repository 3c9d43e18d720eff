"""The WebAssembly in wasm_products.js is products.wat, assembled."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator

from wasmtime import wat2wasm

from segviz.paths import PACKAGE

SCRIPTS = PACKAGE / "viewer" / "js"
HEADER = 8  # bytes: the magic number and the version
CUSTOM = 0  # id of sections that do not change what a module does, such as the names of its locals


def embedded_module() -> bytes:
    text = (SCRIPTS / "wasm_products.js").read_text(encoding="utf-8")
    (array,) = re.findall(r"const CODE = \[(.*?)\]", text, re.DOTALL)
    return base64.b64decode("".join(re.findall(r'"([^"]*)"', array)), validate=True)


def read_unsigned(module: bytes, at: int) -> tuple[int, int]:
    """The LEB128 number at a position, and the position behind it."""
    number = shift = 0
    while True:
        byte = module[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at


def sections(module: bytes) -> Iterator[tuple[int, bytes]]:
    """The id and the content of each section."""
    at = HEADER
    while at < len(module):
        kind = module[at]
        size, start = read_unsigned(module, at + 1)
        at = start + size
        yield kind, module[start:at]


def test_the_embedded_module_is_the_assembled_source() -> None:
    embedded = embedded_module()
    assembled = wat2wasm((SCRIPTS / "products.wat").read_text(encoding="utf-8"))
    assert embedded[:HEADER] == assembled[:HEADER]
    # Assemblers differ only in whether they keep the names of locals, in a custom section.
    assert list(sections(embedded)) == [section for section in sections(assembled) if section[0] != CUSTOM]


def test_another_source_is_found_out() -> None:
    text = (SCRIPTS / "products.wat").read_text(encoding="utf-8")
    other = text.replace("f32x4.mul", "f32x4.sub")
    assert other != text
    assert list(sections(embedded_module())) != [
        section for section in sections(wat2wasm(other)) if section[0] != CUSTOM
    ]
