"""The applications under examples/, as tests import them: each by its folder's name."""

import importlib
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import ModuleType

import httpx
import pytest
from catalogue import client_of
from sqlalchemy import MetaData
from sqlmodel import SQLModel

from howdah.migrations import upgrade

__all__ = ("EXAMPLES", "load", "load_all", "migrate", "serving")

EXAMPLES = Path(__file__).parent.parent / "examples"


def load(name: str) -> ModuleType:
    """Import `main` of an example."""
    (main,) = load_all(name, "main")
    return main


def load_all(name: str, *modules: str) -> tuple[ModuleType, ...]:
    """Import modules of an example, which leave their names to others again.

    Its tables are apart from those of other examples and of tests.
    """
    with _apart(EXAMPLES / name), pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(SQLModel, "metadata", MetaData())
        return tuple(map(importlib.import_module, modules))


def migrate(name: str, url: str) -> None:
    """Make the tables of an example as `howdah dev` does before it serves."""
    folder = EXAMPLES / name
    with _apart(folder):
        upgrade(folder / "alembic.ini", url=url)


@contextmanager
def _apart(folder: Path) -> Iterator[None]:
    """Let imports find the modules of a folder, and nobody find them afterwards."""
    names = {path.stem for path in folder.glob("*.py")}
    path, kept = [*sys.path], _taken_out(names)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path[:] = path
        _taken_out(names)
        sys.modules.update(kept)


def _taken_out(names: set[str]) -> dict[str, ModuleType]:
    found = [name for name in sys.modules if name.partition(".")[0] in names]
    return {name: sys.modules.pop(name) for name in found}


@asynccontextmanager
async def serving(main: ModuleType, url: str) -> AsyncIterator[httpx.AsyncClient]:
    """Run the app of an example on the database of a test."""
    lifespan = main.app.router.lifespan_context
    with main.db.redirected(url):
        async with lifespan(main.app), client_of(main.app) as client:
            yield client
