"""Fixtures for a project's tests: a real PostgreSQL, a database for every test.

One server serves a run, all workers of pytest-xdist included: the embedded one, or
that of TEST_DATABASE_URL. A template database is migrated once, each test gets a copy
of it, and all of them are gone afterwards. pytest loads this file for everybody who has
Howdah installed, so it imports nothing heavy until a fixture is asked for.
"""

import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, LiteralString, Self
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

if TYPE_CHECKING:
    import psycopg

    from howdah.database import Database
    from howdah.events import Event

__all__ = ("Statements",)

_PREFIX = "howdah_test_"
_NAME = pytest.StashKey[str]()


class Statements:
    """The statements that a Database sent since the test asked, oldest first."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __len__(self) -> int:
        return len(self.texts)

    def __repr__(self) -> str:
        return f"<{len(self)} statements: {self.texts}>"

    def clear(self) -> None:
        """Begin to count again."""
        self.texts.clear()

    def _hear(self, event: "Event") -> None:
        from howdah.events import StatementFinished

        if isinstance(event, StatementFinished):
            self.texts.append(event.statement)


@pytest.fixture(scope="session")
def howdah_server(request: pytest.FixtureRequest) -> Iterator[str]:
    """Give the URL of a server where tests may make databases."""
    from howdah.settings import Settings

    given = Settings().test_url
    if given is not None:
        yield given.reveal()
        return
    from howdah.embedded import EmbeddedPostgres

    # Not in pytest's own folder: a second pytest of the same user makes that private
    # again, and a server that root runs as another user would lose its files.
    folder = Path(tempfile.gettempdir(), f"howdah-test-{_run_name(request.config)}")
    with EmbeddedPostgres(folder, parameters=_FORGETFUL) as server:
        yield server.url()
    if not server.running:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def howdah_migrate(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Give what fills the template database at a URL; override it as you like.

    By default it is `alembic upgrade head` where the project has an alembic.ini.
    """
    config = request.config.rootpath / "alembic.ini"

    def migrate(url: str) -> None:
        if config.is_file():
            from howdah.migrations import upgrade

            upgrade(config, url=url)

    return migrate


@pytest.fixture(scope="session")
def database_template(
    request: pytest.FixtureRequest,
    howdah_server: str,
    howdah_migrate: Callable[[str], None],
) -> Iterator[str]:
    """Give the name of a database with all tables, made once for all workers."""
    name = _PREFIX + _run_name(request.config)
    with _Membership(howdah_server, name) as run:
        run.make_template(howdah_migrate)
        yield name


@pytest.fixture
def database_url(howdah_server: str, database_template: str) -> Iterator[str]:
    """Give the URL of a database that is this test's own."""
    name = f"{database_template}_{secrets.token_hex(4)}"
    with _admin(howdah_server) as connection:
        _execute(connection, "CREATE DATABASE {} TEMPLATE {}", name, database_template)
        yield _address(howdah_server, name)
        _execute(connection, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)


@pytest.fixture(scope="session")
def howdah_mongodb() -> Iterator[str]:
    """Give the URL of a MongoDB server where tests may make databases.

    It is that of TEST_MONGODB_URL, or one for development, for each worker its own.
    """
    from howdah.settings import Settings

    given = Settings().test_mongodb_url
    if given is not None:
        yield given.get_secret_value()
        return
    from howdah.documents import DevelopmentServer

    with (
        tempfile.TemporaryDirectory(prefix="howdah-test-") as folder,
        DevelopmentServer(Path(folder)) as url,
    ):
        yield url


@pytest.fixture
def mongodb_url(howdah_mongodb: str) -> Iterator[str]:
    """Give the URL of a database of MongoDB that is this test's own."""
    from pymongo import MongoClient

    name = f"{_PREFIX}{secrets.token_hex(8)}"
    yield _with_documents(howdah_mongodb, name)
    client: MongoClient[Any]
    with MongoClient(howdah_mongodb) as client:
        client.drop_database(name)


