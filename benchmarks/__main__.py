"""The run: PostgreSQL, rows, then all contenders in turn, round by round."""

import argparse
import json
import platform
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg

from benchmarks.actions import ACTIONS, ROWS, Action
from benchmarks.answers import answers, asked_of
from benchmarks.contender import ADDRESS, CONTENDERS, Contender
from benchmarks.driving import drive
from benchmarks.report import picture, table
from benchmarks.tables import FILL, INDEXES, SQL
from benchmarks.trips import counting
from howdah.embedded import EmbeddedPostgres

OUT = Path("build/bench")


def main() -> None:
    """Measure, and write tables, picture and raw figures."""
    options = _options()
    contenders = _installed(options.only)
    names = set(options.actions)
    OUT.mkdir(parents=True, exist_ok=True)
    with _database() as (url, postmaster):
        trips = _compared(contenders, names, url)
        results = defaultdict(list)
        for number in range(options.rounds):
            for contender in contenders:
                # A database as it was: writes of one must not slow another.
                _fill(url)
                with contender.serving(url) as process:
                    for action in asked_of(contender, names):
                        _say(f"round {number + 1}: {contender.name}: {action.name}")
                        ask = partial(
                            drive,
                            action,
                            contender.name,
                            server=process,
                            postmaster=postmaster,
                        )
                        ask(seconds=action.slow)
                        measured = ask(seconds=options.seconds * action.slow)
                        results[action.name, contender.name].append(measured)
    actions = [action for action in ACTIONS if action.name in names]
    _write(results, trips, contenders, actions, options.rounds)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = [action.name for action in ACTIONS]
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--actions", nargs="+", default=names, choices=names)
    every = [contender.name for contender in CONTENDERS]
    parser.add_argument("--only", nargs="+", default=every, choices=every)
    return parser.parse_args()


def _installed(names: Sequence[str]) -> list[Contender]:
    chosen = [contender for contender in CONTENDERS if contender.name in names]
    for contender in chosen:
        if contender.missing:
            _say(f"without {contender.title}: {contender.missing} is not installed")
    return [contender for contender in chosen if not contender.missing]


@contextmanager
def _database() -> Iterator[tuple[str, int]]:
    """Start the embedded server with its durable settings; give URL and process."""
    with EmbeddedPostgres(OUT / "postgres", port=0) as server:
        server.drop_database("bench")
        server.create_database("bench")
        url = server.url("bench")
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in _statements(SQL):
                connection.execute(statement)
        _fill(url)
        yield url, server.pid or 0


def _fill(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("TRUNCATE items RESTART IDENTITY")
        connection.execute("DROP INDEX IF EXISTS items_price, items_words")
        for statement in _statements(FILL.format(rows=ROWS) + INDEXES):
            connection.execute(statement)


def _statements(text: str) -> list[str]:
    return [statement for statement in text.split(";") if statement.strip()]


def _compared(
    contenders: Sequence[Contender], names: set[str], url: str
) -> dict[tuple[str, str], float]:
    """Refuse to time what answers differently; count round trips on the way."""
    expected: dict[str, object] = {}
    trips: dict[tuple[str, str], float] = {}
    place = urlsplit(url)
    with counting(place.hostname or "", place.port or 5432) as counter:
        relayed = url.replace(f":{place.port}/", f":{counter.port}/")
        for contender in contenders:
            _fill(url)
            with contender.serving(relayed):
                actions = asked_of(contender, names)
                for name, answer in answers(contender, actions).items():
                    if expected.setdefault(name, answer) != answer:
                        raise SystemExit(f"{contender.name} answers {name} otherwise")
                for action in actions:
                    count = _count(contender, action, counter)
                    trips[action.name, contender.name] = count
    _say(f"{len(contenders)} contenders give equal answers")
    return trips


def _count(contender: Contender, action: Action, counter) -> float:
    """Return the round trips of one request, once every statement is prepared."""
    path = action.example(contender.name)
    with httpx.Client(base_url=ADDRESS) as client:
        for _ in range(5):
            client.request(action.method, path, json=action.body)
        before = counter.trips
        for _ in range(4):
            client.request(action.method, path, json=action.body)
    return (counter.trips - before) / 4


def _write(results, trips, contenders, actions, rounds: int) -> None:
    raw = {
        f"{action}/{name}": [asdict(each) for each in rounds]
        for (action, name), rounds in results.items()
    }
    (OUT / "rounds.json").write_text(json.dumps(raw, indent=1))
    heading = (
        f"{ROWS:,} rows, 32 connections (4 for batches), one worker each, medians of "
        f"{rounds} interleaved rounds; Python {platform.python_version()}.\n\n"
    )
    text = heading + table(results, trips, contenders, actions)
    (OUT / "table.md").write_text(text, encoding="utf-8")
    (OUT / "speed.svg").write_text(picture(results, contenders, actions))
    print(text)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
