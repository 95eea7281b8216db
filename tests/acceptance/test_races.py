"""Many clients at once, over real HTTP: nothing is lost, doubled or half done."""

import asyncio
import random
from collections import Counter
from contextlib import asynccontextmanager
from uuid import uuid4

import httpx
import psycopg
import pytest
from catalogue import NOTEBOOK
from relay import relaying
from served import serving
from shop import create_shop

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

CLIENTS = 50
CREATED = 250


@pytest.fixture(scope="module")
def served(server, tmp_path_factory):
    """One app for all tests; to start one takes longer than a race."""
    name = f"races_{uuid4().hex[:12]}"
    server.create_database(name)
    create_shop(server.url(name))
    with serving(server.url(name), tmp_path_factory.mktemp("races")) as served:
        served.database_url = server.url(name)
        yield served
    server.drop_database(name)


@pytest.fixture
async def client(served):
    """A client that opens a connection for each of those who come at once."""
    with psycopg.connect(served.database_url, autocommit=True) as connection:
        connection.execute(
            "TRUNCATE items, categories, howdah_idempotency RESTART IDENTITY CASCADE"
        )
    async with crowd(served) as client:
        yield client


def crowd(served):
    limits = httpx.Limits(max_connections=CLIENTS)
    return httpx.AsyncClient(base_url=served.url, timeout=60, limits=limits)


async def all_at_once(calls):
    return await asyncio.gather(*calls)


def statuses(answers):
    return Counter(answer.status_code for answer in answers)


async def total(client, query=""):
    return (await client.get(f"/items/count?{query}")).json()["total"]


async def test_one_client_wins_each_version(client):
    await client.post("/items/", json={**NOTEBOOK, "price": 1})

    for version in range(1, 6):
        row = await client.get("/items/1")
        match = {"If-Match": row.headers["etag"]}
        change = {"price": row.json()["price"] + 1}
        answers = await all_at_once(
            client.patch("/items/1", json=change, headers=match) for _ in range(CLIENTS)
        )

        assert statuses(answers) == {200: 1, 412: CLIENTS - 1}
        assert {a.json().get("code") for a in answers} == {None, "stale"}
        assert (await client.get("/items/1")).json()["price"] == version + 1


async def test_no_update_is_lost(client):
    await client.post("/items/", json={**NOTEBOOK, "price": 1})

    async def add_one():
        while True:
            row = await client.get("/items/1")
            match = {"If-Match": row.headers["etag"]}
            change = {"price": row.json()["price"] + 1}
            answer = await client.patch("/items/1", json=change, headers=match)
            if answer.status_code == 200:
                return answer.json()["price"]
            assert answer.status_code == 412

    reached = await all_at_once(add_one() for _ in range(CLIENTS))

    assert sorted(reached) == list(range(2, CLIENTS + 2))
    assert (await client.get("/items/1")).json()["price"] == CLIENTS + 1


async def test_one_client_gets_a_unique_value(client):
    for name in ("Paper", "Ink", "Books"):
        answers = await all_at_once(
            client.post("/categories/", json={"name": name}) for _ in range(CLIENTS)
        )

        assert statuses(answers) == {201: 1, 409: CLIENTS - 1}
        refused = [a.json() for a in answers if a.status_code == 409]
        assert {each["code"] for each in refused} == {"duplicate"}
        assert {each["errors"][0]["field"] for each in refused} == {"name"}

    assert (await client.get("/categories/count")).json() == {"total": 3}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param("/items/", NOTEBOOK, id="create"),
        pytest.param("/items/batch", [NOTEBOOK, NOTEBOOK], id="batch"),
        pytest.param("/categories/", {"name": "Paper"}, id="unique"),
    ],
)
async def test_one_key_is_one_creation(client, path, body):
    collection = path.removesuffix("batch")
    for key in ("a", "b", "c"):
        if "name" in body:
            body = {**body, "name": key}
        headers = {"Idempotency-Key": key}
        answers = await all_at_once(
            client.post(path, json=body, headers=headers) for _ in range(20)
        )
        last = await client.post(path, json=body, headers=headers)

        refused = [a.json()["code"] for a in answers if a.status_code == 409]
        created = [a for a in (*answers, last) if a.status_code == 201]
        assert len(refused) + len(created) == 21
        assert set(refused) <= {"still_running"}
        assert len({a.content for a in created}) == 1
        firsts = [a for a in created if "idempotency-replayed" not in a.headers]
        assert len(firsts) == 1

    rows = (await client.get(f"{collection}count")).json()["total"]
    assert rows == (6 if isinstance(body, list) else 3)


async def test_a_creation_survives_the_death_of_its_connection(database_url, tmp_path):
    """Who sends it until it is answered has one row, whatever dies meanwhile."""
    create_shop(database_url)
    async with relaying(database_url) as relay:
        with serving(relay.url, tmp_path) as served:
            async with crowd(served) as client, havoc(relay, database_url) as havocs:
                answers = await all_at_once(
                    persistently(client, f"Item-{number}") for number in range(CREATED)
                )
            async with crowd(served) as client:
                rows = (await client.get("/items/count")).json()["total"]

    assert min(havocs.values()) > 1
    rows_of = {answer.json()["name"]: answer.json()["id"] for answer in answers}
    assert len(rows_of) == len(set(rows_of.values())) == rows == CREATED


async def persistently(client, name):
    """Create an item as a client should: again and again, until it is answered."""
    item, key = {**NOTEBOOK, "name": name}, {"Idempotency-Key": name}
    for _ in range(1000):
        answer = await client.post("/items/", json=item, headers=key)
        if answer.status_code == 201:
            return answer
        assert answer.status_code == 503 or still_running(answer), answer.text
        await asyncio.sleep(0.02)
    raise AssertionError(f"{name} was never answered")


def still_running(answer):
    return answer.status_code == 409 and answer.json()["code"] == "still_running"


# An end to it lets the slowest machine come to one as well.
_HAVOC = 15


@asynccontextmanager
async def havoc(relay, database_url):
    """End backends, and cut wires with answers on them, until the end of the block."""
    rand, done = random.Random(3), Counter(killed=0, cut=0)

    async def rage(connection):
        for _ in range(_HAVOC):
            await asyncio.sleep(rand.uniform(0.01, 0.1))
            relay.cut(rand)
            done["cut"] += 1
            await asyncio.sleep(rand.uniform(0.01, 0.1))
            found = await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                "datname = current_database() AND pid <> pg_backend_pid() "
                "ORDER BY random() LIMIT 1"
            )
            done["killed"] += len(await found.fetchall())

    connecting = psycopg.AsyncConnection.connect(database_url, autocommit=True)
    async with await connecting as connection:
        raging = asyncio.create_task(rage(connection))
        try:
            yield done
        finally:
            raging.cancel()
            await asyncio.gather(raging, return_exceptions=True)
