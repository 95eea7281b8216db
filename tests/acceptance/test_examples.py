"""Every example starts with one command, and Ctrl-C leaves nothing running."""

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import pytest
from example_apps import EXAMPLES

from howdah.embedded import EmbeddedPostgres

pytestmark = pytest.mark.slow

NAMES = sorted(path.parent.name for path in EXAMPLES.glob("*/pyproject.toml"))


@pytest.fixture
def folder(request):
    """A copy of an example, in a folder that is not pytest's: see pytest_plugin."""
    folder = Path("/tmp", f"howdah-example-{os.getpid()}")
    leave = shutil.ignore_patterns(".howdah", "__pycache__")
    shutil.copytree(EXAMPLES / request.param, folder, ignore=leave)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("folder", NAMES, indirect=True)
def test_an_example_is_served_until_it_is_interrupted(folder):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "howdah", "dev", "--port", str(port)],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )

    document = json.loads(answer(f"http://127.0.0.1:{port}/openapi.json", process))
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)

    assert process.returncode == 0, output
    assert "Traceback" not in output
    assert "no index serves" not in output
    assert document["paths"]
    assert not EmbeddedPostgres(folder / ".howdah/postgres").running
    assert not is_held(folder / ".howdah/mongo/howdah.lock")


def is_held(lock):
    """Whether a process serves the folder of documents."""
    if not lock.exists():
        return False
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def environment():
    drop = (
        *("PYTEST_", "DATABASE_URL", "POSTGRES_", "DB_", "PORT", "TEST_DATABASE_URL"),
        "MONGODB_URL",
    )
    return {k: v for k, v in os.environ.items() if not k.startswith(drop)}


def answer(url, process, limit=60):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        assert process.poll() is None, process.communicate()
        try:
            with urlopen(url, timeout=10) as response:
                return response.read()
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"{url} did not answer")


def test_make_serves_an_example():
    said = subprocess.run(
        ["make", "--dry-run", "example", "NAME=shop", "PORT=8123"],
        cwd=EXAMPLES.parent,
        # The make that runs the tests would speak of its folders.
        env={k: v for k, v in os.environ.items() if not k.startswith("MAKE")},
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert said.splitlines()[-1].endswith("howdah dev --port 8123")
    assert "cd examples/shop && " in said
