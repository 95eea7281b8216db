"""The skin: a command parses, calls public functions, prints.

What is slow to import is imported by the command that needs it.
"""

import asyncio
import gc
import importlib
import os
import runpy
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib import metadata
from io import TextIOWrapper
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, NoReturn, cast, get_args

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from howdah.errors import Invalid, Misconfigured, NotFound
from howdah.scaffold import (
    Answers,
    PackageManager,
    check_answer,
    dependencies,
    find_template,
    install,
    refuse_used,
    render,
    write,
)

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.routing import BaseRoute

    from howdah.database import Database
    from howdah.load import Format, Progress, Report
    from howdah.resource import Resource

__all__ = ("app",)

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - Typer calls it so
    if wanted:
        typer.echo(f"howdah {metadata.version('howdah')}")
        raise typer.Exit


@app.callback()
def howdah(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print the version.",
        ),
    ] = False,
) -> None:
    """PostgreSQL tables behind FastAPI: begin a project, serve it, fill it."""


@app.command()
def startdemo(  # noqa: PLR0913 - every question is an option too
    template: Annotated[str, typer.Argument(help="As in: fastapi-psql-orm.")],
    *,
    name: Annotated[str | None, typer.Option(help="Name of the project.")] = None,
    author: Annotated[str | None, typer.Option(help="Who writes it.")] = None,
    email: Annotated[str | None, typer.Option(help="The author's address.")] = None,
    description: Annotated[str | None, typer.Option(help="In one line.")] = None,
    package_manager: Annotated[
        str | None, typer.Option(help="pip, uv, pdm or poetry.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="The project's folder; ./NAME by default.")
    ] = None,
    no_install: Annotated[
        bool, typer.Option("--no-install", help="Leave the packages to me.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask whether to proceed.")
    ] = False,
) -> None:
    """Make a project from a template, asking for what no option says."""
    _speak_plainly()
    find_template(template)
    name = _answer("name", name)
    folder = output or Path(name)
    refuse_used(folder)
    answers = Answers(
        name=name,
        author=_answer("author", author),
        email=_answer("email", email),
        description=_answer("description", description),
    )
    typer.echo(f"Deploying FastAPI project using '{template}' template\n")
    _print_tables(answers, dependencies(render(template, answers)))

    manager = package_manager or ("uv" if yes else None)
    chosen = cast("PackageManager", _answer("package_manager", manager))
    if not yes and not _agrees():
        typer.echo("Nothing was made.")
        raise typer.Exit(1)
    write(render(template, replace(answers, package_manager=chosen)), folder)
    if not no_install:
        with Console(stderr=True).status(f"Installing packages with {chosen}"):
            install(folder, chosen)
    typer.echo(
        f"\n✨ FastAPI project '{name}' from '{template}' "
        "has been created successfully!"
    )


@app.command()
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

    Where no database is configured, PostgreSQL is started in .howdah/postgres.
    """
    _refuse_outside_project()
    _refuse_taken(host, port)
    with _stopped_by(signal.SIGTERM, signal.SIGHUP), _database():
        _migrate()
        if run is not None:
            _run_module(run)
        shown = _shown(host, port)
        typer.echo(f"App:  {shown}\nDocs: {shown}/docs\nStop: Ctrl-C\n")
        code = _serve(host, port)
    raise typer.Exit(code)


_PROMPTS = {
    "name": "Enter the project name: ",
    "author": "Enter the author name: ",
    "email": "Enter the author email: ",
    "description": "Enter the project description: ",
    "package_manager": (
        f"Select package manager ({', '.join(get_args(PackageManager))}) [uv]: "
    ),
}
_DEFAULTS = {"package_manager": "uv"}


def _speak_plainly() -> None:
    """Survive a terminal that cannot write what people are called."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    with suppress(ImportError):
        # Gives input() the arrow keys.
        import readline  # noqa: F401


def _answer(question: str, given: str | None) -> str:
    """Return the option, or ask until there is a usable answer."""
    if given is not None:
        check_answer(question, given)
        return given
    while True:
        answer = _ask(_PROMPTS[question], question) or _DEFAULTS.get(question, "")
        try:
            check_answer(question, answer)
        except Invalid as error:
            # Whoever pipes the answers in cannot think again.
            if not sys.stdin.isatty():
                raise
            typer.echo(f"{error.message}.")
        else:
            return answer


def _ask(prompt: str, question: str) -> str:
    try:
        answer = input(prompt)
    except EOFError:
        typer.echo()
        raise Misconfigured(
            f"the input ended at {prompt.strip()!r}; answer it, or pass "
            f"--{question.replace('_', '-')}"
        ) from None
    except KeyboardInterrupt:
        typer.echo("\nAborted.")
        raise typer.Exit(130) from None
    if not sys.stdin.isatty():
        # A terminal shows what was typed; a pipe would leave it out.
        typer.echo(answer)
    return answer.strip()


def _agrees() -> bool:
    answer = _ask("Do you want to proceed with project creation? [y/N]: ", "yes")
    return answer.lower() in {"y", "yes"}


def _print_tables(answers: Answers, packages: tuple[str, ...]) -> None:
    _print_table(
        "           Project Information",
        {
            "Project Name": answers.name,
            "Author": answers.author,
            "Author Email": answers.email,
            "Description": answers.description,
        },
        width=39,
    )
    _print_table(
        "       Template Dependencies",
        {f"Dependency {n}": name for n, name in enumerate(packages, start=1)},
        width=14,
    )


def _print_table(title: str, rows: dict[str, str], *, width: int) -> None:
    table = Table(box=box.SQUARE, show_header=False)
    table.add_column(min_width=12, style="cyan", no_wrap=True)
    table.add_column(min_width=width, overflow="fold")
    for key, value in rows.items():
        table.add_row(key, Text(value))
    typer.echo(title)
    Console(highlight=False).print(table)
    typer.echo()


def _refuse_outside_project() -> None:
    if not Path("alembic.ini").is_file():
        raise Misconfigured(
            f"there is no project in {Path.cwd()} (no alembic.ini); go to its folder, "
            "or make one with `howdah startdemo fastapi-psql-orm`"
        )


def _refuse_taken(host: str, port: int) -> None:
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
def _stopped_by(*signals: signal.Signals) -> Iterator[None]:
    """Leave the block in good order when asked to end."""

    def stop(_number: int, _frame: FrameType | None) -> NoReturn:
        raise typer.Exit

    before = {number: signal.signal(number, stop) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _database() -> Iterator[None]:
    """See to it that DATABASE_URL leads somewhere, for us and our children."""
    from howdah.settings import Settings

    if Settings().url is not None:
        yield
        return
    from howdah.embedded import EmbeddedPostgres

    with EmbeddedPostgres() as server:
        os.environ["DATABASE_URL"] = server.url()
        yield


def _migrate() -> None:
    from howdah import migrations

    migrations.upgrade()


def _run_module(module: str) -> None:
    """Do as `python -m MODULE` does, here, where all is imported already."""
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
        *(sys.executable, "-m", "uvicorn", _app_name()),
        *("--host", host, "--port", str(port)),
        *("--reload", "--reload-dir", folder, "--timeout-graceful-shutdown", "3"),
    ]


def _app_name() -> str:
    """Return where the app is: `[tool.howdah] app` in pyproject.toml, or src.main."""
    with suppress(FileNotFoundError), Path("pyproject.toml").open("rb") as file:
        tools = tomllib.load(file).get("tool", {})
        return str(tools.get("howdah", {}).get("app", "src.main:app"))
    return "src.main:app"


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


def _shown(host: str, port: int) -> str:
    """Return the address that a person opens."""
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104 - shown
    return f"http://{name}:{port}"


# --- load ---------------------------------------------------------------------------


@app.command()
def load(  # noqa: PLR0913 - a file has many ways to be odd
    file: Annotated[str, typer.Argument(help="CSV or NDJSON; - is standard input.")],
    *,
    table: Annotated[str, typer.Option(help="Where the rows go, as in: items.")],
    format: Annotated[  # noqa: A002 - the option's name
        str | None, typer.Option(help="csv or ndjson; by the file's name if not said.")
    ] = None,
    encoding: Annotated[str, typer.Option(help="Of the file.")] = "utf-8",
    delimiter: Annotated[str, typer.Option(help="Between fields of CSV.")] = ",",
    null: Annotated[
        str, typer.Option(metavar="TEXT", help="What stands for no value in CSV.")
    ] = "",
    create_related: Annotated[
        bool, typer.Option("--create-related", help="Make related rows that lack.")
    ] = False,
    skip_bad: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Put refused rows there.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite the file of refused rows.")
    ] = False,
    show: Annotated[int, typer.Option(min=0, help="List so many refused rows.")] = 100,
) -> None:
    """Load a file into a table: every row is checked, all are loaded or none."""
    from howdah.load import LoadOptions, Source, Target
    from howdah.load import load as load_rows

    _speak_plainly()
    with _usage_errors(), _database():
        source = Source(
            file=_stdin() if file == "-" else Path(file),
            format=_format(file, format),
            encoding=encoding,
            delimiter=delimiter.replace("\\t", "\t"),
            null=null,
        )
        resource = _resource(table)
        target = Target(model=resource.model, schema=resource.create_schema)

        async def run() -> "Report":
            with _progress() as progress:
                options = LoadOptions(
                    create_related=create_related,
                    skip_bad=skip_bad,
                    force=force,
                    show=show,
                    progress=progress,
                )
                async with _database_of(resource) as db:
                    return await load_rows(db, source, target=target, options=options)

        _spare_the_collector()
        report = asyncio.run(run())
    _tell(report, file, table)


