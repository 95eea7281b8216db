"""The run: PostgreSQL, rows, then all contenders in turn, round by round."""

import argparse
import json
import os
import platform
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from benchmarks import alone, loads
from benchmarks.actions import ACTIONS, ROWS, Action
from benchmarks.answers import answers, asked_of
from benchmarks.contender import ADDRESS, CONTENDERS, Contender
from benchmarks.driving import Measured, drive
from benchmarks.postgres import database, fill, serving, without_indexes
from benchmarks.report import picture, table
from benchmarks.trips import Counter, counting

Results = dict[tuple[str, str], list[Measured]]

OUT = Path("build/bench")


def main() -> None:
    """Measure, and write tables, picture and raw figures."""
    options = _options()
    contenders = _installed(options.only)
    names = set(options.actions)
    OUT.mkdir(parents=True, exist_ok=True)
    with serving(OUT / "postgres") as server:
        url, postmaster = database(server, "bench"), server.pid or 0
        trips = _compared(contenders, names, url)
        results: dict[tuple[str, str], list[Measured]] = defaultdict(list)
        for number in range(options.rounds):
            _say(f"round {number + 1} of {options.rounds}")
            for contender in contenders:
                _ask(contender, names, url, postmaster, options.seconds, results)
            _ask_alone(names, url, postmaster, options.seconds, results)
        loads = _loads(url, options) if options.loads else ""
    actions = [action for action in ACTIONS if action.name in names]
    _write(results, trips, contenders, actions, options.rounds, loads)


def _ask(
    contender: Contender,
    names: set[str],
    url: str,
    postmaster: int,
    seconds: int,
    results: Results,
) -> None:
    # A database as it was: writes of one must not slow another.
    fill(url, ROWS)
    with contender.serving(url) as process:
        indexed = True
        for action in asked_of(contender, names):
            if indexed and not action.indexed:
                indexed = without_indexes(url)
            ask = partial(
                drive, action, contender.name, server=process, postmaster=postmaster
            )
            ask(seconds=action.slow)
            measured = ask(seconds=seconds * action.slow)
            results[action.name, contender.name].append(measured)


def _ask_alone(
    names: set[str], url: str, postmaster: int, seconds: int, results: Results
) -> None:
    fill(url, ROWS)
    indexed = True
    for action in ACTIONS:
        if action.name in names:
            if indexed and not action.indexed:
                indexed = without_indexes(url)
            alone.ask(action, url, postmaster=postmaster, seconds=1)
            found = alone.ask(action, url, postmaster=postmaster, seconds=seconds)
            if found is not None:
                results[action.name, alone.NAME].append(found)


def _loads(url: str, options: argparse.Namespace) -> str:
    path = OUT / "rows.csv"
    loads.write_file(path, ROWS)
    return loads.table(loads.measure(url, path, rounds=options.rounds), ROWS)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = [action.name for action in ACTIONS]
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--actions", nargs="+", default=names, choices=names)
    every = [contender.name for contender in CONTENDERS]
    parser.add_argument("--loads", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--only", nargs="+", default=every, choices=every)
    return parser.parse_args()


def _installed(names: Sequence[str]) -> list[Contender]:
    chosen = [contender for contender in CONTENDERS if contender.name in names]
    for contender in chosen:
        if contender.missing:
            _say(f"without {contender.title}: {contender.missing} is not installed")
    return [contender for contender in chosen if not contender.missing]


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
            fill(url, ROWS)
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


def _count(contender: Contender, action: Action, counter: Counter) -> float:
    """Return the round trips of one request, once every statement is prepared."""
    path = action.example(contender.name)
    with httpx.Client(base_url=ADDRESS, headers=action.headers) as client:
        for _ in range(5):
            client.request(action.method, path, json=action.body)
        before = counter.trips
        for _ in range(4):
            client.request(action.method, path, json=action.body)
    return (counter.trips - before) / 4


def _write(
    results: Results,
    trips: Mapping[tuple[str, str], float],
    contenders: Sequence[Contender],
    actions: Sequence[Action],
    rounds: int,
    loaded: str,
) -> None:
    raw = {
        f"{action}/{name}": [asdict(each) for each in rounds]
        for (action, name), rounds in results.items()
    }
    (OUT / "rounds.json").write_text(json.dumps(raw, indent=1))
    heading = (
        f"{ROWS:,} rows, 32 connections (4 for batches), one worker each, medians of "
        f"{rounds} interleaved rounds; Python {platform.python_version()}, "
        f"{os.cpu_count()} cores.\n\n"
    )
    titles = {c.name: c.title for c in contenders} | {alone.NAME: alone.TITLE}
    text = heading + table(results, trips, titles, actions) + loaded
    (OUT / "table.md").write_text(text, encoding="utf-8")
    (OUT / "speed.svg").write_text(picture(results, titles, actions))
    print(text)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
