"""A server that runs: where it listens, which process it is, how it ends.

What it wrote about itself in postmaster.pid may be stale; that it lives is known from
the lock that it holds, and only then is the rest believed.
"""

import os
import signal
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from howdah.embedded.locks import is_held, ticks
from howdah.errors import Unavailable

__all__ = ("LOOPBACK", "SUPERUSER", "Address", "Postmaster", "free_port")

LOOPBACK = "127.0.0.1"
SUPERUSER = "postgres"

# Eight bytes long, protocol 1234.5679.
_SSL_REQUEST = (8).to_bytes(4) + (80877103).to_bytes(4)
_ANSWER_LIMIT = 2.0
_WAIT_LIMIT = 30.0
_STOP_LIMIT = 30.0
_READY_LINE = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a server listens."""

    port: int
    socket_folder: Path
    tcp: bool

    def url(self, database: str, *, tcp: bool) -> str:
        """Return the URL of a database."""
        name = quote(database, safe="")
        if tcp:
            return f"postgresql://{SUPERUSER}@{LOOPBACK}:{self.port}/{name}"
        folder = quote(str(self.socket_folder), safe="")
        return f"postgresql://{SUPERUSER}@/{name}?host={folder}&port={self.port}"

    def serves(self, port: int | None) -> bool:
        """Whether it listens as asked: None needs no TCP port, 0 takes any."""
        return port is None or (self.tcp and port in (0, self.port))

    def answers(self) -> bool:
        """Whether a server lives there, and not only the socket of a dying one.

        The system takes connections for a process that has just been killed, so we
        ask for SSL, to which a server says yes or no, and leave.
        """
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(_ANSWER_LIMIT)
            try:
                client.connect(str(self.socket_folder / f".s.PGSQL.{self.port}"))
                client.sendall(_SSL_REQUEST)
                return client.recv(1) in (b"N", b"S")
            except OSError:
                return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Postmaster:
    """What the server of a folder last wrote about itself."""

    pid: int
    ready: bool
    address: Address

    @classmethod
    def read(cls, folder: Path) -> "Postmaster | None":
        """Return what it wrote, whether or not it still lives."""
        try:
            lines = (folder / "data" / "postmaster.pid").read_text().splitlines()
            return cls(
                pid=int(lines[0]),
                ready=lines[_READY_LINE:] != []
                and lines[_READY_LINE].strip() == "ready",
                address=Address(
                    port=int(lines[3]),
                    socket_folder=Path(lines[4]),
                    tcp=bool(lines[5]),
                ),
            )
        except (OSError, IndexError, ValueError):
            # Missing, not for us to read, or being written at this moment.
            return None

    @classmethod
    def find(cls, folder: Path) -> "Postmaster | None":
        """Return the server that lives and can be signalled from here."""
        if not is_held(folder / "server.lock"):
            return None
        server = cls.read(folder)
        return server if server and _works_in(server.pid, folder / "data") else None

    @classmethod
    def wait_for(cls, folder: Path) -> "Postmaster | None":
        """Return the living server once it answers, or None once none lives.

        It may be on its way up or down, or be backends that a killed one has left.
        Call it in your turn.
        """
        for _ in ticks(_WAIT_LIMIT):
            if not is_held(folder / "server.lock"):
                return None
            server = cls.read(folder)
            if server and server.ready and server.address.answers():
                return server
        raise Unavailable(
            f"a PostgreSQL server runs in {folder} and does not answer here; if it "
            "belongs to another container, stop it there, else see "
            f"{folder / 'server.log'}"
        )

    @classmethod
    def forget_dead(cls, folder: Path) -> None:
        """Remove the notes of a server that was killed; call it in your turn.

        PostgreSQL believes them as long as a process has that number, be it a zombie
        that nobody reaps (as below an application that is process 1 of a container)
        or a stranger. Backends that are left are not missed: they hold the lock.
        """
        server = cls.read(folder)
        if server is None or _works_in(server.pid, folder / "data"):
            return
        sockets = server.address.socket_folder
        (sockets / f".s.PGSQL.{server.address.port}.lock").unlink(missing_ok=True)
        (folder / "data" / "postmaster.pid").unlink()

    def stop(self, folder: Path, how: signal.Signals) -> None:
        """Signal the server and wait until all of its processes are gone."""
        for sign in (how, signal.SIGQUIT):
            with suppress(ProcessLookupError):
                os.kill(self.pid, sign)
            if any(not is_held(folder / "server.lock") for _ in ticks(_STOP_LIMIT)):
                return
        raise Unavailable(
            f"the PostgreSQL server in {folder} (process {self.pid}) does not stop; "
            f"end it by hand: kill -9 {self.pid}"
        )


def free_port() -> int:
    """Return a TCP port that nobody has at this moment."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    return port


def _works_in(pid: int, data: Path) -> bool:
    """Whether the process is this folder's server and no namesake.

    In another container the same number means another process.
    """
    if not Path("/proc/self").exists():
        return True
    try:
        return Path(f"/proc/{pid}/cwd").samefile(data)
    except OSError:
        return False
