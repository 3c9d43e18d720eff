"""Public names mean one thing each, and functions are not called by a participle."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = sorted((ROOT / "segviz").rglob("*.py"))
OWN = {"LOG"}  # each module logs under its own name
IRREGULAR = re.compile(
    "begun|bound|bought|broken|brought|built|caught|chosen|dealt|done|drawn|driven|fed|felt|forgotten|found|frozen|given|"
    "gone|gotten|grown|had|heard|held|hidden|hung|kept|known|laid|led|left|lent|lit|lost|made|meant|met|paid|proven|risen|"
    "said|seen|sent|shown|sold|sought|spent|spoken|stolen|stood|struck|taken|taught|thought|thrown|told|torn|understood|"
    "woken|won|worn|wound|written"
)
NO_PARTICIPLES = {"bed", "embed", "exceed", "feed", "need", "proceed", "seed", "shed", "speed", "succeed"}


def is_participle(name: str) -> bool:
    """Whether a whole name is one past participle, such as `packed` or `told`."""
    regular = name.endswith("ed") and "_" not in name and name not in NO_PARTICIPLES
    return regular or IRREGULAR.fullmatch(name) is not None


def module_statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module, with those inside `if`, `try` and `with`."""
    for statement in body:
        yield statement
        if isinstance(statement, ast.If | ast.Try | ast.With):
            for part in ("body", "orelse", "finalbody"):
                yield from module_statements(getattr(statement, part, []))
            for handler in getattr(statement, "handlers", []):
                yield from module_statements(handler.body)


def defined_names(module: ast.Module) -> set[str]:
    """The public functions, classes, type aliases and constants that a module defines; imports do not count."""
    names: set[str] = set()
    for statement in module_statements(module.body):
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                names.add(statement.name)
            case ast.Assign(targets=targets):
                names |= {one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
    return {name for name in names if not name.startswith("_")}


def function_names(module: ast.Module) -> Iterator[tuple[str, int]]:
    """Name and line of each function and method; a property is a value, so an adjective may name it."""
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            decorators = {ast.unparse(one).rpartition(".")[2] for one in node.decorator_list}
            if not decorators & {"property", "cached_property", "setter"}:
                yield node.name.strip("_"), node.lineno


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def modules_by_name(modules: dict[str, ast.Module]) -> dict[str, list[str]]:
    """The modules that define a name, for each name that several define."""
    found = defaultdict[str, list[str]](list)
    for module, tree in modules.items():
        for name in defined_names(tree) - OWN:
            found[name].append(module)
    return {name: places for name, places in sorted(found.items()) if len(places) > 1}


def test_no_public_name_is_defined_in_two_modules() -> None:
    found = modules_by_name({str(path.relative_to(ROOT)): parse(path) for path in PACKAGE})
    assert found == {}, "\n".join(f"{name}: {', '.join(modules)}" for name, modules in found.items())


def test_no_function_is_called_by_a_participle() -> None:
    files = [*PACKAGE, ROOT / "app.py", *sorted((ROOT / "pages").glob("*.py"))]
    found = [
        f"{path.relative_to(ROOT)}:{line} {name}"
        for path in files
        for name, line in function_names(parse(path))
        if is_participle(name)
    ]
    assert found == [], "\n".join(found)


# ---- planted faults -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    [
        "def pack(): ...",
        "class pack: ...",
        "pack = int",
        "pack: int = 3",
        "if True:\n    pack = 1",
        "pack, other = 1, 2",
    ],
)
def test_a_name_of_two_modules_is_found_out(code: str) -> None:
    modules = {"a.py": ast.parse("async def pack(): ..."), "b.py": ast.parse(code), "c.py": ast.parse("import pack")}
    assert modules_by_name(modules) == {"pack": ["a.py", "b.py"]}


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("def packed(): ...", ["packed"]),
        ("class A:\n    def told(self): ...", ["told"]),
        ("def draw():\n    async def _kept(): ...", ["kept"]),
        ("class A:\n    @property\n    def closed(self): ...", []),
        ("def seed(): ...\ndef read(): ...\ndef attended_by(): ...\ndef __init__(): ...", []),
    ],
)
def test_a_participle_is_found_out(code: str, names: list[str]) -> None:
    assert [name for name, _ in function_names(ast.parse(code)) if is_participle(name)] == names
