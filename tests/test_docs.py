"""The docs, held: every block of code runs, every public thing is spoken of."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from docs_page import FILE, blocks, commands
from typer.main import get_command

import howdah
from howdah import errors, settings
from howdah.cli import app

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Languages that are shown, not run: answers, configuration, requests.
SHOWN = {"", "csv", "http", "ini", "json", "makefile", "sql", "text", "toml", "yaml"}
# Lines for a shell beside a running server; a test of their own runs them.
REQUESTS = {"sh"}
# Files of Python, as in "```py tests/test_items.py": they are written before the code
# runs, for the commands of the page to use.
FILES = {"py"}
# Commands that do not end by themselves, or that the other tests run.
PASSED_OVER = {
    "howdah dev --run src.utils.init_data": "serves until Ctrl-C",
    "make": "this is what runs here",
    "TRANSFER_ROUNDS=1000 pytest tests/acceptance/test_transfers.py": "takes long",
    "make demo": "serves until Ctrl-C",
    "make example NAME=shop": "serves until Ctrl-C",
    "make format": "changes the project",
    "make install": "has run",
    "make test": "this is what runs here",
    "sh scripts/test.sh -q": "the test of the quickstart runs it",
    "uvicorn main:app --reload": "serves until Ctrl-C",
}


def name(page):
    return str(page.relative_to(ROOT))


def write_files(page, folder):
    for path, text in FILE.findall(page.read_text(encoding="utf-8")):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_the_code_of_a_page_runs(page, database_url, tmp_path):
    write_files(page, tmp_path)
    environment = {
        **os.environ,
        "DATABASE_URL": database_url,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }

    ran = subprocess.run(
        [sys.executable, ROOT / "tests" / "docs_page.py", page, *passed_over(page)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.slow
def test_the_quickstart_is_answered_as_it_shows(database_url, tmp_path):
    page = list(blocks(ROOT / "docs/quickstart.md"))
    make, _, serve = commands(next(it for it in page if it.language == "console"))
    environment = {**os.environ, "DATABASE_URL": database_url, "PATH": WITH_OURS}
    run_in(tmp_path, make, environment)
    project = tmp_path / "todo-postgres-api"

    with serving(serve, project, environment) as address:
        answers = [
            (run_in(project, asked.text.replace(SHOWN_ADDRESS, address)), shown.text)
            for asked, shown in pairwise(page)
            if asked.language == "sh"
        ]
    del environment["DATABASE_URL"]
    tests = run_in(project, "sh scripts/test.sh -q", environment)

    assert [bare(answer) for answer, _ in answers] == [bare(it) for _, it in answers]
    assert "15 passed" in tests


SHOWN_ADDRESS = "http://127.0.0.1:8000"
WITH_OURS = f"{Path(sys.executable).parent}:{os.environ['PATH']}"


def run_in(folder, command, environment=None):
    ran = subprocess.run(
        ["bash", "-euc", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@contextmanager
def serving(command, folder, environment):
    """Run `howdah dev` until the end of the block; give its address."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    served = subprocess.Popen(
        ["bash", "-euc", f"exec {command}"],
        cwd=folder,
        env={**environment, "PORT": str(port)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/health/ready")
        yield f"http://127.0.0.1:{port}"
    finally:
        served.terminate()
        served.wait(timeout=30)


def wait_for(url):
    for _ in range(300):
        try:
            if httpx.get(url).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"{url} does not answer")


def bare(text):
    """An answer without its moments."""
    return json.loads(re.sub(r'"[0-9-]{10}T[^"]*"', '"moment"', text))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_of_a_page_leads_somewhere(page):
    text = FENCED.sub("", page.read_text(encoding="utf-8"))

    lost = [
        link
        for link in [*LINK.findall(text), *REFERENCE.findall(text)]
        if "://" not in link and not leads_somewhere(page, link)
    ]

    assert lost == []


LINK = re.compile(r"\]\(([^)\s]+)\)")
REFERENCE = re.compile(r"^\[\w+\]: (\S+)$", re.MULTILINE)
FENCED = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def leads_somewhere(page, link):
    path, _, heading = link.partition("#")
    target = (page.parent / path) if path else page
    if not heading:
        return target.exists()
    text = FENCED.sub("", target.read_text(encoding="utf-8"))
    return heading in {slug(each) for each in HEADING.findall(text)}


def slug(heading):
    """A heading as the part of an address behind `#`, as GitHub writes it."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def test_every_block_is_of_a_known_language():
    unknown = {
        f"{name(page)}:{block.line} {block.language}"
        for page in PAGES
        for block in blocks(page)
        if block.language not in {"python", "console", *FILES, *REQUESTS, *SHOWN}
    }

    assert unknown == set()


def test_every_command_that_is_passed_over_is_there():
    pages = [*PAGES, ROOT / "CONTRIBUTING.md"]

    found = {plain(line) for page in pages for line in passed_over(page)}

    assert found == set(PASSED_OVER)


def passed_over(page):
    """The lines of a page that do not run, as they stand there."""
    return [
        line
        for block in blocks(page)
        if block.language == "console"
        for line in commands(block)
        if plain(line) in PASSED_OVER
    ]


def plain(line):
    return line.partition(" #")[0].strip()


def test_every_public_name_is_spoken_of():
    docs = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)

    assert [name for name in howdah.__all__ if f"`{name}" not in docs] == []


def test_every_setting_and_error_code_is_in_the_reference():
    reference = "\n".join(
        page.read_text(encoding="utf-8") for page in (ROOT / "docs/reference").iterdir()
    )
    names = [field.upper() for field in settings.Settings.model_fields]
    codes = {
        error.code
        for error in vars(errors).values()
        if isinstance(error, type) and issubclass(error, errors.HowdahError)
    }

    assert [name for name in [*names, *codes] if f"`{name}`" not in reference] == []


def test_the_reference_has_every_command_with_every_option_and_no_other():
    page = (ROOT / "docs/reference/cli.md").read_text(encoding="utf-8")
    _, *parts = re.split(r"^## howdah (\S+)$", page, flags=re.MULTILINE)
    written = {
        command: set(re.findall(r"`(--?[a-z][\w-]*)", " ".join(first_cells(section))))
        for command, section in zip(parts[::2], parts[1::2], strict=True)
    }

    assert written == {
        name: {option for each in command.params for option in options_of(each)}
        for name, command in get_command(app).commands.items()
    }


def first_cells(section):
    return re.findall(r"^\| (`-[^|]*) \|", section, flags=re.MULTILINE)


def options_of(parameter):
    return [name for name in parameter.opts if name.startswith("-")]
