"""An app under uvicorn in a process of its own, which a test may kill.

Run as a script it is that process: `served.py FD` serves the shop of the tests at the
listening socket FD, on the database that the environment names; `served.py FD NAME` the
example of that name.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

_START_LIMIT = 60
_STOP_LIMIT = 15


@dataclass
class Served:
    """A running app: its process, its port on loopback and its log."""

    process: subprocess.Popen
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def kill(self) -> None:
        """End it without a warning."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(_STOP_LIMIT)

    def connect(self) -> socket.socket:
        """Open a plain connection, for clients without manners."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection


@contextmanager
def serving(
    database_url: str, folder: Path, *, example: str = "", **settings: str
) -> Iterator[Served]:
    """Serve an app until the end of the block; its log is in the folder."""
    log = folder / "app.log"
    # The socket is open before the process runs: the first request waits in its queue.
    with (
        socket.create_server(("127.0.0.1", 0), backlog=1024) as door,
        log.open("w") as out,
    ):
        process = subprocess.Popen(
            [sys.executable, __file__, str(door.fileno()), example],
            pass_fds=[door.fileno()],
            cwd=folder,
            env={**_environment(), **settings, "DATABASE_URL": database_url},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        served = Served(process, door.getsockname()[1], log)
    try:
        httpx.get(f"{served.url}/health/live", timeout=_START_LIMIT).raise_for_status()
        yield served
    finally:
        _end(process)


def post(path: str, body: object) -> bytes:
    """Return the bytes of a POST; what is no bytes yet becomes JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {len(content)}\r\n"
        "Content-Type: application/json\r\n\r\n"
    )
    return head.encode() + content


def _environment() -> dict[str, str]:
    """Return ours, without what would decide over the database."""
    prefixes = ("DATABASE_URL", "POSTGRES_", "DB_", "DEBUG")
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(prefixes)
    }


def get(path: str) -> bytes:
    """Return the bytes of a GET."""
    return f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode()


def _end(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(_STOP_LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _app(example: str) -> object:
    if example:
        from example_apps import load

        return load(example).app
    from shop import make_shop

    from howdah import Database

    return make_shop(Database())


def _serve(door: socket.socket, example: str) -> None:
    import uvicorn

    config = uvicorn.Config(
        _app(example),
        access_log=False,
        timeout_graceful_shutdown=5,
        # A client that waits for a processor must not find its connection closed.
        timeout_keep_alive=75,
    )
    uvicorn.Server(config).run(sockets=[door])


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2])
