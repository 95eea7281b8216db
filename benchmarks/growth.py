"""What becomes of the costs as the work grows: rows, pages, requests, lines, resources.

Howdah alone; `python -m benchmarks.growth` writes a table of each.
"""

import argparse
import os
import re
import subprocess
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from statistics import median

from benchmarks.actions import ACTIONS, Action
from benchmarks.contender import CONTENDERS
from benchmarks.driving import Measured, drive
from benchmarks.loads import write_file
from benchmarks.postgres import database, fill, serving
from benchmarks.starting import RESOURCES, starts
from howdah.embedded import EmbeddedPostgres

OUT = Path("build/bench")
HOWDAH = next(each for each in CONTENDERS if each.name == "howdah")
_GET, _LIST, _CREATE = (
    next(action for action in ACTIONS if action.name == name)
    for name in ("get", "list", "create")
)


def main() -> None:
    """Measure, and write the tables."""
    options = _options()
    OUT.mkdir(parents=True, exist_ok=True)
    with serving(OUT / "postgres") as server:
        text = "\n".join(_PARTS[name](server, options) for name in options.parts)
    (OUT / "growth.md").write_text(text, encoding="utf-8")
    print(text)


def _filled(server: EmbeddedPostgres, rows: int) -> str:
    url = database(server, f"bench_{rows}")
    fill(url, rows, searched=False)
    return url


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.growth", description=__doc__
    )
    names = list(_PARTS)
    parser.add_argument("--parts", nargs="+", default=names, choices=names)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--powers", type=int, default=7, help="up to 10^7 rows")
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--lines", type=int, default=1_000_000)
    return parser.parse_args()


def _by_rows(server: EmbeddedPostgres, options: argparse.Namespace) -> str:
    postmaster = server.pid or 0
    sizes = (10**power for power in range(3, options.powers + 1))
    urls = {rows: _filled(server, rows) for rows in sizes}
    found: dict[tuple[int, str], list[Measured]] = defaultdict(list)
    for _ in range(options.rounds):
        for rows, url in urls.items():
            with HOWDAH.serving(url) as process:
                for each in (_GET, _LIST, _CREATE):
                    action = replace(each, rows=rows)
                    _ask(action, process, postmaster, 1)
                    measured = _ask(action, process, postmaster, options.seconds)
                    found[rows, action.name].append(measured)
    lines = ["| rows | get p50 ms | list of 100 p50 ms | create p50 ms |", _RULE[4]]
    for rows in urls:
        cells = [
            f"{median(r.p50 for r in found[rows, action.name]):.2f}"
            for action in (_GET, _LIST, _CREATE)
        ]
        lines.append(f"| {rows:,} | {' | '.join(cells)} |")
    return _part("As the table grows", lines)


def _by_pages(server: EmbeddedPostgres, options: argparse.Namespace) -> str:
    postmaster = server.pid or 0
    found: dict[int, list[Measured]] = defaultdict(list)
    with HOWDAH.serving(_filled(server, 10**5)) as process:
        for _ in range(options.rounds):
            for limit in (1, 10, 100, 1000):
                page = replace(_LIST, path=f"/items/?limit={limit}")
                found[limit].append(_ask(page, process, postmaster, options.seconds))
    lines = ["| rows of a page | requests/s | server us | PostgreSQL us |", _RULE[4]]
    for limit, rounds in found.items():
        cells = (
            f"{median(r.rate for r in rounds):,.0f}",
            f"{median(r.server for r in rounds):.0f}",
            f"{median(r.postgres for r in rounds):.0f}",
        )
        lines.append(f"| {limit:,} | {' | '.join(cells)} |")
    return _part("As the page grows", lines)


def _by_requests(server: EmbeddedPostgres, options: argparse.Namespace) -> str:
    postmaster, requests = server.pid or 0, options.requests
    lines = ["| requests | memory of the server, MB |", _RULE[2]]
    with HOWDAH.serving(_filled(server, 10**5)) as process:
        _ask(_GET, process, postmaster, 2)
        done, shown = 0, 0
        while done <= requests:
            if done >= shown:
                lines.append(f"| {done:,} | {_memory(process):.1f} |")
                shown += requests // 5
            measured = _ask(_GET, process, postmaster, 10)
            done += round(measured.rate * 10)
    return _part("As requests go by", lines)


def _by_lines(server: EmbeddedPostgres, options: argparse.Namespace) -> str:
    """Load files of three sizes, each in a process of its own."""
    url = database(server, "bench_loaded")
    rows = ["| lines of the file | most memory, MB |", _RULE[2]]
    for size in (options.lines // 10, options.lines // 3, options.lines):
        path = OUT / f"rows{size}.csv"
        write_file(path, size)
        ran = subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-c", _LOAD, url, str(path)],
            check=True,
            capture_output=True,
            text=True,
        )
        rows.append(f"| {size:,} | {float(ran.stdout):.1f} |")
        path.unlink()
    return _part("As a file grows", rows)


_LOAD = r"""
import asyncio, re, sys
from pathlib import Path
from benchmarks.loads import by_howdah
asyncio.run(by_howdah(sys.argv[1], Path(sys.argv[2])))
# Of this process alone: getrusage would count what its parent was before.
status = Path("/proc/self/status").read_text()
print(int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024)
"""


def _by_resources(server: EmbeddedPostgres, options: argparse.Namespace) -> str:
    lines = ["| a process | seconds | of the processor |", _RULE[3]]
    url = database(server, "bench_started")
    lines += starts(OUT / "starting", url, options.rounds)
    return _part(f"As a project grows: to the first answer of {RESOURCES}", lines)


def _ask(action: Action, process: int, postmaster: int, seconds: int) -> Measured:
    return drive(
        action, HOWDAH.name, server=process, postmaster=postmaster, seconds=seconds
    )


def _memory(process: int) -> float:
    status = Path(f"/proc/{process}/status").read_text()
    found = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) / 1024 if found else float("nan")


_PARTS = {
    "rows": _by_rows,
    "pages": _by_pages,
    "requests": _by_requests,
    "lines": _by_lines,
    "resources": _by_resources,
}
_RULE = {2: "|---|---|", 3: "|---|---|---|", 4: "|---|---|---|---|"}


def _part(title: str, lines: list[str]) -> str:
    heading = f"### {title}\n\n{os.cpu_count()} cores.\n\n"
    return heading + "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
