"""PyTorch's files, read without running anything: tensors and plain containers are built, and all else is a stub.

`torch.load(weights_only=True)` refuses a file that holds any other object, as older training frameworks store loggers
and whole networks beside their tensors. Here such an object becomes a `Stub`, which keeps what it was given.
"""

from __future__ import annotations

import pickle
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO, cast

import torch
from torch import Tensor

from segviz.catalogue.checkpoint_header import FIRST_BYTES, ZIP_MAGIC

STORAGE_TYPES: Mapping[str, torch.dtype] = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
Load = Callable[[str, torch.dtype, int], Tensor]  # a storage's key, type and number of values: its values, in one row


class Stub:
    """Takes the place of an object of any other class, and runs nothing of it.

    Attributes:
        origin: module and name of the class.
        arguments: what the object was made with.
        state: its attributes, if the file holds them.
    """

    origin = "an unknown class"

    def __init__(self, *arguments: object, **options: object) -> None:
        self.arguments, self.state = arguments, cast("dict[str, Any]", {})

    def __new__(cls, *_arguments: object, **_options: object) -> Stub:
        """A stub; pickle makes objects without `__init__`."""
        stub = super().__new__(cls)
        stub.arguments, stub.state = (), {}
        return stub

    def __setstate__(self, state: object) -> None:
        parts = state if isinstance(state, tuple) else (state,)
        for part in parts:
            if isinstance(part, dict):
                self.state.update(part)

    def __call__(self, *_arguments: object, **_options: object) -> Stub:
        """What the object would return is unknown too."""
        return Stub()

    def __setitem__(self, key: object, value: object) -> None:
        """Forget an item of a foreign mapping."""

    def append(self, item: object) -> None:
        """Forget an item of a foreign list."""

    add = append


class StoredDict(dict[Any, Any]):
    """An ordered or default dictionary of a file."""

    def __init__(self, *arguments: object) -> None:
        items = arguments[0] if arguments and isinstance(arguments[0], Mapping | Sequence) else ()
        super().__init__(cast("Mapping[Any, Any]", items))

    def __setstate__(self, state: object) -> None:
        """Forget attributes, such as the versions of modules."""


class Rebuild:
    """Makes a tensor for the file; a fresh one is handed out each time, as a file can change what it names."""

    __slots__ = ("_how",)
    _how: Callable[..., object]

    def __init__(self, how: Callable[..., object]) -> None:
        object.__setattr__(self, "_how", how)

    def __call__(self, *arguments: object) -> object:
        """The tensor."""
        return self._how(*arguments)

    def __setattr__(self, name: str, value: object) -> None:
        raise pickle.UnpicklingError("the file changes how tensors are made")


def rebuild_tensor(values: object, offset: int, size: Sequence[int], stride: Sequence[int], *_: object) -> Tensor:
    """A view of a storage's values, which torch keeps inside them.

    Raises:
        UnpicklingError: the file gives something else in place of the values.
    """
    if not isinstance(values, Tensor):
        raise pickle.UnpicklingError("a tensor has no values")
    return values.as_strided(tuple(size), tuple(stride), offset)


REBUILT: Mapping[tuple[str, str], Callable[..., object]] = {
    ("torch._utils", "_rebuild_tensor"): rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): lambda values, *_: values,
    ("torch._utils", "_rebuild_parameter_with_state"): lambda values, *_: values,
    ("torch._tensor", "_rebuild_from_type_v2"): lambda how, _kind, arguments, _state: how(*arguments),
    ("torch", "Size"): lambda sides=(): tuple(sides),
}
DICTIONARIES = (("collections", "OrderedDict"), ("collections", "defaultdict"))


