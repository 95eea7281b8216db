"""The contenders: how each is started, alone, with one worker process."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import httpx

__all__ = ("CONTENDERS", "Contender")

HERE = Path(__file__).parent
NODE = Path("build/bench/fastify")
LOG = Path("build/bench/servers.log")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


PORT = _free_port()
ADDRESS = f"http://127.0.0.1:{PORT}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A server of the items."""

    name: str
    title: str
    app: str | None = None
    needs: str | None = None
    lacks: tuple[str, ...] = ()
    """Actions that it has no documented way for."""

    @property
    def missing(self) -> str | None:
        """What would have to be installed, if anything."""
        if self.app is None:
            return None if shutil.which("node") and shutil.which("npm") else "node, npm"
        return self.needs if self.needs and find_spec(self.needs) is None else None

    @contextmanager
    def serving(self, database_url: str) -> Iterator[int]:
        """Serve until the end of the block; give the process."""
        environment = {**os.environ, "DATABASE_URL": database_url, "PORT": str(PORT)}
        command = self._command()
        with LOG.open("a") as log:
            process = subprocess.Popen(  # noqa: S603 - our own commands
                command, env=environment, stdout=log, stderr=log
            )
        try:
            _wait(process)
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=20)

    def _command(self) -> Sequence[str]:
        if self.app is None:
            return ("node", str(_node_project() / "server.mjs"))
        if self.name == "howdah":
            howdah = (sys.executable, "-m", "howdah", "serve")
            return (*howdah, f"benchmarks.contenders.{self.app}", "--port", str(PORT))
        uvicorn = (sys.executable, "-m", "uvicorn", f"benchmarks.contenders.{self.app}")
        options = ("--port", str(PORT), "--no-access-log", "--log-level", "warning")
        return (*uvicorn, *options, "--loop", "uvloop", "--http", "httptools")


def _node_project() -> Path:
    """Install what Fastify needs, outside of the sources and once."""
    if not (NODE / "node_modules").is_dir():
        NODE.mkdir(parents=True, exist_ok=True)
        shutil.copy(HERE / "contenders" / "fastify" / "package.json", NODE)
        install = ("npm", "install", "--silent", "--no-package-lock")
        subprocess.run(install, cwd=NODE, check=True)  # noqa: S603 - our own command
    shutil.copy(HERE / "contenders" / "fastify" / "server.mjs", NODE)
    return NODE


def _wait(process: "subprocess.Popen[bytes]") -> None:
    for _ in range(300):
        if process.poll() is not None:
            raise SystemExit(f"{process.args!r} ended with {process.returncode}")
        try:
            httpx.get(f"{ADDRESS}/items/1")
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit(f"{process.args!r} does not answer")


CONTENDERS = (
    Contender(name="tutorial", title="The tutorial (ORM)", app="tutorial:app"),
    Contender(
        name="fastcrud",
        title="FastCRUD",
        app="fastcrud_app:app",
        needs="fastcrud",
        lacks=("batch",),
    ),
    Contender(
        name="advanced",
        title="advanced-alchemy",
        app="advanced_app:app",
        needs="advanced_alchemy",
    ),
    Contender(name="asyncpg", title="FastAPI + asyncpg", app="asyncpg_by_hand:app"),
    Contender(name="fastify", title="Fastify + pg"),
    Contender(name="howdah", title="Howdah", app="howdah_app:app"),
    Contender(name="bare", title="Bare ASGI, the limit", app="bare:app"),
)
