"""A server that speaks MongoDB's protocol, for tests; MONGODB_URL names a real one."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ("mongo_server", "standalone_server")

# In a process of its own, which ends when nobody holds its input any more.
SERVE = """
import sys
from secantus import SecantusDBServer
name = sys.argv[2] or None
with SecantusDBServer(storage_path=sys.argv[1], replica_set_name=name) as server:
    print(server.uri, flush=True)
    sys.stdin.read()
"""


@contextmanager
def mongo_server(folder: Path) -> Iterator[str]:
    if url := os.environ.get("MONGODB_URL"):
        yield url
        return
    with served(folder, replica_set="tests") as url:
        yield url


@contextmanager
def standalone_server(folder: Path) -> Iterator[str]:
    """A server that is no replica set, and so has no transactions."""
    with served(folder, replica_set="") as url:
        yield url


@contextmanager
def served(folder: Path, *, replica_set: str) -> Iterator[str]:
    folder.mkdir(parents=True, exist_ok=True)
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, str(folder), replica_set],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.communicate(timeout=30)
