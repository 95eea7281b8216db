"""A database: two lanes of connections, sessions, transactions, health.

The session lane is a SQLAlchemy engine for people's own code; the fast lane serves
resources on PostgreSQL, and a file of SQLite has none. `Database(...)` only remembers;
`async with db` (or the app's lifespan) opens. Knows nothing of HTTP, though `session`
has the form of a FastAPI dependency.
"""

import asyncio
import logging
import threading
import time
import weakref
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Iterator,
)
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar
from uuid import uuid4

import asyncpg
import sqlmodel
from sqlalchemy import Engine, Table, event, inspect
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker
from sqlalchemy.orm import Session
from sqlmodel.ext.asyncio.session import AsyncSession

from howdah import sqlite
from howdah.block import block
from howdah.connection import connect, connect_psycopg, connect_sync, set_limits
from howdah.drivers import foreign, translate
from howdah.engine import (
    make_engine,
    make_file_engine,
    make_sync_engine,
    make_sync_file_engine,
)
from howdah.errors import HowdahError, Misconfigured
from howdah.errors import PoolExhausted as PoolExhaustedError
from howdah.events import Events, Listener, PoolExhausted, Retried
from howdah.lane import Lane
from howdah.models import constraint_fields
from howdah.retry import CONTENTION, Backoff, may_connect_later
from howdah.settings import DatabaseURL, Dialect, Pool, Retry, Settings, Timeouts
from howdah.unit import Unit

if TYPE_CHECKING:
    from howdah.embedded import EmbeddedPostgres

__all__ = ("Database", "Health", "Isolation")

