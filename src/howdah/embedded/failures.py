"""What a refusal means, in words for the person who started the server.

The system's errors are told by their number. initdb and the server give no codes, only
text, which is English because they run with LC_ALL=C.
"""

import errno
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from howdah.embedded.accounts import Account
from howdah.errors import Duplicate, HowdahError, Misconfigured, NotFound, Unavailable

__all__ = (
    "PortTaken",
    "database_errors",
    "last_lines",
    "plain_errors",
    "start_failure",
)

# A start needs room for some small files; on a full disk even the log stays empty.
_FULL_BELOW = 256 * 1024
_NO_SPACE = ("No space left on device", "Check free disk space", "quota exceeded")
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
    ("could not resize shared memory segment", Unavailable, _NO_SHARED_MEMORY),
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


class PortTaken(Unavailable):
    """Somebody else listens on the port."""


def start_failure(folder: Path, output: str, port: int | None = None) -> HowdahError:
    """Return what the last words of initdb or of the server mean."""
    if _ran_out_of_space(folder, output):
        return _disk_full(folder)
    if port is not None and "Address already in use" in output:
        return PortTaken(
            f"port {port} of this machine is taken by another program; choose "
            "another, or port=0 for a free one"
        )
    said = last_lines(output) or "nothing"
    for words, error, reason in _REASONS:
        if words in output:
            return error(
                f"PostgreSQL did not start in {folder}: {reason}. It said: {said}"
            )
    return Unavailable(f"PostgreSQL did not start in {folder}; it said: {said}")


def last_lines(output: str) -> str:
    """Return the end of a log, as much as a message can bear."""
    return "\n".join(output.strip().splitlines()[-8:])


@contextmanager
def plain_errors(folder: Path) -> Iterator[None]:
    """Say what the operating system's refusal means for this folder."""
    try:
        yield
    except OSError as exc:
        raise _from_system(folder, exc) from exc
    except subprocess.SubprocessError as exc:
        raise Unavailable(
            f"PostgreSQL did not start in {folder}: {exc}; see whether the machine is "
            "overloaded and try again"
        ) from exc


@contextmanager
def database_errors(name: str, template: str | None = None) -> Iterator[None]:
    """Say why a database could not be made or removed."""
    try:
        yield
    except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation) as exc:
        raise Duplicate(
            f"the database {name!r} exists already; drop it first, or use "
            "ensure_database"
        ) from exc
    except psycopg.errors.InvalidCatalogName as exc:
        raise NotFound(
            f"there is no template database {template!r}; create it first"
        ) from exc
    except psycopg.errors.ObjectInUse as exc:
        raise Unavailable(
            f"the database {template or name!r} is in use; close its sessions first"
        ) from exc
    except psycopg.Error as exc:
        raise Unavailable(
            f"the server did not do as asked with the database {name!r}: {exc}"
        ) from exc


def _from_system(folder: Path, exc: OSError) -> HowdahError:
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return _disk_full(folder)
    if exc.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return _not_writable(folder, exc)
    if exc.errno in (errno.ENOTDIR, errno.EEXIST):
        return Misconfigured(
            f"{folder} cannot be a folder, because a file is in its way "
            f"({exc.filename}); move the file or use another folder"
        )
    return Unavailable(f"the PostgreSQL server in {folder} cannot be used: {exc}")


def _ran_out_of_space(folder: Path, output: str) -> bool:
    if any(words in output for words in _NO_SPACE):
        return True
    return shutil.disk_usage(folder).free < _FULL_BELOW


def _disk_full(folder: Path) -> Unavailable:
    return Unavailable(
        f"the disk of {folder} is full; PostgreSQL needs about 100 MB there to begin: "
        "free some space and start again"
    )


def _not_writable(folder: Path, exc: OSError) -> Misconfigured:
    """Name the nearest folder that can be seen, and whose it is."""
    place = next(p for p in (folder, *folder.parents) if _can_see(p))
    owner = Account(uid=place.stat().st_uid, gid=place.stat().st_gid)
    return Misconfigured(
        f"user {Account.current().name} cannot write {exc.filename or folder} "
        f"({exc.strerror}); {place} belongs to user {owner.name}: start as that user "
        "(or as root, if root made it), give it away with chown -R, or use another "
        "folder"
    )


def _can_see(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False