@contextmanager
def _usage_errors() -> Iterator[None]:
    """End with code 2 where the file or the call is at fault, not a row."""
    try:
        yield
    except (Invalid, Misconfigured, NotFound) as error:
        typer.echo(f"error: {error.message}", err=True)
        raise typer.Exit(_USAGE) from None


_USAGE = 2


def _stdin() -> BinaryIO:
    # Without a buffer, and so without a lock that a thread waiting for input would
    # still hold when Ctrl-C ends the process.
    return cast("BinaryIO", open(0, "rb", buffering=0, closefd=False))


def _format(file: str, given: str | None) -> "Format":
    from howdah.load import format_of

    if given is None and file == "-":
        raise Misconfigured(
            "standard input has no name to tell its format by; "
            "say --format csv or --format ndjson"
        )
    if given not in {None, "csv", "ndjson"}:
        raise Misconfigured(f"there is no format {given!r}; say csv or ndjson")
    return cast("Format", given) if given else format_of(Path(file))


def _resource(table: str) -> "Resource[Any]":
    """Return the resource of the app that keeps its rows in the table."""
    known = {each.model.__table__.name: each for each in _resources(_app().routes)}
    if table not in known:
        raise Misconfigured(
            f"the app has no resource with a table {table!r}; "
            f"it has {', '.join(sorted(known)) or 'none'}"
        )
    return known[table]


