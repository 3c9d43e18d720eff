"""Which line of a user's code an error is from. Quick to import: no torch."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from site import getusersitepackages
from traceback import walk_tb


def name_line(cause: str, error: BaseException) -> str:
    """The cause of an error, and the line of `find_line`; the cause alone where there is none."""
    found = find_line(error)
    return f"{cause}, line {found[1]} of {found[0]}" if found else cause


def find_line(error: BaseException) -> tuple[str, int] | None:
    """The file's name and the line that raised an error: of the innermost code that is the user's.

    Torch's, segviz's and Python's own code is not. Of installed packages, the innermost is taken where no other code
    ran, as of a network that is installed. None where there is none either.
    """
    frames = [(Path(frame.f_code.co_filename), number) for frame, number in walk_tb(error.__traceback__)]
    lines = [one for one in frames if one[0].suffix == ".py" and not is_foreign(one[0])]
    blamed = [one for one in lines if not is_below(one[0], package_folders())] or lines
    return (blamed[-1][0].name, blamed[-1][1]) if blamed else None


def is_foreign(file: Path) -> bool:
    """Whether a file is segviz's, torch's or of Python's standard library."""
    if is_below(file, (Path(__file__).parents[1], torch_folder())):
        return True
    # Without a virtual environment, installed packages lie below the standard library.
    return is_below(file, [Path(sysconfig.get_path("stdlib"))]) and not is_below(file, package_folders())


def package_folders() -> tuple[Path, ...]:
    """Where packages are installed, for all users or one."""
    return (*(Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")), Path(getusersitepackages()))


def is_below(file: Path, folders: Iterable[Path]) -> bool:
    """Whether a file is in one of these folders."""
    return any(map(file.is_relative_to, folders))


def torch_folder() -> Path:
    """The folder of torch's own code."""
    spec = find_spec("torch")
    assert spec is not None and spec.origin is not None, "segviz needs torch"
    return Path(spec.origin).parent
