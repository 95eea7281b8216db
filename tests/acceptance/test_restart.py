"""PostgreSQL goes away under load and comes back: nothing acknowledged is lost."""

import asyncio
import os
import signal
import time
from collections import Counter
from uuid import uuid4

import httpx
import psycopg
import pytest
from catalogue import assert_problem, client_of
from relay import Relay
from served import serving
from shop import create_shop, make_shop

from howdah import Database
from howdah.embedded import EmbeddedPostgres

pytestmark = pytest.mark.anyio

CLIENTS = 8
# Far above what the pools and connects may take: a hang shows, a slow machine not.
LONGEST = 10


@pytest.fixture
def own_server(tmp_path):
    """A server that waits for the disk as one in production does."""
    with EmbeddedPostgres(tmp_path / "postgres") as server:
        yield server


class Load:
    """Clients that write and read, and what they were told."""

    def __init__(self, url):
        self.url = url
        self.acknowledged = {}
        self.statuses = Counter()
        self.wrong = []
        self.slowest = 0.0
        self.answered = asyncio.Condition()
        self.ended = False

    async def run(self):
        async with httpx.AsyncClient(base_url=self.url, timeout=60) as client:
            while not self.ended:
                await self._turn(client)

    async def _turn(self, client):
        name = uuid4().hex
        path = "/items/" if len(self.acknowledged) % 2 else "/session/items"
        response = await self._ask(client.post(path, json={"name": name, "price": 1}))
        if response.status_code == 201:
            key = self.acknowledged[name] = response.json()["id"]
            await self._ask(client.get(f"/items/{key}"))

    async def _ask(self, answer):
        started = time.monotonic()
        response = await answer
        self.slowest = max(self.slowest, time.monotonic() - started)
        self.statuses[response.status_code] += 1
        if response.status_code == 503:
            if "retry-after" not in response.headers:
                self.wrong.append(response.text)
            assert_problem(response, 503, response.json()["code"])
        elif response.status_code not in {200, 201}:
            self.wrong.append(response.text)
        async with self.answered:
            self.answered.notify_all()
        return response

    async def more(self, status, count):
        """Wait until so many more answers have this status."""
        enough = self.statuses[status] + count
        async with asyncio.timeout(60):
            async with self.answered:
                await self.answered.wait_for(lambda: self.statuses[status] >= enough)


@pytest.mark.slow
async def test_a_restart_under_load_loses_nothing(own_server, tmp_path):
    create_shop(own_server.url())

    with serving(own_server.url(), tmp_path) as served:
        load = Load(served.url)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(CLIENTS):
                tasks.create_task(load.run())
            for how in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
                await load.more(201, 100)
                os.kill(own_server.pid, how)
                await load.more(503, 3 * CLIENTS)
                await asyncio.to_thread(own_server.start)
            await load.more(201, 100)
            load.ended = True

    assert load.wrong == []
    assert load.slowest < LONGEST
    with psycopg.connect(own_server.url()) as connection:
        stored = connection.execute("SELECT name, id FROM items").fetchall()
    assert len({name for name, _ in stored}) == len(stored)
    assert load.acknowledged.items() <= dict(stored).items()
    assert "Traceback" not in served.log.read_text()


async def test_an_app_starts_without_its_database_and_is_ready_when_it_comes(
    database_url,
):
    create_shop(database_url)
    relay = Relay(database_url)
    await relay.start()
    await relay.stop()
    app = make_shop(Database(relay.url))

    async with app.router.lifespan_context(app), client_of(app) as client:
        assert (await client.get("/health/live")).status_code == 200
        assert_problem(await client.get("/health/ready"), 503, "unavailable")
        assert_problem(await client.get("/items/"), 503, "unavailable")
        assert_problem(await client.get("/session/items/1"), 503, "unavailable")

        await relay.start()

        assert (await client.get("/health/ready")).json()["status"] == "ready"
        assert (await client.get("/items/")).status_code == 200
        assert (await client.get("/session/items/1")).status_code == 404
    await relay.stop()


async def test_an_app_that_loses_its_database_says_so_and_recovers(database_url):
    create_shop(database_url)
    relay = Relay(database_url)
    await relay.start()
    app = make_shop(Database(relay.url))

    async with app.router.lifespan_context(app), client_of(app) as client:
        assert (await client.get("/health/ready")).status_code == 200
        await relay.stop()
        assert_problem(await client.get("/health/ready"), 503, "unavailable")
        assert (await client.get("/health/live")).status_code == 200
        await relay.start()
        assert (await client.get("/health/ready")).status_code == 200
    await relay.stop()
