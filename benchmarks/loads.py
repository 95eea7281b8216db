"""A file of 100,000 rows into the table: by the ORM, by Howdah, by COPY alone."""

import asyncio
import csv
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from pathlib import Path
from statistics import median
from time import perf_counter

import asyncpg
import psycopg
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from benchmarks.tables import Item, ItemCreate
from howdah import Database, Settings
from howdah.load import Source, Target, load

__all__ = ("by_howdah", "measure", "table", "write_file")

_FIELDS = ("name", "description", "price", "tax")
Seconds = Mapping[str, list[float]]


def write_file(path: Path, rows: int) -> None:
    """Write a CSV with a header and as many rows."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_FIELDS)
        for n in range(rows):
            tax = "" if n % 3 else f"{n % 7}.50"
            writer.writerow(
                (f"Track {n}", f"A song, no. {n}", f"{n % 997 + 1}.25", tax)
            )


def measure(url: str, path: Path, *, rounds: int) -> Seconds:
    """Return how many seconds each way took in each round, in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in _WAYS}
    for _ in range(rounds):
        for name, way in _WAYS.items():
            _empty(url)
            began = perf_counter()
            asyncio.run(way(url, path))
            seconds[name].append(perf_counter() - began)
            _check(url, path)
    return seconds


def table(seconds: Seconds, rows: int) -> str:
    """Return the medians as Markdown."""
    slowest, fastest = seconds[_ORM], seconds[_COPY]
    lines = [
        f"### load of {rows:,} rows",
        "",
        "| | rows/s | of the ORM | of COPY |",
        "|---|---|---|---|",
    ]
    for name, times in seconds.items():
        cells = (
            name,
            f"{rows / median(times):,.0f}",
            f"{_ratio(slowest, times):.1f}x",
            f"{_ratio(fastest, times):.2f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _ratio(others: list[float], times: list[float]) -> float:
    return median(other / time for other, time in zip(others, times, strict=True))


async def _by_orm(url: str, path: Path) -> None:
    """Add all rows to a session, without so much as a look at them."""
    engine = create_async_engine(url.replace("postgresql:", "postgresql+asyncpg:"))
    with path.open(newline="") as file:
        items = [Item(**_converted(row)) for row in csv.DictReader(file)]
    async with AsyncSession(engine) as session:
        session.add_all(items)
        await session.commit()
    await engine.dispose()


def _converted(row: dict[str, str]) -> dict[str, object]:
    tax = Decimal(row["tax"]) if row["tax"] else None
    return {**row, "price": Decimal(row["price"]), "tax": tax}


async def by_howdah(url: str, path: Path) -> None:
    """Validate every row by the schema, and load them all or none."""
    async with Database(Settings(database_url=url)) as db:
        target = Target(model=Item, schema=ItemCreate)
        await load(db, Source(file=path), target=target)


async def _by_copy(url: str, path: Path) -> None:
    """Hand the file to PostgreSQL as it is."""
    connection = await asyncpg.connect(url)
    await connection.copy_to_table(
        "items", source=str(path), format="csv", header=True, columns=_FIELDS
    )
    await connection.close()


_ORM, _COPY = "ORM, add_all", "COPY of the file"
_WAYS: Mapping[str, Callable[[str, Path], Awaitable[None]]] = {
    _ORM: _by_orm,
    "howdah load": by_howdah,
    _COPY: _by_copy,
}


def _empty(url: str) -> None:
    """Leave the table without rows, and without indexes beside its key."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("TRUNCATE items RESTART IDENTITY")
        connection.execute("DROP INDEX IF EXISTS items_price, items_words")
        connection.execute("CHECKPOINT")


def _check(url: str, path: Path) -> None:
    with path.open() as file:
        expected = sum(1 for _ in file) - 1
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT count(*) FROM items").fetchone()
    if found != (expected,):
        raise SystemExit(f"{found} rows were loaded, of {expected}")
