"""The project of this folder: its app, its database, its door.

Knows no command.
"""

import os
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn, cast

import typer

from howdah.errors import Misconfigured
from howdah.serving import find_app

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = (
    "MIGRATIONS",
    "app_name",
    "database",
    "is_on_mongodb",
    "load_app",
    "names_app",
    "refuse_taken",
    "stopped_by",
    "wants_embedded",
)


def app_name() -> str:
    """Return where the app is: `[tool.howdah] app` in pyproject.toml, or src.main."""
    return _said("app") or "src.main:app"


def names_app() -> bool:
    """Say whether this folder has a pyproject.toml that names an app."""
    return _said("app") is not None


def is_on_mongodb() -> bool:
    """Say whether this folder's project has `database = "mongodb"` beside its app."""
    said = _said("database")
    if said not in {None, "mongodb", "postgresql"}:
        raise Misconfigured(
            f"[tool.howdah] database is {said!r} in pyproject.toml; say mongodb or "
            "postgresql, or leave it out for what DATABASE_URL and the app lead to"
        )
    return said == "mongodb"


def _said(name: str) -> str | None:
    """Return what pyproject.toml says to us."""
    with suppress(FileNotFoundError), Path("pyproject.toml").open("rb") as file:
        tools = tomllib.load(file).get("tool", {})
        value = tools.get("howdah", {}).get(name)
        return None if value is None else str(value)
    return None


def load_app() -> "FastAPI":
    """Import the project's app from this folder."""
    return cast("FastAPI", find_app(app_name()))


@contextmanager
def database() -> Iterator[None]:
    """See to it that the project's address leads somewhere, for us and our children.

    That is DATABASE_URL, or MONGODB_URL for a project on MongoDB.
    """
    with _mongodb() if is_on_mongodb() else _postgresql():
        yield


@contextmanager
def _postgresql() -> Iterator[None]:
    from howdah.settings import Settings

    if Settings().url is not None or not wants_embedded():
        yield
        return
    from howdah.embedded import EmbeddedPostgres

    with EmbeddedPostgres() as server:
        os.environ["DATABASE_URL"] = server.url()
        yield


def wants_embedded() -> bool:
    """Say whether the app leads to the embedded PostgreSQL, and not elsewhere.

    The app is asked in a process of its own: here it would be imported without an
    address, and stay so. One that cannot be imported may lack just that.
    """
    if _said("database") is not None or Path(MIGRATIONS).is_file():
        return True
    asked = [sys.executable, "-c", _ASK, app_name()]
    done = subprocess.run(asked, capture_output=True, check=False)  # noqa: S603 - ours, no shell
    return done.returncode != _NO


MIGRATIONS = "alembic.ini"
_NO = 3
_ASK = f"""
import sys
from howdah.serving import find_app
from howdah.web import databases
app = find_app(sys.argv[1])
sys.exit(0 if any(db.embedded for db in databases(app)) else {_NO})
"""


@contextmanager
def _mongodb() -> Iterator[None]:
    from howdah.settings import Settings

    if Settings().mongodb_url is not None:
        yield
        return
    from howdah.documents import DevelopmentServer

    with DevelopmentServer() as url:
        os.environ["MONGODB_URL"] = url
        yield


def refuse_taken(host: str, port: int) -> None:
    """Raise Misconfigured if nobody can listen there."""
    try:
        family, kind, *_, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        )[0]
        with socket.socket(family, kind) as probe:
            # As uvicorn does, or a port that was just left would seem taken.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as exc:
        raise Misconfigured(
            f"cannot listen on port {port} of {host}: {exc.strerror}; choose another "
            "with --port, --host or PORT"
        ) from exc


@contextmanager
def stopped_by(*signals: signal.Signals) -> Iterator[None]:
    """Leave the block in good order when asked to end."""

    def stop(_number: int, _frame: FrameType | None) -> NoReturn:
        raise typer.Exit

    before = {number: signal.signal(number, stop) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
