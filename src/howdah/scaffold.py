"""A template and some answers become a project.

`render` is pure: files as text, nothing on disk. `write` puts them into a folder,
whole or not at all. `install` lets the project's package manager do its work. Asks
nothing, prints nothing, and knows no command line.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import unquote, urlsplit

from howdah.errors import HowdahError, Invalid, Misconfigured

__all__ = (
    "Answers",
    "InstallFailed",
    "PackageManager",
    "check_answer",
    "dependencies",
    "find_template",
    "install",
    "install_commands",
    "refuse_used",
    "render",
    "requirement",
    "write",
)

PackageManager = Literal["pip", "uv", "pdm", "poetry"]
_MANAGERS: tuple[PackageManager, ...] = get_args(PackageManager)

_TEMPLATES = Path(__file__).parent / "templates"
_LONGEST = 200
# https://packaging.python.org/en/latest/specifications/name-normalization/
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")
_EMAIL = re.compile(r"[^@\s\"'<>,;]+@[^@\s\"'<>,;]+\.[^@\s\"'<>,;.]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a template wants to know. Raises Invalid for what no project can bear."""

    name: str
    author: str
    email: str
    description: str
    package_manager: PackageManager = "uv"

    def __post_init__(self) -> None:
        for question, answer in asdict(self).items():
            check_answer(question, answer)


class InstallFailed(HowdahError):
    """The project was made, but its packages were not installed."""


def check_answer(question: str, answer: str) -> None:
    """Raise Invalid if the answer to this question cannot be used."""
    if len(answer) > _LONGEST or not answer.isprintable():
        raise Invalid(
            f"the {question} {answer[:40]!r} cannot be used; write one line of at most "
            f"{_LONGEST} printable characters"
        )
    fault = _FAULTS.get(question)
    if fault and not fault[0].fullmatch(answer):
        raise Invalid(f"{fault[1]}, not {answer!r}; {fault[2]}")


_FAULTS: Mapping[str, tuple[re.Pattern[str], str, str]] = {
    "name": (
        _NAME,
        "the project name has to be one that a folder and a Python package can have",
        "use letters, digits and `.`, `_`, `-` between them, like todo-api",
    ),
    "author": (re.compile(r".*\S.*"), "the author needs a name", "write one"),
    "email": (_EMAIL, "the author email has to be one address", "like me@example.com"),
    "package_manager": (
        re.compile("|".join(_MANAGERS)),
        f"the package manager is one of {', '.join(_MANAGERS)}",
        "choose one of them",
    ),
}


def find_template(name: str) -> Path:
    """Return the folder of a template that comes with Howdah."""
    known = sorted(path.name for path in _TEMPLATES.iterdir() if path.is_dir())
    if name not in known:
        raise Misconfigured(
            f"there is no template {name!r}; there is {', '.join(known)}"
        )
    return _TEMPLATES / name


def render(template: Path | str, answers: Answers) -> dict[str, str]:
    """Return the project's files: relative path to text."""
    folder = find_template(template) if isinstance(template, str) else template
    with tempfile.TemporaryDirectory(prefix="howdah-") as scratch:
        place = Path(scratch, "project")
        _render_into(place, folder, _data(answers))
        return {
            path.relative_to(place).as_posix(): path.read_text(encoding="utf-8")
            for path in sorted(place.rglob("*"))
            if path.is_file()
        }


