"""How a connection to a file is made, and how its transactions begin.

Readers never wait, thanks to the write-ahead log; one writer at a time has the file,
and says so when it begins: who reads first may be too late to write.
"""

import sqlite3
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, event

from howdah.drivers import network, translate
from howdah.settings import DatabaseURL, Timeouts
from howdah.sqlite.functions import install

if TYPE_CHECKING:
    import aiosqlite

__all__ = ("READ_ONLY", "connect", "connect_sync", "teach")

READ_ONLY = "howdah_read_only"
"""The execution option of a transaction that only reads."""


async def connect(
    url: DatabaseURL, timeouts: Timeouts, *, memory: str
) -> "aiosqlite.Connection":
    """Open a connection with a thread of its own; raises Unavailable and its kin."""
    import aiosqlite

    connection = aiosqlite.Connection(
        lambda: _opened(url, timeouts, memory), iter_chunk_size=_ROWS
    )
    # A Database that nobody closed must not keep the process from ending.
    connection._thread.daemon = True  # noqa: SLF001 - as SQLAlchemy does
    try:
        return await connection
    except network() as exc:
        raise translate(exc) from exc


_ROWS = 64


def connect_sync(
    url: DatabaseURL, timeouts: Timeouts, *, memory: str
) -> sqlite3.Connection:
    """Open a connection for the caller's threads; raises Unavailable and its kin."""
    try:
        return _opened(url, timeouts, memory)
    except network() as exc:
        raise translate(exc) from exc


def teach(engine: Engine) -> None:
    """Let an engine begin transactions as they are meant, and keep values exactly."""
    # SQLAlchemy's dialect comes with them, which an app on PostgreSQL never needs.
    from howdah.sqlite.columns import COLUMN_TYPES, ColumnTypes

    dialect: Any = engine.dialect
    dialect.colspecs = {**dialect.colspecs, **COLUMN_TYPES}
    dialect.type_compiler_instance = ColumnTypes(dialect)
    event.listen(engine, "begin", _begin)


def _begin(connection: Connection) -> None:
    reads = connection.get_execution_options().get(READ_ONLY, False)
    if connection.info.get(READ_ONLY, False) is not reads:
        connection.exec_driver_sql(f"PRAGMA query_only = {int(reads)}")
        connection.info[READ_ONLY] = reads
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _opened(url: DatabaseURL, timeouts: Timeouts, memory: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        url.for_sqlite(memory),
        uri=True,
        # Transactions begin and end where SQLAlchemy says so, and nowhere else.
        isolation_level=None,
        check_same_thread=False,
        factory=_FileConnection,
    )
    try:
        _prepare(connection, timeouts)
        if not _READ_ONLY_FILES & url.parameters.items():
            # Kept in the file. One in memory has no log to write ahead.
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


class _FileConnection(sqlite3.Connection):
    """A connection whose transaction ends when it is closed.

    SQLite puts a close off while a cursor has rows to give, as that of a request has
    that was cancelled; until it is collected, nobody else could write.
    """

    def close(self) -> None:
        """Roll back what is not committed, and close."""
        try:
            if self.in_transaction:
                self.rollback()
        except sqlite3.ProgrammingError:
            # It is closed already.
            return
        finally:
            super().close()


def _prepare(connection: sqlite3.Connection, timeouts: Timeouts) -> None:
    wait = round(timeouts.lock * 1000) or _FOR_EVER
    connection.execute(f"PRAGMA busy_timeout = {wait}")
    connection.execute("PRAGMA foreign_keys = ON")
    install(connection)


_FOR_EVER = 2**31 - 1
_READ_ONLY_FILES = {("mode", "ro"), ("immutable", "1")}
