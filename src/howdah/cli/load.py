"""The command that loads a file into a table, and accounts for every row."""

import asyncio
import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, cast

import typer
from rich.console import Console

from howdah.cli.project import database, load_app
from howdah.cli.terminal import printable, speak_plainly
from howdah.errors import Invalid, Misconfigured, NotFound
from howdah.models import table_of

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from howdah.database import Database
    from howdah.load import Format, Progress, Report
    from howdah.resource import Resource

__all__ = ("load",)


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

    speak_plainly()
    with _usage_errors(), database():
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
    known = {table_of(each.model).name: each for each in _resources(load_app().routes)}
    if table not in known:
        raise Misconfigured(
            f"the app has no resource with a table {table!r}; "
            f"it has {', '.join(sorted(known)) or 'none'}"
        )
    _refuse_unmade(known[table])
    return known[table]


def _refuse_unmade(resource: "Resource[Any]") -> None:
    """Raise Misconfigured where rows need what a function makes of what is sent."""
    fields = resource.create_schema.model_fields
    for name, (column, _) in resource.stored_as.items():
        if name in fields and fields[name].is_required():
            raise Misconfigured(
                f"{resource} makes {column} of {name}, and howdah load copies what is "
                "in the file; send the rows to its path /batch"
            )


def _database_of(resource: "Resource[Any]") -> "Database":
    from howdah.database import Database

    if not isinstance(resource.db, Database):
        raise Misconfigured(
            f"{resource} has its rows in {resource.db!r}, and howdah load fills the "
            "tables of a Database alone; send them to its path /batch"
        )
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
        typer.echo(printable(line), err=True)
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
    typer.echo(printable(_summary(report, table)))


def _rows(count: int) -> str:
    return f"{count:,} row" if count == 1 else f"{count:,} rows"


def _summary(report: "Report", table: str) -> str:
    made = [f"{n:,} made in {name}" for name, n in report.created_related.items()]
    parts = [f"{_rows(report.loaded)} loaded into {table}", *made]
    if report.refused:
        parts.append(f"{_rows(report.refused)} refused, kept in {report.skipped_to}")
    return ", ".join(parts)