def dependencies(files: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of what a rendered project depends on, in its own order."""
    project = tomllib.loads(files["pyproject.toml"])["project"]
    names = (re.match(r"[\w.-]+", text) for text in project["dependencies"])
    return tuple(name[0] for name in names if name)


def requirement(*extras: str) -> str:
    """Return how a project asks for this very Howdah.

    Where it was installed from a folder, a file or a repository, that is named.
    """
    distribution = metadata.distribution("howdah")
    name = f"howdah[{','.join(extras)}]" if extras else "howdah"
    origin = _origin(distribution.read_text("direct_url.json"))
    return f"{name} @ {origin}" if origin else f"{name}>={distribution.version}"


def refuse_used(folder: Path) -> None:
    """Raise Misconfigured if a project must not be written into this folder."""
    if folder.is_symlink() or folder.exists():
        if not folder.is_dir():
            raise Misconfigured(f"{folder} is in the way and no folder; move it away")
        if any(folder.iterdir()):
            raise Misconfigured(
                f"the folder {folder} is not empty; choose another name or --output"
            )


def write(files: Mapping[str, str], folder: Path) -> None:
    """Make the folder with these files in it, or leave everything as it was.

    Raises Misconfigured, and touches nothing, if the folder is not empty. Files that
    begin with `#!` become executable.
    """
    refuse_used(folder)
    made = _make_parents(folder.parent)
    try:
        _write_aside(files, folder)
    except BaseException as exc:
        for parent in made:
            with suppress(OSError):
                parent.rmdir()
        if isinstance(exc, OSError):
            raise Misconfigured(
                f"cannot write the project to {folder}: {exc.strerror}; choose "
                "another place with --output"
            ) from exc
        raise


def install_commands(manager: PackageManager) -> tuple[tuple[str, ...], ...]:
    """Return what to run in a project so that its packages are there."""
    if manager != "pip":
        verb = "sync" if manager == "uv" else "install"
        return ((manager, verb),)
    return (
        ("python3", "-m", "venv", ".venv"),
        (".venv/bin/python", "-m", "pip", "install", "-r", "requirements-dev.txt"),
    )


def install(folder: Path, manager: PackageManager) -> None:
    """Let the package manager make the project's environment.

    Raises InstallFailed with what to run by hand; the project stays.
    """
    for line in install_commands(manager):
        program = _program(line[0], folder)
        if program is None:
            raise InstallFailed(_by_hand(folder, manager, f"{line[0]} was not found"))
        done = subprocess.run(  # noqa: S603 - a fixed command, no shell
            [program, *line[1:]],
            cwd=folder,
            env=_own_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            errors="replace",
            text=True,
            check=False,
        )
        if done.returncode:
            said = "\n".join(done.stdout.strip().splitlines()[-15:])
            why = f"`{' '.join(line)}` ended with code {done.returncode}:\n{said}\n"
            raise InstallFailed(_by_hand(folder, manager, why))


def _data(answers: Answers) -> dict[str, object]:
    """Return what the template's text may speak of."""
    return asdict(answers) | {
        "python_name": _literal(answers.name),
        "python_description": _literal(answers.description),
        "howdah": requirement("docs", "serve"),
        "howdah_dev": requirement("cli", "embedded"),
        "howdah_on_mongodb": requirement("docs", "mongo", "serve"),
        "howdah_cli": requirement("cli"),
        "howdah_version": metadata.version("howdah"),
        # What a person may have to do where this machine's paths do not exist.
        "howdah_is_local": " @ file:" in requirement(),
    }


def _literal(text: str) -> str:
    """Write a Python string as a formatter would: with fewer backslashes."""
    quote = "'" if text.count('"') > text.count("'") else '"'
    escaped = text.replace("\\", "\\\\").replace(quote, f"\\{quote}")
    return f"{quote}{escaped}{quote}"


def _render_into(place: Path, folder: Path, data: Mapping[str, object]) -> None:
    try:
        from copier import run_copy
    except ModuleNotFoundError as exc:
        raise Misconfigured(
            "templates need the command line's packages: pip install 'howdah[cli]'"
        ) from exc
    run_copy(str(folder), place, data=dict(data), defaults=True, quiet=True)


def _origin(direct_url: str | None) -> str | None:
    """Return the address that Howdah came from, None if that was an index.

    https://packaging.python.org/en/latest/specifications/direct-url/
    """
    if direct_url is None:
        return None
    source = json.loads(direct_url)
    url = str(source["url"])
    if "vcs_info" in source:
        vcs = source["vcs_info"]
        return f"{vcs['vcs']}+{url}@{vcs['commit_id']}"
    parts = urlsplit(url)
    if parts.scheme == "file" and not Path(unquote(parts.path)).exists():
        return None
    return url


def _make_parents(folder: Path) -> list[Path]:
    """Make the folders above, and return those that were not there, deepest first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise Misconfigured(
            f"cannot make the folder {folder}: {exc.strerror}; choose another place "
            "with --output"
        ) from exc
    return missing


def _write_aside(files: Mapping[str, str], folder: Path) -> None:
    """Write beside the place, then move, so that nobody ever sees half a project."""
    # A folder that is there already may be a mount or somebody's working directory:
    # it is filled, not replaced.
    there = folder.is_dir()
    aside = folder if there else folder.parent
    with tempfile.TemporaryDirectory(prefix=".howdah-", dir=aside) as scratch:
        stage = Path(scratch, "project")
        _write_files(files, stage)
        if there:
            _move_up(stage, folder)
        else:
            stage.rename(folder)


def _write_files(files: Mapping[str, str], folder: Path) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
        if text.startswith("#!"):
            path.chmod(path.stat().st_mode | 0o111 & ~_umask())


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _move_up(stage: Path, folder: Path) -> None:
    moved: list[Path] = []
    try:
        for entry in sorted(stage.iterdir()):
            moved.append(folder / entry.name)
            entry.rename(moved[-1])
    except BaseException:
        for path in moved:
            with suppress(OSError):
                path.rename(stage / path.name)
        raise


def _program(name: str, folder: Path) -> str | None:
    """Return where a program is: in the project, on the path, or beside our Python."""
    if "/" in name:
        path = folder.absolute() / name
        return str(path) if path.exists() else None
    beside = Path(sys.executable).parent
    return shutil.which(name) or shutil.which(name, path=str(beside))


def _own_environment() -> dict[str, str]:
    """Keep the project's packages out of the environment that Howdah runs in."""
    ours = {"VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH", "UV_PROJECT_ENVIRONMENT"}
    clean = {k: v for k, v in os.environ.items() if k not in ours}
    return {
        "PDM_IGNORE_ACTIVE_VENV": "1",
        "POETRY_VIRTUALENVS_IN_PROJECT": "true",
        **clean,
    }


def _by_hand(folder: Path, manager: PackageManager, why: str) -> str:
    lines = " && ".join(" ".join(line) for line in install_commands(manager))
    return (
        f"the project is made in {folder}, but its packages are not installed: {why}"
        f"{'' if why.endswith(chr(10)) else '; '}run there by hand: {lines}"
    )
