"""SQLAlchemy's engine as Howdah needs it: plain, and with three habits more.

It notices a closed socket without asking the server, refuses to commit what the
server has already given up, and tells of its statements. Knows no sessions.
"""

import json
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any
from uuid import uuid4

from pydantic_core import to_jsonable_python
from sqlalchemy import (
    AsyncAdaptedQueuePool,
    Engine,
    Float,
    QueuePool,
    create_engine,
    event,
)
from sqlalchemy.engine import Connection, ExceptionContext
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from howdah.drivers import is_disconnect
from howdah.errors import Misconfigured, TransactionAborted
from howdah.events import Events, StatementFinished
from howdah.settings import Pool

__all__ = (
    "json_text",
    "make_engine",
    "make_file_engine",
    "make_sync_engine",
    "make_sync_file_engine",
)


def make_engine(
    connect: Callable[[], Awaitable[Any]],
    *,
    pool: Pool,
    events: Events,
    echo: bool = False,
    pooled: bool = False,
    prelude: str = "",
    driver: str = "asyncpg",
) -> AsyncEngine:
    """Return an engine whose connections come from `connect`: asyncpg's, or psycopg's.

    Behind a pooler psycopg's have to be made so that they prepare nothing.
    """

    async def creator(*_: Any, **__: Any) -> Any:
        return await connect()

    # Behind a pooler the next transaction may meet another server, where the name of
    # a prepared statement means nothing, or something else.
    unnamed = {
        "prepared_statement_cache_size": 0,
        "prepared_statement_name_func": lambda: f"__howdah_{uuid4().hex}__",
    }
    engine = create_async_engine(
        f"postgresql+{driver}://",
        async_creator=creator,
        connect_args=unnamed if pooled and driver == "asyncpg" else {},
        **_pool_options(pool, echo=echo),
    )
    _cast_floats(engine.sync_engine)
    _teach(engine.sync_engine, events, prelude=prelude if pooled else "")
    return engine


def make_sync_engine(
    connect: Callable[[], Any],
    *,
    pool: Pool,
    events: Events,
    echo: bool = False,
    prelude: str = "",
) -> Engine:
    """Return an engine on psycopg whose connections come from `connect`."""
    engine = create_engine(
        "postgresql+psycopg://", creator=connect, **_pool_options(pool, echo=echo)
    )
    _cast_floats(engine)
    _teach(engine, events, prelude=prelude)
    return engine


def make_file_engine(
    connect: Callable[[], Awaitable[Any]],
    *,
    pool: Pool,
    events: Events,
    echo: bool = False,
    teach: Callable[[Engine], None],
) -> AsyncEngine:
    """Return an engine on aiosqlite whose connections come from `connect`."""

    async def creator(*_: Any, **__: Any) -> Any:
        return await connect()

    try:
        engine = create_async_engine(
            "sqlite+aiosqlite://",
            async_creator=creator,
            poolclass=AsyncAdaptedQueuePool,
            **_file_options(pool, echo=echo),
        )
    except ImportError:
        raise Misconfigured(
            "SQLite needs aiosqlite: pip install 'howdah[sqlite]'"
        ) from None
    teach(engine.sync_engine)
    _Stopwatch(events).watch(engine.sync_engine)
    return engine


def make_sync_file_engine(
    connect: Callable[[], Any],
    *,
    pool: Pool,
    events: Events,
    echo: bool = False,
    teach: Callable[[Engine], None],
) -> Engine:
    """Return an engine on sqlite3 whose connections come from `connect`."""
    engine = create_engine(
        "sqlite://",
        creator=connect,
        poolclass=QueuePool,
        **_file_options(pool, echo=echo),
    )
    teach(engine)
    _Stopwatch(events).watch(engine)
    return engine


def json_text(value: Any) -> str:
    """Return the JSON of a value for a JSON column.

    Takes what schemas hold beside plain JSON: decimals, moments, UUIDs, enums.
    """
    return json.dumps(value, default=_plain)


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else to_jsonable_python(value)


