"""One embedded server a run, shared by all workers; a database of its own a test."""

import gc
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from catalogue import client_of, create_tables, make_app
from databases import EmptyDatabases

from howdah import Database
from howdah.embedded import EmbeddedPostgres

_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def pytest_collection_finish() -> None:
    """Spare the collector of garbage what stays until the end: it would look again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own settings must not decide what a test sees."""
    for name in list(os.environ):
        if name.startswith(("DATABASE_URL", "POSTGRES_", "DB_", "TEST_DATABASE_URL")):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def server(testrun_uid: str) -> Iterator[EmbeddedPostgres]:
    """The run's PostgreSQL: the first worker starts it, the last one stops it."""
    # Not in pytest's folder: a second pytest of the same user makes that private again,
    # and a server that runs as another user, where root tests, would lose its files.
    folder = Path(tempfile.gettempdir(), f"howdah-suite-{testrun_uid[:16]}")
    with EmbeddedPostgres(folder, parameters=_FAST) as server:
        yield server
    if not server.running:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def empty_databases(server: EmbeddedPostgres) -> Iterator[EmptyDatabases]:
    """The worker's empty databases."""
    databases = EmptyDatabases(server)
    yield databases
    databases.drop()


@pytest.fixture
def database_url(
    server: EmbeddedPostgres, empty_databases: EmptyDatabases
) -> Iterator[str]:
    """An empty database of the test's own."""
    name = empty_databases.take()
    yield server.url(name)
    empty_databases.give_back(name)


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    """An open Database on an empty database."""
    async with Database(database_url) as db:
        yield db


@pytest.fixture
async def client(db: Database) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the catalogue's app, on an open Database with its tables."""
    await create_tables(db)
    async with client_of(make_app(db)) as client:
        yield client
