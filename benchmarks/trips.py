"""Round trips of a request, counted on the wire between a contender and PostgreSQL."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

__all__ = ("Counter", "counting")

_ENDS = {ord("Q"), ord("S"), ord("H")}  # Query, Sync, Flush: the client now waits


class Counter:
    """How often a client has waited for the server."""

    def __init__(self) -> None:
        self.trips = 0
        self.port = 0


@contextmanager
def counting(host: str, port: int) -> Iterator[Counter]:
    """Relay connections to PostgreSQL and count until the end of the block."""
    counter, loop = Counter(), asyncio.new_event_loop()
    ready = threading.Event()

    async def serve() -> None:
        async def relay(reader: Any, writer: Any) -> None:
            there = await asyncio.open_connection(host, port)
            # A contender that is ended does not say goodbye to PostgreSQL.
            with suppress(ConnectionError):
                await asyncio.gather(
                    _forward(reader, there[1], counter), _copy(there[0], writer)
                )

        server = await asyncio.start_server(relay, "127.0.0.1", 0)
        counter.port = server.sockets[0].getsockname()[1]
        ready.set()

    loop.create_task(serve())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    ready.wait()
    try:
        yield counter
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


async def _forward(reader: Any, writer: Any, counter: Counter) -> None:
    """Pass on what the client says, message by message."""
    try:
        # The first message has no type byte; an SSL request is answered and repeated.
        while True:
            size = await reader.readexactly(4)
            body = await reader.readexactly(int.from_bytes(size) - 4)
            writer.write(size + body)
            if body[:4] != b"\x04\xd2\x16\x2f":
                break
        while True:
            head = await reader.readexactly(5)
            body = await reader.readexactly(int.from_bytes(head[1:]) - 4)
            counter.trips += head[0] in _ENDS
            writer.write(head + body)
            await writer.drain()
    except asyncio.IncompleteReadError:
        writer.close()


async def _copy(reader: Any, writer: Any) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
