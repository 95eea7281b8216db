"""The fast lane: a pool whose every turn is accounted for."""

import asyncio
import time
from uuid import uuid4

import asyncpg
import psycopg
import pytest

from howdah.connection import connect, set_limits
from howdah.errors import Duplicate, PoolExhausted, Timeout, Unavailable
from howdah.events import ConnectionLost, Events, StatementFinished
from howdah.events import PoolExhausted as PoolExhaustedEvent
from howdah.lane import Lane
from howdah.settings import DatabaseURL, Pool, Timeouts

pytestmark = pytest.mark.anyio

PID = "SELECT pg_backend_pid()"


@pytest.fixture(scope="module")
def url(server):
    name = f"lane_{uuid4().hex[:12]}"
    server.create_database(name)
    yield DatabaseURL.parse(server.url(name))
    server.drop_database(name)


class Door:
    """Opens connections, counts them, and fails when it is told to."""

    def __init__(self, url: DatabaseURL) -> None:
        self.url = url
        self.opened = 0
        self.broken = False
        self.delay = 0.0

    async def __call__(self) -> asyncpg.Connection:
        await asyncio.sleep(self.delay)
        if self.broken:
            raise Unavailable
        self.opened += 1
        return await connect(self.url, Timeouts(statement=20))


@pytest.fixture
def door(url):
    return Door(url)


@pytest.fixture
def events():
    return Events()


@pytest.fixture
async def make(door, events):
    """Make lanes of `size` connections, which are closed behind the test."""
    lanes = []

    def make(size: int = 1, **options) -> Lane:
        pooled = options.pop("pooled", False)
        pool = Pool(size=2 * size, **{"timeout": 0.2, **options})
        prelude = set_limits(Timeouts(statement=7))
        lane = Lane(door, pool=pool, events=events, pooled=pooled, prelude=prelude)
        lanes.append(lane)
        return lane

    yield make
    for lane in lanes:
        await lane.close()


def kill(url: DatabaseURL, pid: int) -> None:
    with psycopg.connect(url.reveal(), autocommit=True) as admin:
        admin.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])


def await_running(url: DatabaseURL, what: str, count: int) -> None:
    """Return once so many statements like this run; poll for five seconds."""
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' "
        "AND query LIKE %s AND pid <> pg_backend_pid()"
    )
    with psycopg.connect(url.reveal(), autocommit=True) as admin:
        for _ in range(250):
            if admin.execute(query, [what]).fetchone() == (count,):
                return
            time.sleep(0.02)
    pytest.fail(f"there are never {count} of {what}")


async def settled(lane: Lane) -> None:
    """Return once nothing is in use; who was cancelled takes leave for a moment."""
    for _ in range(500):
        if not lane.busy:
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"never settled: {lane}")


async def test_nothing_is_opened_before_it_is_needed(make, door):
    lane = make(3)

    assert (door.opened, lane.idle, lane.busy, lane.size) == (0, 0, 0, 3)
    assert repr(lane) == "Lane(0 busy, 0 idle, 3 at most)"


async def test_the_last_one_used_is_the_first_one_used_again(make, door):
    lane = make(3)
    async with lane.connection() as first, lane.connection() as second:
        pids = [await c.fetchval(PID) for c in (first, second)]

    # `first` came back last.
    assert [await lane.fetchval(PID) for _ in range(3)] == [pids[0]] * 3
    assert (door.opened, lane.idle, lane.busy) == (2, 2, 0)


async def test_there_are_never_more_than_the_size(make, door):
    lane = make(2, timeout=5)

    await asyncio.gather(*(lane.fetchval("SELECT pg_sleep(.005)") for _ in range(40)))

    assert (door.opened, lane.idle, lane.busy) == (2, 2, 0)


async def test_who_waits_longest_is_served_first(make):
    lane = make(1, timeout=5)
    served = []

    async def use(name: int) -> None:
        await lane.fetchval("SELECT 1")
        served.append(name)

    async with lane.connection():
        tasks = [asyncio.create_task(use(name)) for name in range(5)]
        await asyncio.sleep(0.01)
        assert served == []
    await asyncio.gather(*tasks)

    assert served == [0, 1, 2, 3, 4]


async def test_waiting_ends_with_a_plain_text(make, events):
    lane, heard = make(1, timeout=0.05), []
    events.listen(heard.append)

    async with lane.connection():
        with pytest.raises(PoolExhausted) as caught:
            await lane.fetchval("SELECT 1")

    assert str(caught.value) == (
        "the fast lane gave no connection in 0.05 s (1 of 1 busy); raise DB_POOL_SIZE"
    )
    assert heard == [PoolExhaustedEvent(lane="fast", size=1, waited=0.05)]
    assert await lane.fetchval("SELECT 1") == 1
    assert lane.busy == 0