class StubbingUnpickler(pickle._Unpickler):
    """Unpickles tensors and plain containers; no name in the file is ever imported.

    The unpickler in C would take as much memory for its memo as a damaged file asks for.
    """

    def __init__(self, file: Any, load: Load) -> None:
        super().__init__(file, encoding="utf-8", errors="replace")
        self._load = load

    def find_class(self, module: str, name: str) -> Any:
        """What a name of the file stands for."""
        if (module, name) in REBUILT:
            return Rebuild(REBUILT[module, name])
        base = StoredDict if (module, name) in DICTIONARIES else Stub
        return type(str(name).rpartition(".")[2] or "Stub", (base,), {"origin": f"{module}.{name}"})

    def persistent_load(self, entry: Any) -> object:
        """The values of a storage; of a module with its source, the module."""
        kind, what, *details = entry
        if kind != "storage":
            return what
        dtype = STORAGE_TYPES.get(str(getattr(what, "origin", "")).rpartition(".")[2])
        if dtype is None:
            return Stub()
        values = self._load(str(details[0]), dtype, int(details[2]))
        view = details[3] if len(details) > 3 else None  # (key, offset, number of values) in a larger storage
        return values if view is None else values[int(view[1]) : int(view[1]) + int(view[2])]


def read_stubbed(file: BinaryIO) -> object:
    """The content of an open PyTorch file, with stubs for all but tensors and plain containers.

    Raises:
        UnpicklingError: it is damaged, or of a kind that is not read.
    """
    start = file.read(FIRST_BYTES)
    file.seek(0)
    try:
        return read_zip(file) if start.startswith(ZIP_MAGIC) else read_legacy(file)
    except pickle.UnpicklingError:
        raise
    except Exception as error:  # whatever a damaged pickle makes of the objects above
        raise pickle.UnpicklingError(str(error) or type(error).__name__) from None


def read_zip(file: BinaryIO) -> object:
    """The content of a file of PyTorch 1.6 and later: a ZIP with a pickle and a member for each storage.

    Raises:
        UnpicklingError: its bytes are in another order, or a storage is compressed.
        Exception: whatever a damaged file leads to.
    """
    storages: dict[str, Tensor] = {}
    with zipfile.ZipFile(file) as archive:
        (pickled,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
        root = pickled.removesuffix("data.pkl")
        if f"{root}byteorder" in archive.namelist() and archive.read(f"{root}byteorder") != sys.byteorder.encode():
            raise pickle.UnpicklingError("its byte order is not this machine's")

        def load(key: str, dtype: torch.dtype, _count: int) -> Tensor:
            if key not in storages:
                member = archive.getinfo(f"{root}data/{key}")
                if member.compress_type != zipfile.ZIP_STORED:
                    raise pickle.UnpicklingError("a storage is compressed, which PyTorch never does")
                storages[key] = torch.frombuffer(bytearray(archive.read(member)) or bytearray(8), dtype=dtype)
            return storages[key]

        with archive.open(pickled) as content:
            return StubbingUnpickler(content, load).load()


def read_legacy(file: BinaryIO) -> object:
    """The content of a file from before PyTorch 1.6: five pickles, then each storage's length and values.

    Raises:
        UnpicklingError: it is cut off, or is not PyTorch's.
        Exception: whatever a damaged file leads to.
    """
    storages: dict[str, Tensor] = {}
    size = file.seek(0, 2)
    file.seek(0)

    def load(key: str, dtype: torch.dtype, count: int) -> Tensor:
        if key not in storages:
            held = sum(one.nbytes for one in storages.values())
            if count < 0 or held + count * dtype.itemsize > size:
                raise pickle.UnpicklingError("it is cut off")
            storages[key] = torch.zeros(count, dtype=dtype)
        return storages[key]

    if StubbingUnpickler(file, load).load() != torch.serialization.MAGIC_NUMBER:
        raise pickle.UnpicklingError("it is a Python pickle, and not PyTorch's")
    _version, _machine, content, keys = (StubbingUnpickler(file, load).load() for _ in range(4))
    for key in cast("list[object]", keys):
        values = storages[str(key)]
        count = int.from_bytes(file.read(8), "little")
        data = bytearray(file.read(values.nbytes))
        if count != len(values) or len(data) != values.nbytes:
            raise pickle.UnpicklingError("it is cut off")
        if data:
            values.copy_(torch.frombuffer(data, dtype=values.dtype))
    return content
