"""How long a project of many resources takes to its first answer, and on what.

Each start is a process of its own, run from byte code as an installed package is.
Beside it: the same libraries imported and nothing else, and the same models mapped as
well, which an app needs whoever serves it.
"""

import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median

import httpx

from benchmarks.contender import ADDRESS, PORT
from benchmarks.driving import used

__all__ = ("RESOURCES", "starts")

RESOURCES = 50
_LIBRARIES = "import fastapi, sqlalchemy, sqlmodel, asyncpg, uvicorn, uvloop, httptools"
_MAPPED = "import models, sqlalchemy.orm; sqlalchemy.orm.configure_mappers()"
_TABLES = """
import models
from howdah import Database
with Database().sync_session() as session:
    models.SQLModel.metadata.create_all(session.connection())
"""


def starts(folder: Path, database_url: str, rounds: int) -> list[str]:
    """Return the rows of a table: wall and processor time of each way to start."""
    write_project(folder)
    environment = _environment(folder, database_url)
    _alone(_TABLES, environment)
    ways: Mapping[str, Callable[[], tuple[float, float]]] = {
        "the libraries imported": lambda: _alone(_LIBRARIES, environment),
        f"and {RESOURCES} models mapped": lambda: _alone(
            f"{_LIBRARIES}; {_MAPPED}", environment
        ),
        f"`howdah serve`, {RESOURCES} resources": lambda: _served(environment),
    }
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for number in range(rounds + 1):
        for name, start in ways.items():
            measured = start()
            # The first round writes the byte code.
            if number:
                found[name].append(measured)
    return [_row(name, rounds) for name, rounds in found.items()]


def _row(name: str, rounds: Sequence[tuple[float, float]]) -> str:
    wall, cpu = (median(each) for each in zip(*rounds, strict=True))
    return f"| {name} | {wall:.2f} | {cpu:.2f} |"


def write_project(folder: Path) -> None:
    """Write an app of resources with relations, filters, search and soft delete."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers = range(RESOURCES)
    models = (
        _MODEL.format(n=n, up=_UP.format(up=n - 1) if n % 5 else "") for n in numbers
    )
    shown = (
        _RESOURCE.format(n=n, shown=_SHOWN.format(up=n - 1) if n % 5 else "")
        for n in numbers
    )
    (folder / "models.py").write_text("".join((_MODELS, *models)))
    (folder / "resources.py").write_text("".join((_APP, *shown)))


def _environment(folder: Path, database_url: str) -> dict[str, str]:
    environment = {
        **os.environ,
        "DATABASE_URL": database_url,
        "PYTHONPYCACHEPREFIX": str((folder / "bytecode").absolute()),
        "PYTHONPATH": os.pathsep.join(
            (str(folder.absolute()), *(path for path in sys.path if path))
        ),
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment


def _alone(code: str, environment: Mapping[str, str]) -> tuple[float, float]:
    """Run some code; return the seconds that it took, and those of the processor."""
    timed = f"{code}\nimport time; print(time.process_time())"
    begun = time.perf_counter()
    ran = subprocess.run(  # noqa: S603 - our own text
        [sys.executable, "-c", timed],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return time.perf_counter() - begun, float(ran.stdout)


def _served(environment: Mapping[str, str]) -> tuple[float, float]:
    """Serve until the first answer; return its seconds, and those of the processor."""
    begun = time.perf_counter()
    process = subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-m", "howdah", "serve", "resources:app", "--port", str(PORT)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for_answer(process)
        return time.perf_counter() - begun, used({process.pid})
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait_for_answer(process: "subprocess.Popen[bytes]") -> None:
    with httpx.Client() as client:
        while process.poll() is None:
            try:
                client.get(f"{ADDRESS}/m7/?limit=1")
            except httpx.TransportError:
                time.sleep(0.01)
            else:
                return
    raise SystemExit(f"{process.args!r} ended with {process.returncode}")


_MODELS = """from datetime import datetime

from sqlmodel import Field, Relationship, SQLModel
"""
_MODEL = """

class M{n}(SQLModel, table=True):
    __tablename__ = "starting_{n}"

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(max_length=100, index=True)
    description: str | None = None
    price: float = 0
    quantity: int = 0
    is_active: bool = True
    created_at: datetime = Field(default_factory=datetime.now)
{up}"""
_UP = """    parent_id: int | None = Field(default=None, foreign_key="starting_{up}.id")
    parent: "M{up}" = Relationship()
"""
_APP = """import models
from fastapi import FastAPI

from howdah import Database, Resource, connect

db = Database()
app = FastAPI()
connect(app, db)
"""
_RESOURCE = """

class R{n}(Resource[models.M{n}]):
    filters = ("name", "price", "quantity", "created_at")
    sort = ("id", "name", "price")
    search = ("name", "description")
    soft_delete = "is_active"
{shown}

app.include_router(R{n}(db).router(prefix="/m{n}", tags=["m{n}"]))
"""
_SHOWN = """    include = {{"parent": R{up}}}
"""
