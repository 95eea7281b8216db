"""A server for development, where no address is given: secantusdb, if it is installed.

It speaks MongoDB's protocol on a socket of its own and keeps its files in a folder. It
is no MongoDB, and nothing for production. It lives in the process that came first, and
serves others that name the same folder as long as that one runs.
"""

import fcntl
import time
from pathlib import Path
from typing import Any, TextIO

from howdah.errors import Misconfigured, Unavailable

__all__ = ("DEFAULT_FOLDER", "DevelopmentServer")

DEFAULT_FOLDER = Path(".howdah/mongo")
_PATIENCE = 10.0  # seconds


class DevelopmentServer:
    """The server of a folder, from `start` to `stop`."""

    def __init__(self, folder: Path = DEFAULT_FOLDER) -> None:
        self._folder = folder
        self._lock: TextIO | None = None
        self._server: Any = None

    def __enter__(self) -> str:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> str:
        """Start the server, unless another process has, and return its address."""
        make = _found()
        self._folder.mkdir(parents=True, exist_ok=True)
        lock = (self._folder / "howdah.lock").open("a+", encoding="utf-8")
        if not _is_ours(lock):
            with lock:
                return self._of_another(lock)
        self._lock = lock
        lock.truncate(0)
        self._server = make(storage_path=str(self._folder))
        self._server.start()
        lock.write(self._server.uri)
        lock.flush()
        uri: str = self._server.uri
        return uri

    def stop(self) -> None:
        """Stop it, if it is ours; its files stay."""
        if self._server is not None:
            self._server.stop()
            self._server = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _of_another(self, lock: TextIO) -> str:
        """Return the address that the process which was first has written."""
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            lock.seek(0)
            if uri := lock.read():
                return uri
            time.sleep(0.02)
        raise Unavailable(
            f"another process has begun to serve {self._folder} and does not end; end "
            "it, or set MONGODB_URL"
        )


def _found() -> Any:
    try:
        from secantus import SecantusDBServer
    except ImportError:
        raise Misconfigured(
            "no MongoDB server is named: set MONGODB_URL to its address, as in "
            "mongodb://localhost:27017/shop; for development `pip install secantusdb` "
            "brings one along"
        ) from None
    return SecantusDBServer


def _is_ours(lock: TextIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
