"""The database of a run: the embedded server, durable, with as many rows as wanted."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from benchmarks.tables import EXTENSIONS, FILL, INDEXES, SQL
from howdah.embedded import EmbeddedPostgres

__all__ = ("database", "fill", "serving", "without_indexes")


@contextmanager
def serving(folder: Path) -> Iterator[EmbeddedPostgres]:
    """Start the embedded server, whose settings are durable."""
    with EmbeddedPostgres(folder, port=0) as server:
        yield server


def database(server: EmbeddedPostgres, name: str) -> str:
    """Make a database with an empty table; return its address."""
    server.drop_database(name)
    server.create_database(name)
    url = server.url(name)
    _execute(url, EXTENSIONS + SQL)
    return url


def fill(url: str, rows: int, *, searched: bool = True) -> None:
    """Make the table have these rows and no others; searched where people search it."""
    _execute(url, "TRUNCATE items RESTART IDENTITY;")
    without_indexes(url)
    _execute(url, FILL.format(rows=rows))
    _execute(url, INDEXES if searched else "VACUUM ANALYZE items;")


def without_indexes(url: str) -> bool:
    """Leave the table with the index of its key alone; return False."""
    _execute(url, "DROP INDEX IF EXISTS items_price, items_words;")
    return False


def _execute(url: str, text: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in text.split(";"):
            if statement.strip():
                connection.execute(statement)
