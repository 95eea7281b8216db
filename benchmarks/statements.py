"""Ways to write one statement: how PostgreSQL makes a list's JSON, and takes a batch.

Asked in turn over one connection, prepared; `python -m benchmarks.statements`. What a
batch inserts is taken back, so that all ways meet the same table.
"""

import argparse
import asyncio
import json
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from pathlib import Path
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
_TYPES = "name text, price numeric, tax numeric"
_TYPED = "name text, price numeric(12, 2), tax numeric(12, 2)"
_TEXT = json.dumps(_BATCH)
_SHOWN = f"RETURNING row_to_json((SELECT r FROM (SELECT {_NAMES}) r))::text AS j"
_MADE = "SELECT '[' || string_agg(j, ',') || ']' FROM made"
_UNNEST = (
    "WITH made AS (INSERT INTO items (name, price, tax) SELECT * FROM "
    f"unnest($1::text[], $2::numeric[], $3::numeric[]) {_SHOWN}) {_MADE}"
)
_INSERT = "WITH made AS (INSERT INTO items (name, price, tax) SELECT"
_FROM_TEXT = f"{_INSERT} * FROM json_to_recordset($1) AS r({_TYPES})"
_ROWS = f"RETURNING {_NAMES})"
_AT_ONCE = "SELECT array_to_json(array_agg(made))::text FROM made"
_TEXTS: Mapping[str, str] = {
    "string_agg of texts": f"{_FROM_TEXT} {_SHOWN}) {_MADE}",
    "string_agg(row_to_json)": (
        f"{_FROM_TEXT} {_ROWS} SELECT '[' || string_agg(row_to_json(made)::text, ',') "
        "|| ']' FROM made"
    ),
    "json_agg(row)": f"{_FROM_TEXT} {_ROWS} SELECT json_agg(made)::text FROM made",
    "array_to_json(array_agg)": f"{_FROM_TEXT} {_ROWS} {_AT_ONCE}",
    "array_to_json(array_agg), in their order": (
        f"{_INSERT} name, price, tax FROM ROWS FROM (json_to_recordset($1) AS "
        f"({_TYPED})) WITH ORDINALITY AS r(name, price, tax, place) ORDER BY place "
        f"{_ROWS} {_AT_ONCE}"
    ),
    "jsonb_to_recordset, the same": (
        f"{_INSERT} * FROM jsonb_to_recordset($1) AS r({_TYPES}) {_ROWS} {_AT_ONCE}"
    ),
    "json_populate_recordset, the same": (
        f"{_INSERT} name, price, tax FROM json_populate_recordset(NULL::items, $1) "
        f"{_ROWS} {_AT_ONCE}"
    ),
    "json_array_elements, the same": (
        f"{_INSERT} j ->> 'name', (j ->> 'price')::numeric, (j ->> 'tax')::numeric "
        f"FROM json_array_elements($1) AS j {_ROWS} {_AT_ONCE}"
    ),
}


async def _by_unnest(connection: asyncpg.Connection) -> None:
    columns = (
        [row["name"] for row in _BATCH],
        [Decimal(str(row["price"])) for row in _BATCH],
        [Decimal(str(row["tax"])) for row in _BATCH],
    )
    await connection.fetchval(_UNNEST, *columns)


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
        **{
            name: lambda connection, text=text: connection.fetchval(text, _TEXT)
            for name, text in _TEXTS.items()
        },
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
        first = median(busy for _, busy in next(iter(times.values())))
        lines += [
            f"| {title} | ms | PostgreSQL ms | of the first |",
            "|---|---|---|---|",
        ]
        for name, found in times.items():
            took, busy = (median(each) * 1e3 for each in zip(*found, strict=True))
            of_first = busy / first / 1e3
            lines.append(f"| {name} | {took:.3f} | {busy:.3f} | {of_first:.2f} |")
        lines.append("")
    await connection.close()
    return "\n".join(lines)


async def _times(
    connection: asyncpg.Connection, ways: Mapping[str, Way], rounds: int
) -> dict[str, list[tuple[float, float]]]:
    """Return how long each way took, and how long PostgreSQL was busy with it."""
    process = connection.get_server_pid()
    times: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for _ in range(rounds):
        for name, way in ways.items():
            transaction = connection.transaction()
            await transaction.start()
            began, before = perf_counter(), _busy(process)
            await way(connection)
            times[name].append((perf_counter() - began, _busy(process) - before))
            await transaction.rollback()
    return times


def _busy(process: int) -> float:
    """Return the seconds that a process has run, finer than its ticks tell."""
    # https://docs.kernel.org/scheduler/sched-stats.html
    spent = Path(f"/proc/{process}/schedstat").read_text()
    return int(spent.split()[0]) / 1e9


if __name__ == "__main__":
    main()
