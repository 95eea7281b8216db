"""The architecture, held: a module imports only from floors strictly below its own."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import howdah

PACKAGE = Path(howdah.__file__).parent

# From the ground up; docs/explanation/architecture.md says what lives where.
FLOORS = (
    ("block", "digits", "document", "errors", "events", "stored"),
    ("drivers", "embedded", "limits", "models", "query", "settings"),
    (
        "connection",
        "engine",
        "indexes",
        "lane",
        "paging",
        "retry",
        "schemas",
        "search",
        "sqlite",
        "unit",
    ),
    ("bulk", "database", "sent", "statements", "store"),
    ("meaning", "rendering"),
    ("documents", "fast", "memory", "migrations", "orm", "repository"),
    ("load", "problems", "pytest_plugin", "scaffold", "telemetry"),
    ("route", "serving"),
    ("resource", "web"),
    ("cli",),
    ("__init__", "__main__"),
)
FLOOR_OF = {name: floor for floor, names in enumerate(FLOORS) for name in names}
MODULES = sorted(
    path
    for path in PACKAGE.rglob("*.py")
    if path.relative_to(PACKAGE).parts[0] != "templates"
)


def noun(path: Path) -> str:
    """The module that a file belongs to: a folder counts as the module of its name."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Every module of ours that a file imports, lazily and for types included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}:{node.lineno} imports relatively"
            module = node.module or ""
            if module == "howdah":
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif module.startswith("howdah."):
                yield node.lineno, module.split(".")[1]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("howdah."):
                    yield node.lineno, alias.name.split(".")[1]


@pytest.mark.parametrize("path", MODULES, ids=noun)
def test_a_module_imports_only_from_floors_below(path):
    mine = noun(path)

    assert mine in FLOOR_OF, f"{mine} has no floor"
    upward = [
        f"line {line}: {other}"
        for line, other in imported(path)
        if other != mine and FLOOR_OF.get(other, len(FLOORS)) >= FLOOR_OF[mine]
    ]
    assert upward == []


@pytest.mark.parametrize("path", MODULES, ids=noun)
def test_a_module_says_why_it_exists(path):
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))

    assert docstring


@pytest.mark.parametrize("path", MODULES, ids=noun)
def test_a_module_stays_a_room_not_a_hall(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 600


def test_no_module_is_a_dump():
    dumps = {"utils", "helpers", "common", "types", "misc", "_compat"}

    assert dumps.isdisjoint(noun(path) for path in MODULES)
