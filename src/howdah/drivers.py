"""The border where what drivers raise becomes what Howdah says.

asyncpg, psycopg, sqlite3 and SQLAlchemy's wrappers each name the same fault in their
own way, and asyncpg lets a refused socket through as a bare OSError. Codes decide, not
texts; but which columns are to blame SQLite says in its text alone. psycopg, which many
apps never need, takes longer to import than all of this package, and is known as soon
as somebody has imported it.
"""

import re
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import asyncpg
import sqlalchemy.exc
import sqlalchemy.orm.exc

from howdah.errors import (
    Contention,
    HowdahError,
    Invalid,
    Misconfigured,
    NotFound,
    PoolExhausted,
    StaleVersion,
    StillReferenced,
    Timeout,
    Unavailable,
    from_sqlstate,
)

__all__ = (
    "foreign",
    "is_disconnect",
    "is_lost",
    "network",
    "sqlstate",
    "translate",
    "translated",
)

_Errors = tuple[type[Exception], ...]


def foreign() -> _Errors:
    """Return what a driver may raise.

    Anything else is a fault of our own and passes untouched.
    """
    return (*_FOREIGN, *_of_psycopg("Error"))


def network() -> _Errors:
    """Return the same for where a socket is in our own hands.

    asyncpg lets the errors of sockets through as they are.
    """
    return (*foreign(), OSError, TimeoutError)


_FOREIGN: _Errors = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    sqlite3.Error,
    sqlalchemy.exc.SQLAlchemyError,
)


def _of_psycopg(name: str) -> _Errors:
    """Return a kind of psycopg's errors, none while nobody can raise one."""
    known = getattr(sys.modules.get("psycopg"), name, None)
    return () if known is None else (known,)


# Codes of a connection that is of no use any more. 25006: the server behind it has
# become a standby; a new connection may find the new primary.
_DISCONNECTS = frozenset(
    {"25006", "25P03", "25P04", "57P01", "57P02", "57P03", "57P04", "57P05"}
)
# FOR UPDATE only locks.
_WRITE = re.compile(
    r"(?<!FOR )(?<!KEY )\b(INSERT INTO|UPDATE|DELETE FROM)\s+(?:ONLY\s+)?([\w.\"]+)"
)


@contextmanager
def translated(statement: str | None = None) -> Iterator[None]:
    """Raise what drivers raise inside the block as Howdah's errors."""
    try:
        yield
    except foreign() as exc:
        raise translate(exc, statement=statement) from exc


def translate(exc: BaseException, *, statement: str | None = None) -> HowdahError:
    """Return the error that this exception of a driver means.

    The statement that failed, where the exception does not hold it, tells a missing
    reference from a row that is still referred to: PostgreSQL has one code for both.
    """
    if isinstance(exc, HowdahError):
        return exc
    cause = _innermost(exc)
    code = sqlstate(cause)
    if code is not None:
        statement = statement or getattr(exc, "statement", None)
        known = _from_sqlite if isinstance(cause, sqlite3.Error) else _from_server
        return known(code, cause, statement)
    if isinstance(exc, sqlalchemy.exc.TimeoutError):
        return PoolExhausted()
    if isinstance(exc, sqlalchemy.exc.NoResultFound):
        return NotFound()
    if isinstance(exc, sqlalchemy.orm.exc.StaleDataError):
        return StaleVersion()
    return _without_code(cause, lost=getattr(exc, "connection_invalidated", True))


def sqlstate(exc: BaseException) -> str | None:
    """Return PostgreSQL's code of a driver's exception, where it has one.

    A code of SQLite is that of PostgreSQL which means the same.
    """
    if isinstance(exc, sqlite3.Error):
        return _sqlite_state(exc)
    code = getattr(exc, "sqlstate", None)
    return code if isinstance(code, str) else None


def is_disconnect(exc: BaseException, *, closed: bool = True) -> bool:
    """Say whether the connection that raised this must not be used again.

    Who can look says whether it is closed: a connection that is still open was
    misused where asyncpg raises InterfaceError, and is as good as before.
    """
    cause = _innermost(exc)
    code = sqlstate(cause)
    if code is not None:
        return code in _DISCONNECTS or code.startswith("08")
    if isinstance(cause, asyncpg.InterfaceError):
        return closed
    if isinstance(cause, asyncpg.InternalClientError):
        # It came upon the last words of a dying server, just before the end of them;
        # asyncpg calls that a state out of which nothing can be sent.
        return True
    # A time-out of our own says that the server is slow, not that it is gone.
    return isinstance(cause, OSError) and not isinstance(cause, TimeoutError)


def is_lost(exc: BaseException) -> bool:
    """Say whether a connection was lost that its user had done nothing to."""
    return is_disconnect(exc) and sqlstate(_innermost(exc)) not in _TOO_SLOW


# Who kept the server waiting for longer than it may would do so again.
_TOO_SLOW = frozenset({"25P03", "25P04"})


def _innermost(exc: BaseException) -> BaseException:
    """Return the driver's own exception behind SQLAlchemy's wrappers."""
    # `DBAPIError.driver_exception` itself raises for some errors of SQLAlchemy 2.1,
    # so the chain is walked by hand: wrapper, adapted error, the driver's error.
    seen: BaseException = exc
    if isinstance(exc, sqlalchemy.exc.StatementError) and exc.orig is not None:
        seen = exc.orig
    cause: BaseException | None = seen.__cause__
    adapted = isinstance(cause, _ADAPTED)
    return cause if adapted and cause is not None else seen