def _pool_options(pool: Pool, *, echo: bool) -> dict[str, Any]:
    size = max(1, min(pool.size, pool.sessions))
    return {
        "echo": echo,
        "json_serializer": json_text,
        "hide_parameters": True,
        "pool_size": size,
        "max_overflow": pool.sessions - size,
        "pool_timeout": pool.timeout,
        "pool_recycle": pool.recycle,
        "pool_pre_ping": pool.pre_ping,
        "pool_use_lifo": True,
    }


def _file_options(pool: Pool, *, echo: bool) -> dict[str, Any]:
    # There is no fast lane, no server that goes away, and nothing that grows old.
    return {
        **_pool_options(pool, echo=echo),
        "pool_size": pool.size,
        "max_overflow": pool.overflow,
        "pool_recycle": -1,
        "pool_pre_ping": False,
    }


def _teach(engine: Engine, events: Events, *, prelude: str) -> None:
    event.listen(engine, "checkout", _refuse_closed)
    event.listen(engine, "handle_error", _remember_failure)
    event.listen(engine, "rollback", _forget_failure)
    event.listen(engine, "rollback_savepoint", _forget_failure)
    event.listen(engine, "commit", _refuse_aborted)
    if prelude:
        event.listen(engine, "begin", _preluded(prelude))
    _Stopwatch(events).watch(engine)


def _cast_floats(engine: Engine) -> None:
    """Let psycopg say how long a float is, as asyncpg does.

    It sends long ones, and to a column of short ones 0.1 is then no value of theirs.
    """
    if engine.driver == "psycopg":
        dialect: Any = engine.dialect
        cast = type("Cast", (dialect.colspecs[Float],), {"render_bind_cast": True})
        dialect.colspecs = {**dialect.colspecs, Float: cast}


def _refuse_closed(connection: Any, _record: Any, _proxy: Any) -> None:
    driver = getattr(connection, "driver_connection", connection)
    closed = driver.closed if hasattr(driver, "closed") else driver.is_closed()
    if closed:
        raise DisconnectionError


_FAILED = "howdah.failed"


def _remember_failure(context: ExceptionContext) -> None:
    # SQLAlchemy has looked already whether the connection is closed.
    if is_disconnect(context.original_exception, closed=context.is_disconnect):
        context.is_disconnect = True
    if context.connection is not None and not context.connection.invalidated:
        context.connection.info[_FAILED] = True


def _forget_failure(connection: Connection, *_: Any) -> None:
    if not connection.invalidated:
        connection.info.pop(_FAILED, None)


def _refuse_aborted(connection: Connection) -> None:
    """Raise where PostgreSQL would answer COMMIT with a silent ROLLBACK.

    A statement failed and the code went on without rolling back. Only then is the
    server asked whether the transaction still lives.
    """
    if connection.invalidated or not connection.info.pop(_FAILED, False):
        return
    try:
        connection.exec_driver_sql("SELECT 1")
    except DBAPIError as exc:
        if connection.invalidated:
            raise
        # SQLAlchemy believes that a commit which failed has ended the transaction, and
        # would hand the connection to the next session as it is.
        connection.connection.rollback()
        _forget_failure(connection)
        raise TransactionAborted from exc


def _preluded(statement: str) -> Callable[[Connection], None]:
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(statement)

    return begin


class _Stopwatch:
    """Tells how long statements took, while somebody listens."""

    def __init__(self, events: Events) -> None:
        self._events = events

    def watch(self, engine: Engine) -> None:
        event.listen(engine, "before_cursor_execute", self._started)
        event.listen(engine, "after_cursor_execute", self._finished)
        event.listen(engine, "handle_error", self._failed)

    def _started(self, _connection: Any, _cursor: Any, *rest: Any) -> None:
        context = rest[2]
        if self._events and context is not None:
            context.howdah_started = time.perf_counter()

    def _finished(self, _connection: Any, _cursor: Any, *rest: Any) -> None:
        self._tell(rest[0], rest[2], failed=False)

    def _failed(self, context: ExceptionContext) -> None:
        self._tell(context.statement or "", context.execution_context, failed=True)

    def _tell(self, statement: str, context: Any, *, failed: bool) -> None:
        started = getattr(context, "howdah_started", None)
        if started is not None:
            seconds = time.perf_counter() - started
            self._events.emit(
                StatementFinished(
                    statement=statement, seconds=seconds, lane="session", failed=failed
                )
            )
