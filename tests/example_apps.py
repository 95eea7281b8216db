"""The applications under examples/, as tests import them: each by its folder's name."""

import importlib
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType

import httpx
import pytest
from catalogue import client_of
from sqlalchemy import MetaData
from sqlmodel import SQLModel

__all__ = ("EXAMPLES", "load", "load_all", "serving")

EXAMPLES = Path(__file__).parent.parent / "examples"


def load(name: str) -> ModuleType:
    """Import `main` of an example."""
    (main,) = load_all(name, "main")
    return main


def load_all(name: str, *modules: str) -> tuple[ModuleType, ...]:
    """Import modules of an example, which leave their names to others again.

    Its tables are apart from those of other examples and of tests.
    """
    folder = EXAMPLES / name
    names = {path.stem for path in folder.iterdir()}
    kept = _taken_out(names)
    sys.path.insert(0, str(folder))
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(SQLModel, "metadata", MetaData())
        try:
            return tuple(map(importlib.import_module, modules))
        finally:
            sys.path.remove(str(folder))
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
