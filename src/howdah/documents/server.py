"""A server for development, where no address is given: secantusdb, if it is installed.

It speaks MongoDB's protocol on a socket of its own and keeps its files in a folder. It
is no MongoDB, and nothing for production.
"""

from pathlib import Path
from typing import Any

from howdah.errors import Misconfigured

__all__ = ("DevelopmentServer",)


class DevelopmentServer:
    """The server of one process, from `start` to `stop`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server: Any = None

    def start(self) -> str:
        """Start the server, and return its address."""
        try:
            from secantus import SecantusDBServer
        except ImportError:
            raise Misconfigured(
                "no MongoDB server is named: set MONGODB_URL to its address, as "
                "mongodb://localhost:27017/shop, or give it to MongoDatabase; for "
                "development `pip install secantusdb` brings one along"
            ) from None
        self._folder.mkdir(parents=True, exist_ok=True)
        self._server = SecantusDBServer(storage_path=str(self._folder))
        self._server.start()
        uri: str = self._server.uri
        return uri

    def stop(self) -> None:
        """Stop it; its files stay."""
        if self._server is not None:
            self._server.stop()
            self._server = None
