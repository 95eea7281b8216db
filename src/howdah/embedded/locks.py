"""Files whose locks the kernel frees when their holder dies.

flock belongs to an open file, not to a process: two objects of one process that open
the file themselves count as two, and a child that inherits the file holds on to it.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from howdah.embedded.accounts import Account, account_for
from howdah.errors import Unavailable

__all__ = ("is_held", "open_private", "ticks", "try_lock", "turn")

_POLL = 0.01


def open_private(path: Path, account: Account, flags: int = 0) -> int:
    """Open or make a file of the account, for the account alone.

    Children of this process do not inherit it unless they are told to.
    """
    flags |= os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return os.open(path, flags)
    account.own(descriptor)
    return descriptor


def try_lock(descriptor: int, kind: int) -> bool:
    """Take or change a lock if that needs no waiting.

    A shared lock that cannot become an exclusive one is lost.
    """
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock of this file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not try_lock(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


@contextmanager
def turn(folder: Path, *, limit: float) -> Iterator[int]:
    """Wait until nobody else starts or stops the server of this folder.

    Gives the open file, for children that shall keep the turn.
    """
    lock = open_private(folder / "turn.lock", account_for(folder))
    try:
        # Not one long wait in the kernel: a holder may be suspended for ever.
        if not any(try_lock(lock, fcntl.LOCK_EX) for _ in ticks(limit)):
            raise Unavailable(
                f"another process has been starting or stopping the PostgreSQL server "
                f"in {folder} for {limit:.0f} s; end it and try again"
            )
        yield lock
    finally:
        os.close(lock)


def ticks(limit: float) -> Iterator[None]:
    """Count time in short sleeps until the limit; the first tick comes at once."""
    end = time.monotonic() + limit
    yield
    while time.monotonic() < end:
        time.sleep(_POLL)
        yield
