"""One measurement: wrk on loopback, and who used the processors meanwhile."""

import json
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.actions import Action
from benchmarks.contender import ADDRESS

__all__ = ("Measured", "drive", "postgres_processes", "used")

_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one round of one action gave; times in ms, processor time in us."""

    rate: float
    p50: float
    p99: float
    server: float
    postgres: float
    bad: int


def drive(
    action: Action, contender: str, *, server: int, postmaster: int, seconds: int
) -> Measured:
    """Ask for some seconds; count the processor time of server and database."""
    before = used({server}), used(postgres_processes(postmaster))
    result = _wrk(action, contender, seconds)
    after = used({server}), used(postgres_processes(postmaster))
    requests = max(1, result["requests"])
    return Measured(
        rate=result["requests"] / result["seconds"],
        p50=result["p50"],
        p99=result["p99"],
        server=(after[0] - before[0]) / requests * 1e6,
        postgres=max(0.0, after[1] - before[1]) / requests * 1e6,
        bad=int(result["bad"]),
    )


def postgres_processes(postmaster: int) -> set[int]:
    """Return the server's processes, those of its connections included."""
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text()
    return {postmaster, *(int(child) for child in children.split())}


def _wrk(action: Action, contender: str, seconds: int) -> dict[str, float]:
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(action.script(contender))
        file.flush()
        command = ["wrk", "-t1", f"-c{action.connections}", f"-d{seconds}s"]
        ran = subprocess.run(  # noqa: S603 - our own command
            [*command, "-s", file.name, ADDRESS],
            capture_output=True,
            text=True,
            check=True,
        )
    found = re.search(r"^result (.*)$", ran.stdout, re.MULTILINE)
    if found is None:
        raise SystemExit(f"wrk said no result:\n{ran.stdout}{ran.stderr}")
    result: dict[str, float] = json.loads(found[1])
    return result


def used(processes: set[int]) -> float:
    """Return the seconds that these processes and their dead children have used."""
    return sum(_seconds(process) for process in processes)


def _seconds(process: int) -> float:
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    # utime, stime and those of children: https://man7.org/linux/man-pages/man5/proc.5
    return sum(int(ticks) for ticks in fields[11:15]) / _TICK