async def test_a_waiter_that_is_cancelled_leaves_no_trace(make, door):
    lane = make(1, timeout=5)

    async with lane.connection():
        waiter = asyncio.create_task(lane.fetchval("SELECT 1"))
        await asyncio.sleep(0.01)
        waiter.cancel()
        await asyncio.gather(waiter, return_exceptions=True)

    assert (lane.busy, lane.idle) == (0, 1)
    assert await lane.fetchval("SELECT 1") == 1
    assert door.opened == 1


@pytest.mark.parametrize("spoiled", [False, True])
async def test_a_waiter_cancelled_while_it_is_served_hands_on(make, spoiled):
    lane = make(1, timeout=5)

    async with lane.connection() as connection:
        first = asyncio.create_task(lane.fetchval("SELECT 1"))
        second = asyncio.create_task(lane.fetchval("SELECT 2"))
        await asyncio.sleep(0.01)
        if spoiled:
            await connection.execute("BEGIN")
    # It has been served and has not run since.
    first.cancel()

    assert await second == 2
    with pytest.raises(asyncio.CancelledError):
        await first
    assert (lane.busy, lane.idle) == (0, 1)


async def test_a_statement_that_is_cancelled_is_stopped_on_the_server(make, url):
    lane = make(1)
    task = asyncio.create_task(lane.fetchval("SELECT pg_sleep(17)"))
    await asyncio.to_thread(await_running, url, "%pg_sleep(17)%", 1)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    await asyncio.to_thread(await_running, url, "%pg_sleep(17)%", 0)
    # The size is one, so this has waited until the other has been closed.
    assert await lane.fetchval("SELECT 1") == 1
    assert (lane.busy, lane.idle) == (0, 1)


async def test_a_storm_of_cancellations_leaks_nothing(make, url):
    lane = make(3, timeout=5)
    tasks = [
        asyncio.create_task(lane.fetchval("SELECT pg_sleep(.01)")) for _ in range(90)
    ]

    for number, task in enumerate(tasks):
        if number % 3:
            await asyncio.sleep(0.001)
            task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    assert lane.busy + lane.idle <= lane.size
    assert await asyncio.gather(*(lane.fetchval("SELECT 1") for _ in range(9))) == (
        [1] * 9
    )
    await asyncio.to_thread(await_running, url, "%pg_sleep(.01)%", 0)
    await settled(lane)


async def test_a_connection_that_cannot_be_opened_frees_its_place(make, door):
    lane = make(1, timeout=5)
    door.broken, door.delay = True, 0.02

    results = await asyncio.gather(
        *(lane.fetchval("SELECT 1") for _ in range(5)), return_exceptions=True
    )

    assert [type(result) for result in results] == [Unavailable] * 5
    assert lane.busy == 0
    door.broken = False
    assert await lane.fetchval("SELECT 1") == 1


async def test_a_place_given_up_to_a_waiter_is_not_taken_twice(make, door):
    lane = make(1, timeout=5)

    async with lane.connection() as connection:
        waiter = asyncio.create_task(lane.fetchval("SELECT pg_sleep(.02)"))
        await asyncio.sleep(0.01)
        await connection.execute("BEGIN")
    # The connection was dropped, and the waiter has not run since.
    newcomer = asyncio.create_task(lane.fetchval("SELECT pg_sleep(.02)"))
    await asyncio.sleep(0)
    assert lane.busy <= lane.size

    await asyncio.gather(waiter, newcomer)

    assert lane.idle == 1


async def test_an_old_connection_is_replaced(make, door):
    lane = make(1, recycle=0.05)
    await lane.fetchval("SELECT 1")

    await asyncio.sleep(0.06)
    await lane.fetchval("SELECT 1")

    assert door.opened == 2


async def test_an_old_connection_is_replaced_though_others_wait(make, door):
    lane = make(1, recycle=0.05, timeout=5)

    await asyncio.gather(*(lane.fetchval("SELECT pg_sleep(.03)") for _ in range(6)))

    assert door.opened > 1


async def test_a_connection_may_be_kept_for_ever(make, door):
    lane = make(1, recycle=-1)

    for _ in range(3):
        await lane.fetchval("SELECT 1")

    assert door.opened == 1


async def test_a_read_on_a_dead_connection_is_tried_again(make, url, events):
    lane, heard = make(1), []
    pid = await lane.fetchval(PID)
    events.listen(heard.append)

    # Killed in the middle, so the socket cannot be seen to be closed before.
    reading = asyncio.create_task(
        lane.fetchval(
            "SELECT pg_sleep(.2) WHERE pg_backend_pid() = $1", [pid], read=True
        )
    )
    await asyncio.sleep(0.05)
    await asyncio.to_thread(kill, url, pid)
    await reading

    assert [type(event) for event in heard] == [ConnectionLost, StatementFinished]
    assert heard[1].failed is False


