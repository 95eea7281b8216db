"""The command that serves a project while it is worked on."""

import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

import typer

from howdah.cli.project import (
    MIGRATIONS,
    app_name,
    database,
    names_app,
    refuse_taken,
    stopped_by,
)
from howdah.cli.terminal import shown_address
from howdah.errors import Misconfigured

__all__ = ("dev",)


def dev(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(envvar="PORT", min=1, max=65535, help="Port to listen on.")
    ] = 8000,
    run: Annotated[
        str | None,
        typer.Option(metavar="MODULE", help="Run `python -m MODULE` before serving."),
    ] = None,
) -> None:
    """Serve the project of this folder: database, migrations, reload.

    Where no database is configured, PostgreSQL is started in .howdah/postgres, unless
    the app leads elsewhere by itself; for a project on MongoDB, a server in
    .howdah/mongo. What has no alembic.ini has no migrations.
    """
    _refuse_outside_project()
    refuse_taken(host, port)
    with stopped_by(signal.SIGTERM, signal.SIGHUP), database():
        _migrate()
        if run is not None:
            _run_module(run)
        shown = shown_address(host, port)
        typer.echo(f"App:  {shown}\nDocs: {shown}/docs\nStop: Ctrl-C\n")
        code = _serve(host, port)
    raise typer.Exit(code)


def _refuse_outside_project() -> None:
    if not Path(MIGRATIONS).is_file() and not names_app():
        raise Misconfigured(
            f"there is no project in {Path.cwd()}: no {MIGRATIONS}, and no "
            "[tool.howdah] app in pyproject.toml; go to its folder, or make one with "
            "`howdah startdemo fastapi-psql-orm`"
        )


def _migrate() -> None:
    if not Path(MIGRATIONS).is_file():
        return
    from howdah import migrations

    migrations.upgrade(MIGRATIONS)


def _run_module(module: str) -> None:
    """Do as `python -m MODULE` does, here, where all is imported already."""
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    with suppress(SystemExit):
        runpy.run_module(module, run_name="__main__", alter_sys=True)


def _serve(host: str, port: int) -> int:
    """Run uvicorn until it or somebody ends it; return its exit code."""
    environment = {**os.environ, "HOWDAH_DEV": "1"}
    process = subprocess.Popen(_uvicorn(host, port), env=environment)  # noqa: S603 - ours, no shell
    try:
        return process.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        _end(process)


def _uvicorn(host: str, port: int) -> list[str]:
    folder = "src" if Path("src").is_dir() else "."
    return [
        *(sys.executable, "-m", "uvicorn", app_name()),
        *("--host", host, "--port", str(port)),
        *("--reload", "--reload-dir", folder, "--timeout-graceful-shutdown", "3"),
    ]


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the server; from a terminal it has heard of Ctrl-C itself."""
    with _deaf_to_interrupts():
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
