"""Clients that hang up and tasks that are cancelled leave no connection behind."""

import asyncio
import gc
import json
import random
import socket
import struct
import time
from contextlib import closing, suppress

import httpx
import psycopg
import pytest
from catalogue import NOTEBOOK, Category
from served import get, post, serving
from shop import create_shop
from sqlmodel import func, select

from howdah import Database

pytestmark = pytest.mark.anyio

# A third of the clients does not wait for the end of the answer: some go at once, some
# after a few bytes; some say goodbye, some just reset the connection.
REQUESTS = [
    post("/items/", NOTEBOOK),
    get("/items/1"),
    get("/items/?limit=5"),
    get("/items/search?q=book&limit=5"),
    get("/items/count?active_only=false"),
    post("/session/items", NOTEBOOK),
    get("/session/items/1"),
    post("/items/batch", [NOTEBOOK, NOTEBOOK]),
    post("/faults/raised", {"name": "Rock"}),
    post("/orders", {"category_id": 77}),
    post("/items/", {"name": ""}),
]
EXPECTED = {200, 201, 409, 422, 500}


@pytest.fixture
def served(database_url, tmp_path):
    create_shop(database_url)
    with serving(database_url, tmp_path, DB_POOL_TIMEOUT="30") as served:
        httpx.post(f"{served.url}/items/", json=NOTEBOOK).raise_for_status()
        yield served


@pytest.mark.slow
def test_ten_thousand_requests_one_after_the_other_leave_nothing(served, database_url):
    statuses = set()

    with closing(Patient(served)) as patient:
        for number in range(10_000):
            request = REQUESTS[number % len(REQUESTS)]
            if number % 3:
                statuses.add(patient.ask(request))
            else:
                hang_up(served, request, after=number % 2 * 20)

    assert statuses == EXPECTED
    assert_nothing_is_left(served, database_url)


class Patient:
    """A client that hears every answer to its end, on one connection if it may."""

    def __init__(self, served):
        self.served = served
        self._open()

    def _open(self):
        self.connection = self.served.connect()
        self.answers = self.connection.makefile("rb")

    def close(self):
        self.answers.close()
        self.connection.close()

    def ask(self, request):
        self.connection.sendall(request)
        status = int(self.answers.readline().split()[1])
        length = 0
        while (line := self.answers.readline().lower()) != b"\r\n":
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        self.answers.read(length)
        if status == 500:
            # uvicorn hangs up behind a fault of the app.
            self.close()
            self._open()
        return status


def hang_up(served, request, *, after):
    with served.connect() as connection:
        connection.sendall(request)
        if after:
            connection.recv(after)
        reset_on_close(connection)


def reset_on_close(connection):
    if random.random() < 0.5:
        linger = struct.pack("ii", 1, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


@pytest.mark.slow
async def test_five_hundred_requests_at_once_leave_nothing(served, database_url):
    async def client(number):
        request = REQUESTS[number % len(REQUESTS)]
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(request)
        if number % 3:
            status = int((await reader.readline()).split()[1])
        else:
            status = None
            await reader.read(number % 2 * 20)
            reset_on_close(writer.get_extra_info("socket"))
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        return status

    async with asyncio.timeout(60):
        statuses = await asyncio.gather(*(client(number) for number in range(500)))

    assert set(statuses) == {*EXPECTED, None}
    assert_nothing_is_left(served, database_url)


async def test_clients_that_leave_during_a_statement_leave_nothing(
    served, database_url
):
    for _ in range(12):
        hang_up(served, post("/sleep?seconds=0.2", {}), after=0)

    assert_nothing_is_left(served, database_url)


def assert_nothing_is_left(served, database_url):
    """The app's counters and PostgreSQL's agree that nobody works or waits."""
    counters = quiet(served)
    with psycopg.connect(database_url, autocommit=True) as connection:
        states = connection.execute(
            "SELECT state FROM pg_stat_activity WHERE datname = current_database() "
            "AND application_name = 'howdah'"
        ).fetchall()
    assert {state for (state,) in states} == {"idle"}
    assert len(states) == counters["lane_idle"] + counters["sessions_in"]
    assert len(states) <= counters["budget"]
    log = served.log.read_text()
    assert "non-checked-in" not in log
    assert "never retrieved" not in log
    assert log.count("Traceback") == log.count("RuntimeError: after the insert")
    with httpx.Client(base_url=served.url) as client:
        assert client.get("/items/1").status_code == 200


def quiet(served):
    """Return the counters once the requests whose clients left have ended."""
    deadline = time.monotonic() + 30
    with httpx.Client(base_url=served.url, timeout=30) as client:
        while True:
            counters = client.get("/counters").json()
            if not counters["busy"] or time.monotonic() > deadline:
                break
    assert counters["busy"] == counters["lane_busy"] == counters["sessions_out"] == 0
    return counters


async def test_a_storm_of_cancellations_leaves_nothing(database_url, caplog):
    create_shop(database_url)

    async with Database(database_url) as db:
        works = [_on_the_lane(db), _in_a_transaction(db), _in_a_run(db)]
        tasks = [asyncio.create_task(works[number % 3]()) for number in range(300)]
        for task in tasks:
            asyncio.get_running_loop().call_later(random.uniform(0, 0.05), task.cancel)
        async with asyncio.timeout(60):
            results = await asyncio.gather(*tasks, return_exceptions=True)

        wrong = [
            result
            for result in results
            if isinstance(result, BaseException)
            and not isinstance(result, asyncio.CancelledError)
        ]
        assert wrong == []
        # A connection whose statement was cancelled takes its leave behind the task.
        async with asyncio.timeout(30):
            while db.busy:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
        assert db.engine.pool.checkedout() == 0
        assert await _other_states(db) <= {"idle"}
        assert db.lane.idle <= db.lane.size

    gc.collect()
    noise = [record.getMessage() for record in caplog.records]
    assert not [line for line in noise if "non-checked-in" in line]
    assert not [line for line in noise if "never retrieved" in line]


def _on_the_lane(db):
    return lambda: db.lane.fetchval("SELECT pg_sleep(0.02)::text")


def _in_a_transaction(db):
    async def work():
        async with db.transaction() as session:
            session.add(Category(name=str(random.random())))
            await session.flush()
            await session.exec(select(func.pg_sleep(0.02)))

    return work


def _in_a_run(db):
    async def work(session):
        session.add(Category(name=str(random.random())))
        await session.flush()

    return lambda: db.run(work)


async def _other_states(db):
    """Return the states of the other connections once none is at work."""
    statement = (
        "SELECT json_agg(state)::text FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND backend_type = 'client backend'"
    )
    async with asyncio.timeout(30):
        while '"active"' in (states := await db.lane.fetchval(statement) or "[]"):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    return set(json.loads(states))