_ADAPTED = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)


def _from_server(code: str, cause: BaseException, statement: str | None) -> HowdahError:
    if isinstance(cause, asyncpg.InvalidCachedStatementError):
        # Somebody migrated the table; asyncpg has forgotten the old plan by now.
        return Contention("The table has just been changed; try again.")
    diag = getattr(cause, "diag", cause)
    table = getattr(diag, "table_name", None)
    constraint = getattr(diag, "constraint_name", None)
    if code == _FOREIGN_KEY and _on_referred_side(statement, table):
        return StillReferenced(constraint=constraint, table=table)
    return from_sqlstate(
        code,
        constraint=constraint,
        table=table,
        column=getattr(diag, "column_name", None),
    )


_FOREIGN_KEY = "23503"


def _sqlite_state(exc: sqlite3.Error) -> str | None:
    extended: int | None = getattr(exc, "sqlite_errorcode", None)
    if extended is None:
        return None
    return _SQLITE.get(extended) or _SQLITE.get(extended & 0xFF)


# The last byte is the kind, what is before it tells more:
# https://www.sqlite.org/rescode.html
_SQLITE: Mapping[int, str] = {
    sqlite3.SQLITE_CONSTRAINT: "23000",
    sqlite3.SQLITE_CONSTRAINT_UNIQUE: "23505",
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY: "23505",
    sqlite3.SQLITE_CONSTRAINT_ROWID: "23505",
    sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY: "23503",
    sqlite3.SQLITE_CONSTRAINT_NOTNULL: "23502",
    sqlite3.SQLITE_CONSTRAINT_CHECK: "23514",
    sqlite3.SQLITE_CONSTRAINT_TRIGGER: "P0001",
    3091: "22P02",  # SQLITE_CONSTRAINT_DATATYPE, which Python does not name
    sqlite3.SQLITE_MISMATCH: "22P02",
    sqlite3.SQLITE_TOOBIG: "54000",
    sqlite3.SQLITE_BUSY: "55P03",
    sqlite3.SQLITE_BUSY_SNAPSHOT: "40001",
    sqlite3.SQLITE_LOCKED: "55P03",
    sqlite3.SQLITE_INTERRUPT: "57014",
    sqlite3.SQLITE_READONLY: "25006",
    sqlite3.SQLITE_PERM: "42501",
    sqlite3.SQLITE_AUTH: "42501",
    sqlite3.SQLITE_FULL: "53100",
    sqlite3.SQLITE_NOMEM: "53200",
    sqlite3.SQLITE_IOERR: "58030",
    sqlite3.SQLITE_PROTOCOL: "55P03",
    sqlite3.SQLITE_CANTOPEN: "3D000",
    sqlite3.SQLITE_NOTADB: "3D000",
}
# The forms are fixed in SQLite's source and never translated.
_SQLITE_FAULT = re.compile(
    r"(?:UNIQUE|NOT NULL|CHECK) constraint failed: (?:index '(.*)'|(.*))\Z"
)
_SQLITE_FOREIGN_KEY = "FOREIGN KEY constraint failed"


def _from_sqlite(code: str, cause: BaseException, statement: str | None) -> HowdahError:
    message = str(cause)
    if code == "P0001" and message == _SQLITE_FOREIGN_KEY:
        # ON DELETE RESTRICT is a trigger inside, and has its code.
        return StillReferenced()
    if code == _FOREIGN_KEY and _on_referred_side(statement, None):
        return StillReferenced()
    error = from_sqlstate(code)
    found = _SQLITE_FAULT.match(message)
    if found is None:
        return error
    if code == "23514" or found[1]:
        error.constraint = found[1] or found[2]
        return error
    table, _, _ = found[2].partition(".")
    error.table = table
    columns = found[2].split(", ")
    return error.naming(tuple(name.removeprefix(f"{table}.") for name in columns))


def _on_referred_side(statement: str | None, referring: str | None) -> bool:
    """Say whether the written row was the one that others refer to.

    Who does not know the referring table takes a changed row for the referring one.
    """
    written = _WRITE.search(statement or "")
    if written is None:
        return False
    verb, table = written[1], written[2].rpartition(".")[2].strip('"')
    if referring is None:
        return verb == "DELETE FROM"
    return verb == "DELETE FROM" or (verb == "UPDATE" and table != referring)


def _without_code(cause: BaseException, *, lost: bool) -> HowdahError:
    if isinstance(cause, TimeoutError):
        return Timeout()
    if isinstance(cause, asyncpg.ClientConfigurationError):
        return Misconfigured(f"the database cannot be addressed: {cause}")
    if isinstance(cause, asyncpg.InterfaceError):
        # On a connection that lives it is a misuse: two tasks on one session, or
        # more parameters than the protocol can count.
        return Unavailable() if lost else HowdahError()
    if isinstance(cause, (*_GONE, *_of_psycopg("OperationalError"))):
        return Unavailable()
    # A value that a driver or a column type could not even send.
    if isinstance(cause, (*_of_psycopg("DataError"), ValueError, OverflowError)):
        return Invalid()
    return HowdahError()


_GONE: _Errors = (asyncpg.InternalClientError, OSError)
