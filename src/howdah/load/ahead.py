"""The next item is made by a thread while the last one is worked on.

The thread may wait for a terminal or a pipe, so it is one that nobody waits for: a load
ends at once when it is cancelled, and the process can exit.
"""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Generic, TypeVar

__all__ = ("Ahead",)

# The pause of a pipe after which a COPY is ended that could have gone on.
_SOON = 1.0

T = TypeVar("T")


class Ahead(Generic[T]):
    """Gives items in order, the next of which is in the making meanwhile."""

    def __init__(self, items: Iterator[T]) -> None:
        self._items = items
        self._loop = asyncio.get_running_loop()
        self._wanted: SimpleQueue[asyncio.Future[T | None] | None] = SimpleQueue()
        self._upcoming = self._want()
        Thread(target=self._work, daemon=True).start()

    async def next(self) -> T | None:
        """Return the next item, or None where there are no more."""
        item = await self._upcoming
        if item is not None:
            self._upcoming = self._want()
        return item

    async def soon(self) -> T | None:
        """Return what `next` will return, and take nothing, if it is there soon."""
        upcoming = self._upcoming
        if not upcoming.done():
            await asyncio.wait({upcoming}, timeout=_SOON)
        there = upcoming.done() and upcoming.exception() is None
        return upcoming.result() if there else None

    def close(self) -> None:
        """Wait for nothing more."""
        self._upcoming.cancel()
        self._wanted.put(None)

    def _want(self) -> "asyncio.Future[T | None]":
        future: asyncio.Future[T | None] = self._loop.create_future()
        self._wanted.put(future)
        return future

    def _work(self) -> None:
        """Make one item for each future, in the thread."""
        while (future := self._wanted.get()) is not None:
            item, failure = None, None
            try:
                item = next(self._items, None)
            except BaseException as exc:  # noqa: BLE001 - it is raised where it is awaited
                failure = exc
            # The loop may be closed: nobody wants the item any more.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(_settle, future, item, failure)
            # An item is not to live on here until the next one is made.
            del future, item, failure


def _settle(
    future: "asyncio.Future[T | None]", item: T | None, failure: BaseException | None
) -> None:
    if future.done():
        return
    if failure is None:
        future.set_result(item)
    else:
        future.set_exception(failure)