T = TypeVar("T")
Isolation = Literal["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]

_log = logging.getLogger("howdah.database")


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Whether the database answered, after how many seconds, and how busy we are."""

    ok: bool
    seconds: float
    reason: str | None = None
    busy: int = 0
    budget: int = 0


class Database:
    """Where the rows are. Nothing happens until it is opened.

    Without settings the environment and `.env` decide, and where they name no
    database the embedded PostgreSQL of the project serves.
    """

    def __init__(
        self,
        settings: Settings | DatabaseURL | str | None = None,
        *,
        pool: Pool | None = None,
        timeouts: Timeouts | None = None,
        retry: Retry | None = None,
    ) -> None:
        self.settings = settings if isinstance(settings, Settings) else Settings()
        self.pool = pool or self.settings.pool
        self.timeouts = timeouts or self.settings.timeouts
        self.retry = retry or self.settings.retry
        self.events = Events()
        self._url = _address(settings, self.settings)
        if self.dialect == "postgresql":
            # A server counts the connections of all our processes together.
            self.pool = self.pool.shared(self.settings.howdah_workers)
        self._server = _embedded() if self._url is None else None
        self._engine: AsyncEngine | None = None
        self._lane: Lane | None = None
        self._sync_engine: Engine | None = None
        self._mutex = threading.Lock()
        self._memory = uuid4().hex
        self._memory_end: Callable[[], object] | None = None

    def __repr__(self) -> str:
        where = str(self._url) if self._url else "embedded"
        state = "closed"
        if self._engine is not None:
            state = f"{self.busy}/{self.pool.total} busy"
        return f"Database({where!r}, {state})"

    @property
    def url(self) -> DatabaseURL:
        """The address of the database; the embedded server has one while it runs."""
        if self._url is None:
            raise Misconfigured(
                "the embedded PostgreSQL has no address before it is started; open "
                "the Database first, or set DATABASE_URL"
            )
        return self._url

    @property
    def dialect(self) -> Dialect:
        """What kind of database it leads to."""
        return "postgresql" if self._url is None else self._url.dialect

    @property
    def embedded(self) -> bool:
        """Whether it leads to the embedded PostgreSQL of the project."""
        return self._server is not None

    @property
    def engine(self) -> AsyncEngine:
        """The SQLAlchemy engine of the session lane, while open."""
        if self._engine is None:
            raise Misconfigured(_CLOSED)
        return self._engine

    @property
    def lane(self) -> Lane:
        """The fast lane, while open; only PostgreSQL has one."""
        if self.dialect != "postgresql":
            raise Misconfigured(
                f"{self._url} has no fast lane, which speaks with PostgreSQL alone; "
                "use sessions, and leave the store of a resource to Howdah"
            )
        if self._lane is None:
            raise Misconfigured(_CLOSED)
        return self._lane

    @property
    def busy(self) -> int:
        """How many connections of both lanes are in use."""
        if self._engine is None:
            return 0
        lane = 0 if self._lane is None else self._lane.busy
        return lane + _checked_out(self._engine)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Tell the listener every event from now on; return what ends that."""
        return self.events.listen(listener)

    async def open(self, *, wait: bool = True) -> None:
        """Open both lanes; with wait, return once the server has answered.

        A server that is still starting gets `retry.attempts` chances; then, or at
        once where it refuses us for good, raises Unavailable.
        """
        if self._engine is not None:
            return
        await asyncio.to_thread(self._start_server)
        # Another task may have been faster while the server started.
        if self._engine is None:
            self._make_lanes()
        if wait:
            await self._wait_for_server()

    async def close(self) -> None:
        """Close every connection, and stop the embedded server if we started it."""
        lane, engine, sync_engine = self._lane, self._engine, self._sync_engine
        self._lane = self._engine = self._sync_engine = None
        if lane is not None:
            await lane.close()
        if engine is not None:
            await engine.dispose()
        if sync_engine is not None:
            await asyncio.to_thread(sync_engine.dispose)
        await asyncio.to_thread(self._stop_server)
        self._let_memory_go()

    async def __aenter__(self) -> Self:
        try:
            await self.open()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @contextmanager
    def redirected(self, url: DatabaseURL | str) -> Iterator[Self]:
        """Lead a Database that is not open elsewhere inside the block: for tests."""
        if self._engine is not None:
            raise Misconfigured("close an open Database before it is redirected")
        kept = self._url, self._server
        self._url = DatabaseURL.parse(url) if isinstance(url, str) else url
        self._server = None
        try:
            yield self
        finally:
            self._url, self._server = kept

    async def session(self) -> AsyncIterator[AsyncSession]:
        """Give a request its session, as `Depends(db.session, scope="function")`.

        Commits before the response leaves; rolls back on any exception. `connect`
        refuses routes that leave the scope out, since they would answer first.
        """
        async with self.transaction() as session:
            yield session

    @asynccontextmanager
    async def transaction(
        self, *, isolation: Isolation | None = None, read_only: bool = False
    ) -> AsyncIterator[AsyncSession]:
        """Give a session that commits at a clean end and rolls back otherwise.

        Raises Howdah's errors for those of drivers, at the end of the block. On SQLite
        each transaction is serializable, and one at a time writes; with read_only it
        waits for no other.
        """
        sessions = async_sessionmaker(
            self.engine, class_=AsyncSession, expire_on_commit=False
        )
        async with sessions() as session:
            _note_tables(session.sync_session)
            try:
                if options := self._options(isolation, read_only=read_only):
                    await session.connection(execution_options=options)
                yield session
                await session.commit()
            except foreign() as exc:
                raise self._explained(exc, session.sync_session) from exc

    async def run(
        self,
        work: Callable[[AsyncSession], Awaitable[T]],
        *,
        isolation: Isolation | None = None,
        attempts: int | None = None,
    ) -> T:
        """Run the whole unit of work in a transaction, again where others were faster.

        The work is repeated, from its beginning and with a new session, after a
        serialization failure or a deadlock, and where its connection was lost before
        the commit; so it must leave e-mails and the like to its caller. Work that
        commits by itself is not repeated from there on. Raises Contention, or
        Unavailable, when the attempts are used up.
        """
        policy = replace(CONTENTION, attempts=attempts) if attempts else CONTENTION
        backoff = Backoff(policy)
        while True:
            unit = Unit()
            try:
                async with self.transaction(isolation=isolation) as session:
                    with unit.watching(session.sync_session):
                        result = await work(session)
                        await session.flush()
            except HowdahError as error:
                if not unit.may_run_again(error):
                    raise
                await self._pause(backoff, error)
            else:
                return result

    def _options(
        self, isolation: Isolation | None, *, read_only: bool
    ) -> dict[str, Any]:
        if self.dialect == "sqlite":
            return {sqlite.READ_ONLY: True} if read_only else {}
        options: dict[str, Any] = {"postgresql_readonly": True} if read_only else {}
        return options | ({"isolation_level": isolation} if isolation else {})

    @block
    def sync_session(self) -> Generator[sqlmodel.Session, None, None]:
        """Give a plain `sqlmodel.Session`, in a transaction of its own.

        For scripts and notebooks, `with db.sync_session() as session:`, on a Database
        that is not open, too. For sync endpoints it is a dependency, as
        `Depends(db.sync_session, scope="function")`, see `session`.
        """
        with self.sync_transaction() as session:
            yield session

    @contextmanager
    def sync_transaction(
        self, *, isolation: Isolation | None = None, read_only: bool = False
    ) -> Iterator[sqlmodel.Session]:
        """Do as `transaction` does, without `await`; see there.

        It is on psycopg, or on Python's own sqlite3; its pool is as large as that of
        the session lane, and apart from it.
        """
        with sqlmodel.Session(self._sync(), expire_on_commit=False) as session:
            _note_tables(session)
            try:
                if options := self._options(isolation, read_only=read_only):
                    session.connection(execution_options=options)
                yield session
                session.commit()
            except foreign() as exc:
                raise self._explained(exc, session) from exc
            finally:
                session.close()
                self._let_sync_go()

    async def health(self) -> Health:
        """Ask the server for a sign of life; raise nothing where it is gone."""
        started = time.perf_counter()
        reason = None
        try:
            async with asyncio.timeout(self.timeouts.connect or None):
                await self._ask()
        except (HowdahError, TimeoutError) as error:
            reason = error.message if isinstance(error, HowdahError) else "no answer"
        return Health(
            ok=reason is None,
            seconds=time.perf_counter() - started,
            reason=reason,
            busy=self.busy,
            budget=self.pool.total,
        )

    async def _ask(self) -> None:
        """Ask for a sign of life."""
        if self.dialect == "postgresql":
            await self.lane.fetchval("SELECT 1", read=True)
            return
        async with self.transaction(read_only=True) as session:
            await session.connection()

    def _make_lanes(self) -> None:
        if self.dialect == "sqlite":
            self._engine = self._make_file_engine()
            return
        prelude = set_limits(self.timeouts)
        self._lane = Lane(
            self._connect,
            pool=self.pool,
            events=self.events,
            pooled=self.url.pooled,
            prelude=prelude,
        )
        self._engine = make_engine(
            self._connect_session,
            pool=self.pool,
            events=self.events,
            echo=self.settings.echo,
            pooled=self.url.pooled,
            prelude=prelude,
            driver=self.url.driver,
        )

    def _make_file_engine(self) -> AsyncEngine:
        return make_file_engine(
            self._connect_file,
            pool=self.pool,
            events=self.events,
            echo=self.settings.echo,
            teach=sqlite.teach,
        )

    async def _connect(self) -> asyncpg.Connection:
        return await connect(self.url, self.timeouts)

    async def _connect_session(self) -> Any:
        if self.url.driver == "psycopg":
            return await connect_psycopg(self.url, self.timeouts)
        return await self._connect()

    def _connect_sync(self) -> Any:
        return connect_sync(self.url, self.timeouts)

    async def _connect_file(self) -> Any:
        self._keep_memory()
        return await sqlite.connect(self.url, self.timeouts, memory=self._memory)

    def _connect_file_sync(self) -> Any:
        self._keep_memory()
        return sqlite.connect_sync(self.url, self.timeouts, memory=self._memory)

    def _keep_memory(self) -> None:
        """Hold a database in memory, which else ends with its last connection."""
        if self._memory_end is None and self.url.database is None:
            held = sqlite.connect_sync(self.url, self.timeouts, memory=self._memory)
            self._memory_end = weakref.finalize(self, held.close)

    def _let_memory_go(self) -> None:
        if self._memory_end is not None:
            self._memory_end()
            self._memory_end = None

    def _sync(self) -> Engine:
        # Sync endpoints run in threads, which may come at once.
        with self._mutex:
            if self._sync_engine is None:
                self._start_server()
                self._sync_engine = self._make_sync_engine()
            return self._sync_engine

    def _make_sync_engine(self) -> Engine:
        if self.dialect == "sqlite":
            return make_sync_file_engine(
                self._connect_file_sync,
                pool=self.pool,
                events=self.events,
                echo=self.settings.echo,
                teach=sqlite.teach,
            )
        return make_sync_engine(
            self._connect_sync,
            pool=self.pool,
            events=self.events,
            echo=self.settings.echo,
            prelude=set_limits(self.timeouts) if self.url.pooled else "",
        )

    def _let_sync_go(self) -> None:
        """Keep no connection behind a Database that is not open: nobody closes it."""
        if self._engine is None and _checked_out(self._sync()) == 0:
            self._sync().dispose()

    def _start_server(self) -> None:
        if self._server is not None and self._url is None:
            self._server.start()
            self._url = DatabaseURL.parse(self._server.url())

    def _stop_server(self) -> None:
        if self._server is not None and self._url is not None:
            self._url = None
            self._server.stop()

    async def _wait_for_server(self) -> None:
        backoff = Backoff(self.retry)
        while True:
            try:
                await self._ask()
            except HowdahError as error:
                if not may_connect_later(error):
                    raise
                _log.info("waiting for %s: %s", self._url, error.message)
                await self._pause(backoff, error)
            else:
                return

    async def _pause(self, backoff: Backoff, error: HowdahError) -> None:
        """Wait before the next attempt, or raise the error when there is none."""
        attempt = backoff.attempt
        delay = backoff.next_delay()
        if delay is None:
            raise error
        self.events.emit(Retried(reason=error.code, attempt=attempt, delay=delay))
        await asyncio.sleep(delay)

    def _explained(self, exc: BaseException, session: Session) -> HowdahError:
        if isinstance(exc, PoolTimeoutError):
            return self._exhausted()
        error = translate(exc)
        return error.naming(constraint_fields(error.constraint, _tables(session)))

    def _exhausted(self) -> HowdahError:
        sessions = self.dialect == "postgresql"
        size = self.pool.sessions if sessions else self.pool.total
        waited = self.pool.timeout
        self.events.emit(PoolExhausted(lane="session", size=size, waited=waited))
        return PoolExhaustedError(
            f"the session lane gave no connection in {waited:.2f} s "
            f"({size} of {size} busy); raise DB_POOL_SIZE or shorten transactions"
        )


_CLOSED = "the Database is not open; use `async with db:` or connect(app, db)"


def _embedded() -> "EmbeddedPostgres":
    from howdah.embedded import EmbeddedPostgres

    return EmbeddedPostgres()


def _address(
    given: Settings | DatabaseURL | str | None, settings: Settings
) -> DatabaseURL | None:
    if isinstance(given, str):
        return DatabaseURL.parse(given)
    return given if isinstance(given, DatabaseURL) else settings.url


def _note_tables(session: Session) -> None:
    """Remember what a session writes to: after a failed flush it has forgotten."""
    noted = session.info[_NOTED] = {sqlmodel.SQLModel.metadata}

    def note(flushed: Session, *_: object) -> None:
        noted.update(
            state.mapper.local_table.metadata
            for row in (*flushed.new, *flushed.dirty, *flushed.deleted)
            if isinstance((state := inspect(row)).mapper.local_table, Table)
        )

    event.listen(session, "before_flush", note)


def _tables(session: Session) -> list[Table]:
    return [
        table for metadata in session.info[_NOTED] for table in metadata.tables.values()
    ]


_NOTED = "howdah.tables"


def _checked_out(engine: AsyncEngine | Engine) -> int:
    return int(getattr(engine.pool, "checkedout", int)())
