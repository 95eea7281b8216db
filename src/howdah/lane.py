"""The fast lane: asyncpg connections for statements that are their own transaction.

No ping, no reset query, no BEGIN: a statement goes out and its answer comes back, one
round trip. What is on a connection afterwards is what was there before, so the last
one used is the first one used again. Knows nothing of sessions, models or HTTP.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg

from howdah.drivers import is_disconnect, network, translate
from howdah.errors import PoolExhausted as PoolExhaustedError
from howdah.errors import Unavailable
from howdah.events import ConnectionLost, Events, PoolExhausted, StatementFinished
from howdah.settings import Pool

__all__ = ("Connect", "Lane")

Connect = Callable[[], Awaitable[asyncpg.Connection]]


class Lane:
    """A last-in first-out pool of connections, opened when they are needed.

    With `pooled`, for a server behind a pooler in transaction mode, each statement
    is wrapped in a transaction: correct there, at the price of round trips.
    """

    def __init__(
        self,
        connect: Connect,
        *,
        pool: Pool,
        events: Events,
        pooled: bool = False,
        prelude: str = "",
    ) -> None:
        self._connect = connect
        self._pool = pool
        self._events = events
        self._pooled = pooled
        self._prelude = prelude
        self._idle: list[_Held] = []
        self._waiters: deque[asyncio.Future[_Held | None]] = deque()
        self._leaving: set[asyncio.Future[None]] = set()
        self._open = 0
        self._closed = False

    def __repr__(self) -> str:
        return f"Lane({self.busy} busy, {self.idle} idle, {self.size} at most)"

    @property
    def size(self) -> int:
        """How many connections there may be."""
        return self._pool.fast

    @property
    def idle(self) -> int:
        """How many open connections nobody uses."""
        return len(self._idle)

    @property
    def busy(self) -> int:
        """How many connections are in use, being opened or being closed."""
        return self._open - len(self._idle)

    async def fetchval(
        self, statement: str, arguments: Sequence[Any] = (), *, read: bool = False
    ) -> Any:
        """Run one statement and return its only value, or None without a row.

        With read=True it is tried once more where the connection was found dead.
        """
        row = await self.fetchrow(statement, arguments, read=read)
        return None if row is None else row[0]

    async def fetchrow(
        self, statement: str, arguments: Sequence[Any] = (), *, read: bool = False
    ) -> asyncpg.Record | None:
        """Run one statement and return its first row, or None; see `fetchval`."""
        started = time.perf_counter() if self._events else 0.0
        try:
            row = await self._attempt(statement, arguments)
        except network() as exc:
            if not (read and is_disconnect(exc)):
                self._finished(statement, started, failed=True)
                raise translate(exc, statement=statement) from exc
            row = await self._again(statement, arguments, started)
        if started:
            self._finished(statement, started)
        return row

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """Lend a connection, for COPY and the like; a transaction left open is lost."""
        held = await self._acquire()
        try:
            yield held.connection
        except BaseException as exc:
            self._give_back(held, failed=exc)
            raise
        self._give_back(held)

    async def close(self) -> None:
        """Close every idle connection now and each busy one when it comes back."""
        self._closed = True
        while self._idle:
            self._abandon(self._idle.pop())
        while self._leaving:
            await asyncio.wait(self._leaving)

    async def _again(
        self, statement: str, arguments: Sequence[Any], started: float
    ) -> asyncpg.Record | None:
        try:
            return await self._attempt(statement, arguments)
        except network() as exc:
            self._finished(statement, started, failed=True)
            raise translate(exc, statement=statement) from exc

    async def _attempt(
        self, statement: str, arguments: Sequence[Any]
    ) -> asyncpg.Record | None:
        held = self._ready() or await self._acquire()
        try:
            if self._pooled:
                row = await self._in_transaction(held, statement, arguments)
            else:
                row = await held.connection.fetchrow(statement, *arguments)
        except BaseException as exc:
            self._give_back(held, failed=exc)
            raise
        self._give_back(held)
        return row

    async def _in_transaction(
        self, held: "_Held", statement: str, arguments: Sequence[Any]
    ) -> asyncpg.Record | None:
        # A pooler in transaction mode may run the two halves of a statement (parse,
        # execute) on two servers unless a transaction holds them together.
        async with held.connection.transaction():
            await held.connection.execute(self._prelude)
            return await held.connection.fetchrow(statement, *arguments)

    def _ready(self) -> "_Held | None":
        """Return the connection that was used last, if any is idle."""
        while self._idle:
            held = self._idle.pop()
            if held.fit(self._pool.recycle):
                return held
            self._drop(held)
        return None

    async def _acquire(self) -> "_Held":
        if held := self._ready():
            return held
        if self._open < self.size:
            return await self._open_another()
        return await self._wait()

    async def _open_another(self) -> "_Held":
        self._open += 1
        return await self._fill_slot()

    async def _fill_slot(self) -> "_Held":
        """Open a connection that is counted already."""
        try:
            self._check_open()
            return _Held(await self._connect())
        except BaseException:
            self._free_slot()
            raise

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the Database has been closed meanwhile")

    def _free_slot(self) -> None:
        # Who is woken takes the slot over: counted as free for a moment, it could be
        # taken by a newcomer as well, and there would be one connection too many.
        if not self._wake(None):
            self._open -= 1

    async def _wait(self) -> "_Held":
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[_Held | None] = loop.create_future()
        self._waiters.append(waiter)
        # `asyncio.timeout` says the same, and takes as long as all the rest of this.
        bell = loop.call_later(self._pool.timeout, _give_up, waiter)
        try:
            held = await waiter
        except TimeoutError:
            self._forget(waiter)
            raise self._exhausted() from None
        except BaseException:
            self._forget(waiter)
            raise
        finally:
            bell.cancel()
        return await self._fill_slot() if held is None else held

    def _forget(self, waiter: "asyncio.Future[_Held | None]") -> None:
        if waiter in self._waiters:
            self._waiters.remove(waiter)
        elif waiter.done() and not waiter.cancelled():
            # It was served in the moment in which it gave up.
            held = waiter.result()
            if held is None:
                self._free_slot()
            else:
                self._give_back(held)

    def _exhausted(self) -> PoolExhaustedError:
        waited = self._pool.timeout
        self._events.emit(PoolExhausted(lane="fast", size=self.size, waited=waited))
        return PoolExhaustedError(
            f"the fast lane gave no connection in {waited:.2f} s "
            f"({self.busy} of {self.size} busy); raise DB_POOL_SIZE"
        )

    def _give_back(self, held: "_Held", *, failed: BaseException | None = None) -> None:
        if failed is not None and _spoils(failed):
            self._lost(held, failed)
        elif self._closed or held.unclean:
            self._drop(held)
        elif not self._waiters:
            # Whether it is fit is looked at before it is used again.
            self._idle.append(held)
        elif not held.fit(self._pool.recycle):
            self._drop(held)
        elif not self._wake(held):
            self._idle.append(held)

    def _lost(self, held: "_Held", reason: BaseException) -> None:
        if not is_disconnect(reason):
            self._abandon(held)
        else:
            self._drop(held)
            # What ended this one (a restart, a failover) has ended its neighbours.
            while self._idle:
                self._drop(self._idle.pop())
        name = type(reason).__name__
        self._events.emit(ConnectionLost(lane="fast", reason=name))

    def _abandon(self, held: "_Held") -> None:
        """Close a connection whose statement nobody waits for any more.

        To be polite takes a moment, in which asyncpg tells the server to stop it.
        """
        leaving = asyncio.ensure_future(self._take_leave(held))
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    async def _take_leave(self, held: "_Held") -> None:
        try:
            # A server that is gone says no goodbye; then the socket is just closed.
            with suppress(*network()):
                await held.connection.close(timeout=_CLOSING)
        finally:
            self._free_slot()

    def _drop(self, held: "_Held") -> None:
        held.connection.terminate()
        self._free_slot()

    def _wake(self, held: "_Held | None") -> bool:
        """Hand a connection, or the right to open one, to who waits longest."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(held)
                return True
        return False

    def _finished(
        self, statement: str, started: float, *, failed: bool = False
    ) -> None:
        if self._events and started:
            seconds = time.perf_counter() - started
            self._events.emit(
                StatementFinished(
                    statement=statement, seconds=seconds, lane="fast", failed=failed
                )
            )


_CLOSING = 2.0  # seconds for a polite goodbye


class _Held:
    """A connection and the moment it was opened."""

    __slots__ = ("born", "connection")

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection
        self.born = time.monotonic()

    @property
    def unclean(self) -> bool:
        """Whether its next user would find a transaction open."""
        return bool(self.connection.is_in_transaction())

    def fit(self, recycle: float) -> bool:
        """Say whether it is open and young enough to be used."""
        if self.connection.is_closed():
            return False
        return recycle < 0 or time.monotonic() - self.born < recycle


def _give_up(waiter: "asyncio.Future[_Held | None]") -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError())


def _spoils(exc: BaseException) -> bool:
    """Say whether the connection's state is unknown after this."""
    # After an error of the server the protocol is in step; after a cancellation, a
    # time-out of our own or a broken socket nobody knows what is still to come.
    return is_disconnect(exc) or not isinstance(exc, asyncpg.PostgresError)
