"""A TCP relay between an app and PostgreSQL that counts what the app says.

It knows the frontend's half of the protocol: every message has a type of one byte and
a length, after a start that has a length alone.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import parse_qs, urlsplit

# What makes an app wait for an answer: Sync, a simple Query, Flush.
_WAITS = "SQH"
# An app may ask for encryption first; PostgreSQL refuses, and the true start follows.
_ENCRYPTION = {80877103, 80877104}


class Frontend:
    """The messages of one client, read off its stream of bytes."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._started = False

    def messages(self, data: bytes) -> str:
        """Return the types of the messages that these bytes complete."""
        self._buffer += data
        kinds = ""
        while (kind := self._message()) is not None:
            kinds += kind
        return kinds

    def _message(self) -> str | None:
        typed = 1 if self._started else 0
        length = typed + int.from_bytes(self._buffer[typed : typed + 4])
        if len(self._buffer) < max(length, typed + 4):
            return None
        message = bytes(self._buffer[:length])
        del self._buffer[:length]
        if typed:
            return chr(message[0])
        self._started = int.from_bytes(message[4:8]) not in _ENCRYPTION
        return ""


class Relay:
    """Where it listens, and what apps have said through it."""

    def __init__(self, database_url: str) -> None:
        address = urlsplit(database_url)
        query = parse_qs(address.query)
        self._socket = f"{query['host'][0]}/.s.PGSQL.{query['port'][0]}"
        self._database = address.path
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task] = set()
        self.port = 0
        self.said = ""
        """The types of all messages, in order; empty it to begin anew."""

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}{self._database}"

    @property
    def round_trips(self) -> int:
        return sum(self.said.count(kind) for kind in _WAITS)

    async def start(self) -> None:
        """Listen, at the same port as before if there was one."""
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, reuse_address=True
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Drop all connections and refuse new ones."""
        self._server.close()
        await _turns()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()
        await _turns()

    def cut(self, rand) -> None:
        """Drop a connection, whatever is on its way."""
        if self._tasks:
            rand.choice(list(self._tasks)).cancel()

    async def _serve(self, reader, writer) -> None:
        task = asyncio.current_task()
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # A cancelled relay ends quietly: asyncio would log it as a fault of a server.
        try:
            with suppress(asyncio.CancelledError, OSError):
                await self._relay(reader, writer)
        finally:
            writer.transport.abort()

    async def _relay(self, reader, writer) -> None:
        there, back = await asyncio.open_unix_connection(self._socket)
        ways = [
            asyncio.create_task(_pass_on(reader, back, self._listener())),
            asyncio.create_task(_pass_on(there, writer, lambda _: None)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            back.transport.abort()
            await asyncio.gather(*ways, return_exceptions=True)

    def _listener(self):
        frontend = Frontend()

        def listen(data: bytes) -> None:
            self.said += frontend.messages(data)

        return listen


async def _turns() -> None:
    """Let the loop get to know who has just come, and close what has been dropped."""
    for _ in range(10):
        await asyncio.sleep(0)


@asynccontextmanager
async def relaying(database_url: str) -> AsyncIterator[Relay]:
    """Relay to a database whose address is a unix socket."""
    relay = Relay(database_url)
    await relay.start()
    try:
        yield relay
    finally:
        await relay.stop()


async def _pass_on(reader, writer, listen) -> None:
    while data := await reader.read(65536):
        listen(data)
        writer.write(data)
        await writer.drain()
