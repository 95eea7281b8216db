"""One migrator at a time, with limits, and its faults in plain words.

`run` is what a project's env.py calls, `upgrade` what Python code calls. Replicas that
deploy at once take turns by an advisory lock of the session, so that it outlives the
single transactions of the migrations and dies with its holder. What a migration does
is Alembic's business, and where the database is, the caller's.
"""

import asyncio
import logging.config
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
from alembic import command, context
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, MetaData, NullPool
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from howdah.connection import connect_psycopg, connect_sync
from howdah.drivers import sqlstate
from howdah.embedded import EmbeddedPostgres
from howdah.errors import HowdahError, Misconfigured, Timeout, Unavailable
from howdah.migrations.autogenerate import render_item, with_extensions
from howdah.settings import DatabaseURL, Timeouts

__all__ = ("LIMITS", "run", "upgrade")

LIMITS = Timeouts(connect=5.0, statement=5.0, lock=4.0, idle_in_transaction=0.0)
"""A migration that waits for a lock makes everybody queue behind it, so not for long.

`alembic -x statement_timeout=600 upgrade head` gives an index more time to build.
"""

_TURN_LIMIT = 60.0
_POLL = 0.1
_LOCK = int.from_bytes(b"howdah")
_URL = "howdah.url"


def upgrade(
    config: Path | str = "alembic.ini",
    *,
    revision: str = "head",
    url: DatabaseURL | str | None = None,
) -> None:
    """Bring a database to a revision, as `alembic upgrade` does, in this process.

    Loggers stay as they are. With a URL that database is migrated, else the one that
    env.py names. Raises Timeout where a lock or a statement took too long; what the
    migrations before it did is then kept.
    """
    if not Path(config).is_file():
        raise Misconfigured(
            f"there is no {str(config)!r} here; go to the project's folder, or make "
            "one with `alembic init`"
        )
    settings = Config(str(config))
    if url is not None:
        settings.attributes[_URL] = url
    command.upgrade(settings, revision)


def run(
    metadata: MetaData | None,
    url: DatabaseURL | str | None = None,
    *,
    limits: Timeouts = LIMITS,
    **options: Any,
) -> None:
    """Do what the alembic command at work wants; call it at the end of env.py.

    Without a URL the project's embedded server is started. Each migration is one
    transaction, on an async engine, so `op.run_async` may await in it. It may be called
    where an event loop runs, which then waits. `options` go to `context.configure`.
    """
    _configure_logging()
    try:
        _refuse_empty(metadata)
        _run(
            context.config.attributes.get(_URL, url),
            limits=_with_arguments(limits),
            options={
                "target_metadata": metadata,
                "transaction_per_migration": True,
                "compare_server_default": True,
                "render_item": render_item,
                **options,
                "process_revision_directives": with_extensions(
                    options.get("process_revision_directives")
                ),
            },
        )
    except HowdahError as error:
        # For the alembic command this is the line to print instead of a traceback.
        if _at_command_line():
            raise CommandError(error.message) from error
        raise


def _at_command_line() -> bool:
    return context.config.cmd_opts is not None


def _configure_logging() -> None:
    """Print what Alembic does, but only where Alembic is the program itself."""
    if not _at_command_line():
        return
    config = context.config
    if config.file_config.has_section("loggers"):
        logging.config.fileConfig(config.file_config, disable_existing_loggers=False)
    else:
        logging.basicConfig(format="%(levelname)-5.5s [%(name)s] %(message)s")
        logging.getLogger("alembic.runtime.migration").setLevel(logging.INFO)


def _refuse_empty(metadata: MetaData | None) -> None:
    if metadata is not None and not metadata.tables:
        raise Misconfigured(
            "the metadata in env.py knows no table, and autogenerate would drop them "
            "all; import the modules of your models there"
        )


def _with_arguments(limits: Timeouts) -> Timeouts:
    """Let `-x statement_timeout=60 -x lock_timeout=10` change the limits."""
    given = context.get_x_argument(as_dictionary=True)
    return replace(
        limits,
        statement=_seconds(given, "statement_timeout", limits.statement),
        lock=_seconds(given, "lock_timeout", limits.lock),
    )


def _seconds(given: dict[str, Any], name: str, otherwise: float) -> float:
    text = given.get(name)
    if text is None:
        return otherwise
    try:
        return max(0.0, float(text))
    except ValueError:
        raise Misconfigured(
            f"-x {name}={text} is no number of seconds; write -x {name}=60"
        ) from None


def _run(
    url: DatabaseURL | str | None, *, limits: Timeouts, options: dict[str, Any]
) -> None:
    if context.is_offline_mode():
        _print_sql(limits, options)
        return
    with _address(url) as address, _turn(address):
        _awaited(_migrate(address, limits, options))