def _database_of(resource: "Resource[Any]") -> "Database":
    from howdah.database import Database

    if not isinstance(resource.db, Database):
        raise Misconfigured(f"{resource} has its rows in memory; nothing is kept")
    return resource.db


def _resources(routes: "Sequence[BaseRoute]") -> "Iterator[Resource[Any]]":
    from fastapi.routing import iter_route_contexts
    from starlette.routing import Mount

    from howdah.resource import ResourceRoute

    for context in iter_route_contexts(routes):
        route = context.original_route
        if isinstance(route, ResourceRoute):
            yield route.resource
        elif isinstance(route, Mount):
            yield from _resources(route.routes)


def _app() -> "FastAPI":
    """Import the project's app from this folder, as uvicorn does."""
    module, _, attribute = _app_name().partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        return cast("FastAPI", getattr(importlib.import_module(module), attribute))
    except (ModuleNotFoundError, AttributeError) as exc:
        ours = isinstance(exc, AttributeError) or module.startswith(exc.name or ".")
        if not ours:
            raise
        raise Misconfigured(
            f"there is no app {_app_name()} in {Path.cwd()}; go to the project's "
            'folder, or name it: [tool.howdah] app = "module:name" in pyproject.toml'
        ) from exc


@contextmanager
def _progress() -> "Iterator[Callable[[Progress], None] | None]":
    """Show how far it is, where there is somebody to look."""
    from rich import progress as bars

    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (
        bars.BarColumn(),
        bars.TextColumn("{task.fields[rows]:,} rows, {task.fields[refused]:,} refused"),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=console, transient=True) as shown:
        task = shown.add_task("", total=None, rows=0, refused=0)

        def update(now: "Progress") -> None:
            shown.update(
                task,
                completed=now.bytes,
                total=now.total,
                rows=now.read,
                refused=now.refused,
            )

        yield update


def _spare_the_collector() -> None:
    """Look for garbage seldom: a load makes many objects and no cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _tell(report: "Report", file: str, table: str) -> None:
    for refusal in report.refusals:
        column = f" {refusal.column}:" if refusal.column else ""
        line = f"{file}:{refusal.line}:{column} {refusal.reason}"
        typer.echo(_printable(line), err=True)
    hidden = report.refused - len({refusal.line for refusal in report.refusals})
    if hidden:
        typer.echo(f"... and {hidden:,} more (--show)", err=True)
    if report.refused and report.skipped_to is None:
        typer.echo(
            f"error: nothing was loaded into {table}: {report.refused:,} of "
            f"{report.read:,} rows were refused; mend them, or say --skip-bad FILE",
            err=True,
        )
        raise typer.Exit(1)
    typer.echo(_printable(_summary(report, table)))


def _rows(count: int) -> str:
    return f"{count:,} row" if count == 1 else f"{count:,} rows"


def _summary(report: "Report", table: str) -> str:
    made = [f"{n:,} made in {name}" for name, n in report.created_related.items()]
    parts = [f"{_rows(report.loaded)} loaded into {table}", *made]
    if report.refused:
        parts.append(f"{_rows(report.refused)} refused, kept in {report.skipped_to}")
    return ", ".join(parts)


def _printable(text: str) -> str:
    """Take from a text what a terminal might obey."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
