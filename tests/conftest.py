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
from fastapi import FastAPI

from howdah import Database
from howdah.embedded import EmbeddedPostgres
from howdah.events import Events

_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, so that no worker is left with it at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_collection_finish() -> None:
    """Spare the collector of garbage what stays until the end: it would look again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True, scope="session")
def _no_environment() -> Iterator[None]:
    """A developer's own settings must not decide what a test sees."""
    ours = ("DATABASE_URL", "POSTGRES_", "DB_", "TEST_DATABASE_URL", "TEST_MONGODB_URL")
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name in [name for name in os.environ if name.startswith(ours)]:
            monkeypatch.delenv(name)
        yield


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


@pytest.fixture(scope="module")
def closed_db() -> Database:
    """What `db` is before and after each test: apps over it are made once a module."""
    return Database("postgresql://localhost/opened_only_in_a_test")


@pytest.fixture
async def db(closed_db: Database, database_url: str) -> AsyncIterator[Database]:
    """An open Database on an empty database, that only this test listens to."""
    closed_db.events = Events()
    with closed_db.redirected(database_url):
        async with closed_db as db:
            yield db


@pytest.fixture(scope="module")
def catalogue(closed_db: Database) -> FastAPI:
    """The catalogue's app: to make it takes longer than most tests."""
    return make_app(closed_db)


@pytest.fixture
async def client(db: Database, catalogue: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the catalogue's app, on an open Database with its tables."""
    await create_tables(db)
    async with client_of(catalogue) as client:
        yield client
