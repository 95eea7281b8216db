"""Ways to write one statement: how PostgreSQL makes a list's JSON, and takes a batch.

Asked in turn over one connection, prepared; `python -m benchmarks.statements`.
"""

import argparse
import asyncio
import json
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from statistics import median
from time import perf_counter
from typing import Any

import asyncpg

from benchmarks.__main__ import OUT
from benchmarks.actions import ROWS
from benchmarks.postgres import database, fill, serving

_NAMES = "id, name, description, price, tax, is_active, created_at, updated_at"
_PAIRS = ", ".join(f"'{name}', {name}" for name in _NAMES.split(", "))
_PAGE = f"SELECT {_NAMES} FROM items WHERE is_active ORDER BY id LIMIT 100"
_LISTS: Mapping[str, str] = {
    "string_agg(row_to_json)": (
        f"SELECT '[' || string_agg(row_to_json(r)::text, ',') || ']' FROM ({_PAGE}) r"
    ),
    "json_agg(row)": f"SELECT json_agg(r)::text FROM ({_PAGE}) r",
    "json_agg(json_build_object)": (
        f"SELECT json_agg(json_build_object({_PAIRS}))::text FROM ({_PAGE}) r"
    ),
    "jsonb_agg(row)": f"SELECT jsonb_agg(r)::text FROM ({_PAGE}) r",
}
_BATCH = [{"name": f"Song {n}", "price": 12.5, "tax": 1.25} for n in range(1000)]
_SHOWN = f"RETURNING row_to_json((SELECT r FROM (SELECT {_NAMES}) r))::text AS j"
_MADE = "SELECT '[' || string_agg(j, ',') || ']' FROM made"
_UNNEST = (
    "WITH made AS (INSERT INTO items (name, price, tax) SELECT * FROM "
    f"unnest($1::text[], $2::numeric[], $3::numeric[]) {_SHOWN}) {_MADE}"
)
_RECORDSET = (
    "WITH made AS (INSERT INTO items (name, price, tax) SELECT * FROM json_to_recordset"
    f"($1) AS r(name text, price numeric, tax numeric) {_SHOWN}) {_MADE}"
)


async def _by_unnest(connection: asyncpg.Connection) -> None:
    columns = (
        [row["name"] for row in _BATCH],
        [Decimal(str(row["price"])) for row in _BATCH],
        [Decimal(str(row["tax"])) for row in _BATCH],
    )
    await connection.fetchval(_UNNEST, *columns)


async def _by_recordset(connection: asyncpg.Connection) -> None:
    await connection.fetchval(_RECORDSET, json.dumps(_BATCH))


async def _by_executemany(connection: asyncpg.Connection) -> None:
    insert = "INSERT INTO items (name, price, tax) VALUES ($1, $2, $3)"
    rows = [(r["name"], r["price"], r["tax"]) for r in _BATCH]
    await connection.executemany(insert, rows)


async def _by_copy(connection: asyncpg.Connection) -> None:
    rows = [tuple(row.values()) for row in _BATCH]
    await connection.copy_records_to_table(
        "items", records=rows, columns=("name", "price", "tax")
    )


Way = Callable[[asyncpg.Connection], Awaitable[Any]]
_WAYS: Mapping[str, Mapping[str, Way]] = {
    "list of 100": {
        name: lambda connection, text=text: connection.fetchval(text)
        for name, text in _LISTS.items()
    },
    "batch of 1,000": {
        "unnest, rows returned": _by_unnest,
        "json_to_recordset, rows returned": _by_recordset,
        "executemany, nothing returned": _by_executemany,
        "COPY, nothing returned": _by_copy,
    },
}


def main() -> None:
    """Ask in turn, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    with serving(OUT / "postgres") as server:
        url = database(server, "bench_statements")
        fill(url, ROWS, searched=False)
        print(asyncio.run(_tables(url, rounds)))


async def _tables(url: str, rounds: int) -> str:
    connection = await asyncpg.connect(url)
    lines = []
    for title, ways in _WAYS.items():
        times = await _times(connection, ways, rounds)
        first = median(next(iter(times.values())))
        lines += [f"| {title} | ms | of the first |", "|---|---|---|"]
        for name, found in times.items():
            middle = median(found)
            lines.append(f"| {name} | {middle * 1e3:.3f} | {middle / first:.2f} |")
        lines.append("")
    await connection.close()
    return "\n".join(lines)


async def _times(
    connection: asyncpg.Connection, ways: Mapping[str, Way], rounds: int
) -> dict[str, list[float]]:
    times: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        for name, way in ways.items():
            began = perf_counter()
            await way(connection)
            times[name].append(perf_counter() - began)
    return times


if __name__ == "__main__":
    main()
