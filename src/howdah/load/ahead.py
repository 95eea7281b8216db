"""The next item is made by a thread while the last one is worked on.

The thread may wait for a terminal or a pipe, so it is one that nobody waits for: a load
ends at once when it is cancelled, and the process can exit.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import suppress
from threading import Thread
from typing import Generic, TypeVar

__all__ = ("read_ahead",)

T = TypeVar("T")


async def read_ahead(items: Iterator[T]) -> AsyncGenerator[T]:
    """Give the items in order, and have the next one made meanwhile."""
    upcoming = _Next(items).start()
    try:
        while (found := await upcoming) is not None:
            upcoming = _Next(items).start()
            yield found
    finally:
        upcoming.cancel()


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
