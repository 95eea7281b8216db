"""The command that serves an app where others depend on it: workers, no reload.

The servers are uvicorn's and Granian's own; here is what they are told, and how the
connections are shared.
"""

import gc
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any

import typer

from howdah.cli.project import (
    app_name,
    database,
    is_on_mongodb,
    refuse_taken,
    stopped_by,
)
from howdah.errors import Misconfigured
from howdah.serving import APP, PROXIES, app_behind_proxies, find_app
from howdah.serving import app as worker_app

if TYPE_CHECKING:
    from howdah.database import Database

__all__ = ("serve",)


def serve(
    app: Annotated[
        str | None,
        typer.Argument(help="As in: src.main:app; the project's if not said."),
    ] = None,
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(envvar="PORT", min=1, max=65535, help="Port to listen on.")
    ] = 8000,
    workers: Annotated[
        int,
        typer.Option(
            envvar="WEB_CONCURRENCY", min=1, help="Processes; they share connections."
        ),
    ] = 1,
    server: Annotated[str, typer.Option(help="uvicorn or granian.")] = "uvicorn",
    grace: Annotated[
        int,
        typer.Option(
            min=1, metavar="SECONDS", help="Seconds for requests under way at the end."
        ),
    ] = 25,
    access_log: Annotated[
        bool, typer.Option("--access-log", help="Log every request.")
    ] = False,
    forwarded_allow_ips: Annotated[
        str,
        typer.Option(
            envvar="FORWARDED_ALLOW_IPS",
            help="Proxies whose X-Forwarded-For and -Proto are believed.",
        ),
    ] = "127.0.0.1",
) -> None:
    """Serve an app in production: several workers, no reload.

    The budget of connections (DB_POOL_SIZE + DB_MAX_OVERFLOW) is divided by the
    workers. Migrate before. SIGTERM and Ctrl-C let requests under way finish.
    """
    run, name = _server(server)
    refuse_taken(host, port)
    with stopped_by(signal.SIGTERM, signal.SIGINT):
        gc.disable()
        app = app or app_name()
        databases = _databases(find_app(app))
        shares = [_share(db, workers) for db in databases]
        os.environ |= {APP: app, "HOWDAH_WORKERS": str(workers)}
        os.environ[PROXIES] = forwarded_allow_ips
        typer.echo(f"{app} on http://{_place(host, port)}, {name}")
        for line in shares:
            typer.echo(line)
        way = _Way(
            host=host, port=port, workers=workers, grace=grace, access_log=access_log
        )
        brings_one = is_on_mongodb() or any(db.embedded for db in databases)
        with database() if brings_one else nullcontext():
            _run(run, way)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """How to serve."""

    host: str
    port: int
    workers: int
    grace: int
    access_log: bool


_Run = Callable[[_Way], None]


def _server(name: str) -> tuple[_Run, str]:
    """Return what runs the server, and what a person should know of it."""
    if name == "uvicorn":
        loop = "uvloop" if find_spec("uvloop") else "asyncio"
        http = "httptools" if find_spec("httptools") else "h11"
        parts = f"{loop}, {http}"
        if parts != "uvloop, httptools":
            parts += "; faster with pip install 'howdah[cli]'"
        run = partial(_run_uvicorn, loop=loop, http=http)
        return run, f"uvicorn {metadata.version('uvicorn')} ({parts})"
    if name != "granian":
        raise Misconfigured(f"there is no server {name!r}; say uvicorn or granian")
    if not find_spec("granian"):
        raise Misconfigured(
            "Granian is not installed: pip install 'howdah[granian]', or leave "
            "--server out"
        )
    return _run_granian, f"granian {metadata.version('granian')}"


def _databases(app: Any) -> "tuple[Database, ...]":
    """Return the Databases that are connected with the app."""
    from howdah.web import databases

    return databases(app)


def _share(db: "Database", workers: int) -> str:
    """Say how the connections are divided; raises where there are too few."""
    where = "embedded PostgreSQL" if db.embedded else str(db.url)
    whole = db.pool.total
    if db.dialect != "postgresql":
        return f"{_counted(workers)}, rows in {where}"
    if workers == 1:
        return f"1 worker, {whole} connections to {where}"
    each = db.pool.shared(workers).total
    return f"{_counted(workers)}, {each} connections each (of {whole}) to {where}"


def _counted(workers: int) -> str:
    return "1 worker" if workers == 1 else f"{workers} workers"


def _run(run: _Run, way: _Way) -> None:
    """Serve until somebody ends it; raises Exit with 1 where it ends by itself."""
    with _signals() as heard:
        try:
            run(way)
        except SystemExit as exc:
            raise typer.Exit(1 if exc.code else 0) from None
        if not heard():
            raise typer.Exit(1)


@contextmanager
def _signals() -> Iterator[Callable[[], bytes]]:
    """Tell which signals have come, whoever has taken over to handle them."""
    # A server with workers of its own replaces handlers, and returns in the same way
    # whether it was stopped or no worker could start.
    ours, pythons = socket.socketpair()
    with ours, pythons:
        for end in (ours, pythons):
            end.setblocking(False)
        before = signal.set_wakeup_fd(pythons.fileno(), warn_on_full_buffer=False)
        try:
            yield partial(_received, ours)
        finally:
            signal.set_wakeup_fd(before)


def _received(end: socket.socket) -> bytes:
    try:
        return end.recv(4096)
    except BlockingIOError:
        return b""


def _run_uvicorn(way: _Way, *, loop: str, http: str) -> None:
    import uvicorn

    uvicorn.run(
        f"{worker_app.__module__}:{worker_app.__name__}",
        factory=True,
        interface="asgi3",
        host=way.host,
        port=way.port,
        workers=way.workers,
        loop=loop,
        http=http,
        access_log=way.access_log,
        log_config=_logging("uvicorn"),
        server_header=False,
        timeout_graceful_shutdown=way.grace,
    )


def _run_granian(way: _Way) -> None:
    import multiprocessing

    from granian.constants import Interfaces
    from granian.server import Server

    # A fork would have the app as it was imported here, with the undivided budget.
    multiprocessing.set_start_method("spawn", force=True)
    Server(
        "",
        address=way.host,
        port=way.port,
        workers=way.workers,
        interface=Interfaces.ASGI,
        log_access=way.access_log,
        log_dictconfig=_logging("_granian", "granian.access"),
        respawn_failed_workers=True,
        workers_kill_timeout=way.grace,
    ).serve(target_loader=app_behind_proxies, wrap_loader=False)


def _logging(*servers: str) -> dict[str, Any]:
    """Return how the server logs, and Howdah where the app has no wish of its own."""
    plain = {"handlers": ["stderr"], "level": "INFO", "propagate": False}
    loggers = dict.fromkeys(servers, plain)
    if not logging.getLogger().handlers:
        loggers["howdah"] = plain
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"format": _LINE}},
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": "line"},
        },
        "loggers": loggers,
    }


_LINE = "%(asctime)s %(levelname)s [%(process)d] %(name)s: %(message)s"


def _place(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
