"""The next item is made by a thread while the last one is worked on.

The thread may wait for a terminal or a pipe, so it is one that nobody waits for: a load
ends at once when it is cancelled, and the process can exit.
"""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
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
        self._upcoming = _Next(items).start()

    async def next(self) -> T | None:
        """Return the next item, or None where there are no more."""
        item = await self._upcoming
        if item is not None:
            self._upcoming = _Next(self._items).start()
        return item

    async def soon(self) -> T | None:
        """Return what `next` will return, and take nothing, if it is there soon."""
        upcoming = self._upcoming
        await asyncio.wait({upcoming}, timeout=_SOON)
        there = upcoming.done() and upcoming.exception() is None
        return upcoming.result() if there else None

    def close(self) -> None:
        """Wait for nothing more."""
        self._upcoming.cancel()


class _Next(Generic[T]):
    """One item in the making; None where there is no more."""

    def __init__(self, items: Iterator[T]) -> None:
        self._items = items
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[T | None] = self._loop.create_future()

    def start(self) -> "asyncio.Future[T | None]":
        Thread(target=self._make, daemon=True).start()
        return self._future

    def _make(self) -> None:
        item, failure = None, None
        try:
            item = next(self._items, None)
        except BaseException as exc:  # noqa: BLE001 - it is raised where it is awaited
            failure = exc
        # The loop may be closed: nobody wants the item any more.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._settle, item, failure)

    def _settle(self, item: T | None, failure: BaseException | None) -> None:
        if self._future.done():
            return
        if failure is None:
            self._future.set_result(item)
        else:
            self._future.set_exception(failure)
