"""An example as its own server would import it, from its folder.

Modules of two examples may have the same name, `main` first of all; so each is imported
once, and forgotten by that name. Its tables are its own, apart from those of tests.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

import httpx
import pytest
from catalogue import client_of
from sqlalchemy import MetaData
from sqlmodel import SQLModel

__all__ = ("EXAMPLES", "load", "serving")

EXAMPLES = Path(__file__).parents[2] / "examples"


@cache
def load(example: str, *modules: str) -> tuple[ModuleType, ...]:
    """Import modules of an example."""
    folder = EXAMPLES / example
    own = {path.stem for path in folder.glob("*.py")}
    assert own.isdisjoint(sys.modules)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.syspath_prepend(folder)
        monkeypatch.setattr(SQLModel, "metadata", MetaData())
        try:
            return tuple(map(import_module, modules))
        finally:
            for name in own & sys.modules.keys():
                del sys.modules[name]


@asynccontextmanager
async def serving(main: ModuleType, url: str) -> AsyncIterator[httpx.AsyncClient]:
    """Run the app of an example on the database of a test."""
    async with AsyncExitStack() as stack:
        stack.enter_context(main.db.redirected(url))
        await stack.enter_async_context(main.app.router.lifespan_context(main.app))
        yield await stack.enter_async_context(client_of(main.app))
