"""Schemathesis finds nothing: with all of its checks, in all of its phases.

Against an app with every action on every type of column, and against the project that
`howdah startdemo` writes. What OpenAPI cannot say is told in `beyond_openapi.py`.
"""

import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from howdah.scaffold import Answers, render, write

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parents[1]
# The same requests each time: what fails here fails for who looks into it too.
OPTIONS = (
    *("--phases", "examples,coverage,fuzzing,stateful", "--checks", "all"),
    *("--generation-deterministic", "--max-examples", "5"),
    *("--request-timeout", "60"),
    *("--continue-on-failure", "--no-color", "--suppress-health-check", "all"),
)
PHASES = ("Coverage", "Fuzzing", "Stateful")
CONFIG = """
hooks = "beyond_openapi"

[generation]
# No text of PostgreSQL holds a NUL, and to say so of each would make a pattern of it.
allow-x00 = false

[checks.positive_data_acceptance]
# A valid If-Match may name another version, and a version may be asked for.
expected-statuses = ["2xx", "3xx", "401", "403", "404", "409", "412", "428", "429"]

[[operations]]
# They take what the list takes, whose every parameter is tried out.
include-method = "GET"
include-path-regex = "/(count|search)$"
phases.coverage.enabled = false
"""


@pytest.fixture
def find_faults(tmp_path):
    """Run Schemathesis against an address; return what it says, and 0 for nothing."""
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG)

    def find_faults(url):
        program = Path(sys.executable).with_name("schemathesis")
        done = subprocess.run(
            [program, "--config-file", config, "run", f"{url}/openapi.json", *OPTIONS],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(TESTS)},
            timeout=280,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    return find_faults


@contextmanager
def serving(*command, folder, door, database_url):
    """Run a server at an open door until the end of the block."""
    log = folder / "server.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            command,
            cwd=folder,
            pass_fds=[door.fileno()],
            env={**os.environ, "DATABASE_URL": database_url},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        url = f"http://127.0.0.1:{door.getsockname()[1]}"
        try:
            httpx.get(f"{url}/health/live", timeout=60).raise_for_status()
            yield url
        finally:
            process.terminate()
            process.wait(15)
    assert "Traceback" not in log.read_text()


@pytest.fixture
def door():
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as door:
        yield door


@pytest.mark.timeout(300)
def test_every_action_on_every_type_of_column(
    find_faults, door, tmp_path, database_url
):
    everything = (sys.executable, TESTS / "everything.py", str(door.fileno()))
    settings = {"folder": tmp_path, "door": door, "database_url": database_url}
    with serving(*everything, **settings) as url:
        faults, told = find_faults(url)

    assert faults == 0, told
    assert [name for name in PHASES if f"✅ {name}\n" not in told] == []


@pytest.mark.timeout(300)
def test_the_scaffolded_project(find_faults, door, tmp_path, database_url):
    project = tmp_path / "todo"
    answers = Answers(
        name="todo", author="A", email="a@example.com", description="Todo"
    )
    write(render("fastapi-psql-orm", answers), project)
    python = (sys.executable, "-m")
    subprocess.run(
        [*python, "alembic", "upgrade", "head"],
        cwd=project,
        env={**os.environ, "DATABASE_URL": database_url},
        check=True,
    )
    app = (*python, "uvicorn", "src.main:app", "--fd", str(door.fileno()))
    settings = {"folder": project, "door": door, "database_url": database_url}

    with serving(*app, **settings) as url:
        faults, told = find_faults(url)

    assert faults == 0, told
    assert [name for name in PHASES if f"✅ {name}\n" not in told] == []