async def _migrate(
    address: DatabaseURL, limits: Timeouts, options: dict[str, Any]
) -> None:
    async def connected(*_: Any, **__: Any) -> Any:
        with _named(address):
            return await _noticing(await connect_psycopg(address, limits))

    engine = create_async_engine(
        "postgresql+psycopg://", async_creator=connected, poolclass=NullPool
    )
    async with engine.connect() as connection:
        await connection.run_sync(_run_migrations, limits, options)


def _run_migrations(
    connection: Connection, limits: Timeouts, options: dict[str, Any]
) -> None:
    context.configure(connection=connection, **options)
    with _explained(limits), context.begin_transaction():
        context.run_migrations()


def _awaited(work: Coroutine[Any, Any, None]) -> None:
    """Run it to its end; where a loop runs in this thread, in a thread beside it."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        _run_in_loop(work)
    else:
        with ThreadPoolExecutor(max_workers=1) as beside:
            beside.submit(_run_in_loop, work).result()


def _run_in_loop(work: Coroutine[Any, Any, None]) -> None:
    # psycopg does without the loops of uvloop, and refuses that of Windows.
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(work)


def _print_sql(limits: Timeouts, options: dict[str, Any]) -> None:
    context.configure(dialect_name="postgresql", literal_binds=True, **options)
    context.execute(f"SET lock_timeout = '{limits.lock:g}s'")
    context.execute(f"SET statement_timeout = '{limits.statement:g}s'")
    with context.begin_transaction():
        context.run_migrations()


@contextmanager
def _address(url: DatabaseURL | str | None) -> Iterator[DatabaseURL]:
    if url is None:
        with EmbeddedPostgres() as server:
            yield DatabaseURL.parse(server.url())
        return
    address = DatabaseURL.parse(url) if isinstance(url, str) else url
    # The lock belongs to a session; behind a pooler it would stay with a server
    # connection that somebody else gets next.
    direct = address.direct
    if direct is None:
        raise Misconfigured(
            f"migrations cannot go through the pooler at {address}; set DATABASE_URL "
            "to the direct address for this command"
        )
    yield direct


@contextmanager
def _turn(address: DatabaseURL) -> Iterator[None]:
    """Wait until nobody else migrates this database, and keep others waiting."""
    with _named(address):
        connection = connect_sync(address, LIMITS)
    with closing(connection):
        connection.autocommit = True
        connection.execute("SET idle_session_timeout = 0")
        end = time.monotonic() + _TURN_LIMIT
        while not _try_lock(connection):
            if time.monotonic() > end:
                raise Unavailable(
                    f"somebody else has been migrating {address} for "
                    f"{_TURN_LIMIT:.0f} s; wait for it, or end it (its session holds "
                    "an advisory lock in pg_locks)"
                )
            time.sleep(_POLL)
        yield


def _try_lock(connection: "psycopg.Connection[Any]") -> bool:
    row = connection.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK]).fetchone()
    return bool(row and row[0])


async def _noticing(
    connection: "psycopg.AsyncConnection[Any]",
) -> "psycopg.AsyncConnection[Any]":
    """Let the server undo a migration whose process was killed, and not finish it."""
    await connection.set_autocommit(True)
    # Not every system can watch a socket; there it notices at its next word to us.
    with suppress(psycopg.Error):
        await connection.execute("SET client_connection_check_interval = '500ms'")
    await connection.set_autocommit(False)
    return connection


@contextmanager
def _named(address: DatabaseURL) -> Iterator[None]:
    """Say of what cannot be reached where it was looked for."""
    try:
        yield
    except Unavailable as error:
        raise Unavailable(
            f"cannot connect to {address}: {error.message} Start the server, or mend "
            "DATABASE_URL or POSTGRES_*"
        ) from error


@contextmanager
def _explained(limits: Timeouts) -> Iterator[None]:
    """Say in plain words that a limit was reached; other faults pass as they are."""
    try:
        yield
    except DBAPIError as exc:
        reason = _reasons(limits).get(sqlstate(exc.orig or exc) or "")
        if reason is None:
            raise
        raise Timeout(reason) from exc


def _reasons(limits: Timeouts) -> dict[str, str]:
    return {
        "55P03": (
            f"a migration waited {limits.lock:g} s for a table that another "
            "transaction uses, and gave up so that nobody queues behind it; run it "
            "again, or end that transaction"
        ),
        "57014": (
            f"a statement of a migration took more than {limits.statement:g} s and "
            "its migration was undone; give it more time with "
            "`alembic -x statement_timeout=600 upgrade head`"
        ),
    }
