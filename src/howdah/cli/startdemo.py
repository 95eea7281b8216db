"""The command that makes a project: asks what no option says, then writes it."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, cast, get_args

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from howdah.cli.terminal import speak_plainly
from howdah.errors import Invalid, Misconfigured
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

__all__ = ("startdemo",)


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
    speak_plainly()
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