async def test_a_write_on_a_dead_connection_is_not_tried_again(make, url, door):
    lane = make(1)
    pid = await lane.fetchval(PID)

    writing = asyncio.create_task(lane.fetchval("SELECT pg_sleep(5)"))
    await asyncio.sleep(0.05)
    await asyncio.to_thread(kill, url, pid)

    with pytest.raises(Unavailable):
        await writing
    assert (door.opened, lane.busy, lane.idle) == (1, 0, 0)


async def test_a_read_is_tried_again_once_only(make, door, events):
    lane, heard = make(1), []
    events.listen(heard.append)

    with pytest.raises(Unavailable):
        await lane.fetchval("SELECT pg_terminate_backend(pg_backend_pid())", read=True)

    assert door.opened == 2
    assert [type(event) for event in heard] == (
        [ConnectionLost, ConnectionLost, StatementFinished]
    )


async def test_a_connection_seen_to_be_dead_is_not_used(make, url, door, events):
    lane, heard = make(1), []
    events.listen(heard.append)
    await asyncio.to_thread(kill, url, await lane.fetchval(PID))
    await asyncio.sleep(0.05)

    assert await lane.fetchval("SELECT 1") == 1
    assert door.opened == 2


async def test_the_neighbours_of_a_dead_connection_are_dropped(make, door):
    lane = make(3)
    async with lane.connection(), lane.connection(), lane.connection():
        pass
    assert lane.idle == 3

    with pytest.raises(Unavailable):
        await lane.fetchval("SELECT pg_terminate_backend(pg_backend_pid())")

    assert (lane.idle, lane.busy) == (0, 0)


async def test_an_error_of_the_server_costs_no_connection(make, door, events):
    lane, heard = make(1), []
    events.listen(heard.append)

    for _ in range(3):
        with pytest.raises(Duplicate):
            await lane.fetchval(
                "DO $$BEGIN RAISE EXCEPTION USING ERRCODE = '23505'; END$$"
            )

    assert (door.opened, lane.idle) == (1, 1)
    assert [event.failed for event in heard] == [True, True, True]


async def test_a_transaction_left_open_is_lost(make):
    lane = make(1)
    await lane.fetchrow("CREATE TABLE left_open (id int)")

    async with lane.connection() as connection:
        await connection.execute("BEGIN; INSERT INTO left_open VALUES (1)")

    assert (lane.busy, lane.idle) == (0, 0)
    assert await lane.fetchval("SELECT count(*) FROM left_open") == 0


async def test_a_connection_survives_an_error_of_the_server_in_its_block(make, door):
    lane = make(1)

    with pytest.raises(asyncpg.UndefinedTableError):
        async with lane.connection() as connection:
            await connection.execute("SELECT * FROM nowhere")

    assert (lane.idle, door.opened) == (1, 1)


async def test_a_lane_that_is_closed_drops_what_comes_back(make, door):
    lane = make(2, timeout=5)
    async with lane.connection(), lane.connection():
        waiter = asyncio.create_task(lane.fetchval("SELECT 1"))
        await asyncio.sleep(0.01)
        await lane.close()

    with pytest.raises(Unavailable, match="has been closed"):
        await waiter
    with pytest.raises(Unavailable, match="has been closed"):
        await lane.fetchval("SELECT 1")
    assert (lane.busy, lane.idle, door.opened) == (0, 0, 2)


async def test_a_lane_closes_though_the_server_is_gone(make, url):
    lane = make(1)
    await asyncio.to_thread(kill, url, await lane.fetchval(PID))

    await lane.close()

    assert (lane.busy, lane.idle) == (0, 0)


async def test_behind_a_pooler_each_statement_is_a_transaction_with_limits(make):
    lane = make(1, pooled=True)

    assert await lane.fetchval("SHOW statement_timeout") == "7s"
    assert await lane.fetchval("SELECT $1::int + 1", [1]) == 2
    async with lane.connection() as connection:
        # The limits were for the transactions alone; others use the connection next.
        assert await connection.fetchval("SHOW statement_timeout") == "20s"


async def test_no_row_is_none(make):
    lane = make(1)

    assert await lane.fetchval("SELECT 1 WHERE false") is None
    assert await lane.fetchrow("SELECT 1 WHERE false") is None


async def test_a_server_that_stops_answering_is_a_timeout(url, events):
    heard = []
    events.listen(heard.append)

    async def impatient() -> asyncpg.Connection:
        return await asyncpg.connect(url.for_asyncpg(), command_timeout=0.1)

    lane = Lane(impatient, pool=Pool(size=2), events=events)

    with pytest.raises(Timeout):
        await lane.fetchval("SELECT pg_sleep(5)", read=True)

    # It was tried once: another try would only add to what the server has to do.
    assert [type(event) for event in heard] == [ConnectionLost, StatementFinished]
    await lane.close()