@pytest.fixture
def statements() -> Iterator["Callable[[Database], Statements]"]:
    """Give a function that counts the statements of a Database from its call on."""
    stops: list[Callable[[], None]] = []

    def count(db: "Database") -> Statements:
        counter = Statements()
        stops.append(db.listen(counter._hear))  # noqa: SLF001 - our own class
        return counter

    yield count
    for stop in stops:
        stop()


# Nobody misses the rows of a test after a power cut.
_FORGETFUL = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


class _Membership:
    """One process's part in a run.

    Everybody in it holds a lock, shared; who can have it alone is the last one out.
    Whatever a killed run has left behind is found by its lock that nobody holds.
    """

    def __init__(self, server: str, template: str) -> None:
        self._server = server
        self._template = template
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._connection = self._stack.enter_context(_admin(self._server))
        self._lock("pg_advisory_lock_shared", self._template)
        self._remove_abandoned()
        return self

    def __exit__(self, *_: object) -> None:
        self._lock("pg_advisory_unlock_shared", self._template)
        if self._lock("pg_try_advisory_lock", self._template):
            self._drop(self._template)
        self._stack.close()

    def make_template(self, migrate: Callable[[str], None]) -> None:
        """Make the template, unless another worker has; then wait until it is there."""
        turn = f"{self._template} turn"
        self._lock("pg_advisory_lock", turn)
        try:
            if not self._exists(self._template):
                half = f"{self._template}_making"
                _execute(self._connection, "CREATE DATABASE {}", half)
                migrate(_address(self._server, half))
                _execute(
                    self._connection,
                    "ALTER DATABASE {} RENAME TO {}",
                    half,
                    self._template,
                )
        finally:
            self._lock("pg_advisory_unlock", turn)

    def _lock(self, function: LiteralString, name: str) -> bool:
        query: LiteralString = f"SELECT {function}(hashtextextended(%s, 0))"
        row = self._connection.execute(query, [name]).fetchone()
        return bool(row and row[0] is True)

    def _exists(self, name: str) -> bool:
        query = "SELECT 1 FROM pg_database WHERE datname = %s"
        return self._connection.execute(query, [name]).fetchone() is not None

    def _remove_abandoned(self) -> None:
        query = "SELECT datname FROM pg_database WHERE starts_with(datname, %s)"
        rows = self._connection.execute(query, [_PREFIX]).fetchall()
        for name in {_run_of(name) for (name,) in rows} - {self._template}:
            if self._lock("pg_try_advisory_lock", name):
                self._drop(name)
                self._lock("pg_advisory_unlock", name)

    def _drop(self, run: str) -> None:
        query = "SELECT datname FROM pg_database WHERE starts_with(datname, %s)"
        for (name,) in self._connection.execute(query, [run]).fetchall():
            _execute(self._connection, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)


def _run_name(config: pytest.Config) -> str:
    """Return one name for all workers of this run, and for no other run."""
    worker: dict[str, str] = getattr(config, "workerinput", {})
    name = worker.get("testrunuid") or config.stash.setdefault(_NAME, uuid4().hex)
    return name[:16]


def _run_of(database: str) -> str:
    return _PREFIX + database.removeprefix(_PREFIX).split("_")[0]


@contextmanager
def _admin(server: str) -> Iterator["psycopg.Connection[Any]"]:
    import psycopg

    with psycopg.connect(server, autocommit=True) as connection:
        yield connection


def _execute(
    connection: "psycopg.Connection[Any]", text: LiteralString, *names: str
) -> None:
    from psycopg import sql

    connection.execute(sql.SQL(text).format(*map(sql.Identifier, names)))


def _address(server: str, database: str) -> str:
    from howdah.settings import DatabaseURL

    return DatabaseURL.parse(server).with_database(database).reveal()


def _with_documents(server: str, database: str) -> str:
    parts = urlsplit(server)
    query = parts.query
    if "@" in parts.netloc and "authSource" not in query:
        # Who is known in the database of the address is not known in the other one.
        source = f"authSource={parts.path.strip('/') or 'admin'}"
        query = f"{query}&{source}" if query else source
    return parts._replace(path=f"/{database}", query=query).geturl()
