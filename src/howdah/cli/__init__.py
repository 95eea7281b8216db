"""The skin: a command parses, calls public functions, prints.

What is slow to import is imported by the command that needs it.
"""

from importlib import metadata
from typing import Annotated

import typer

from howdah.cli.dev import dev
from howdah.cli.load import load
from howdah.cli.serve import serve
from howdah.cli.startdemo import startdemo

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


for _command in (startdemo, dev, serve, load):
    app.command()(_command)
