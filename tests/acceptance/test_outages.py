"""A database that is there but not for us: each failure is a 503 that passes."""

import asyncio
import socket
import time
from contextlib import contextmanager
from uuid import uuid4

import psycopg
import pytest
from catalogue import NOTEBOOK, assert_problem, client_of
from psycopg import sql
from shop import create_shop, make_shop
from sqlalchemy import event
from sqlmodel import text

from howdah import Database
from howdah.errors import PoolExhausted, Timeout, Unavailable
from howdah.settings import Pool, Timeouts

pytestmark = pytest.mark.anyio

BOTH_LANES = pytest.mark.parametrize("path", ["/items/", "/session/items"])


class Admin:
    """What an operator does to the database, on a connection of its own."""

    def __init__(self, connection):
        self.connection = connection

    def do(self, statement):
        self.connection.execute(statement)

    def count(self, statement):
        return self.connection.execute(statement).fetchone()[0]

    def terminate(self):
        """End all other connections; return once they are gone."""
        return self.count(
            "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    def read_only(self, state):
        self.do(
            sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = {}").format(
                sql.Identifier(self.connection.info.dbname), sql.Literal(state)
            )
        )

    @contextmanager
    def locking(self, table):
        with self.connection.transaction():
            self.do(f"LOCK TABLE {table}")
            yield

    async def until(self, condition, *, none=False):
        """Wait until the condition is true of some other connection, or of none."""
        statement = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            f"AND pid <> pg_backend_pid() AND {condition}"
        )
        async with asyncio.timeout(30):
            while (self.count(statement) == 0) is not none:
                # In a transaction the first answer would be given for ever.
                self.do("SELECT pg_stat_clear_snapshot()")
                await asyncio.sleep(0.01)


@pytest.fixture
def shop_url(database_url):
    create_shop(database_url)
    return database_url


@pytest.fixture
def admin(shop_url):
    with psycopg.connect(shop_url, autocommit=True) as connection:
        yield Admin(connection)


@contextmanager
def within(seconds):
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds


@pytest.fixture
def opened(shop_url):
    """Open a shop with these settings: `async with opened() as (client, db)`."""

    def opened(url=shop_url, **settings):
        return _Opened(Database(url, **settings))

    return opened


class _Opened:
    def __init__(self, db):
        self.db = db
        self.app = make_shop(db)

    async def __aenter__(self):
        self.life = self.app.router.lifespan_context(self.app)
        await self.life.__aenter__()
        self.clients = client_of(self.app)
        return await self.clients.__aenter__(), self.db

    async def __aexit__(self, *exc):
        await self.clients.__aexit__(*exc)
        await self.life.__aexit__(*exc)


@BOTH_LANES
async def test_a_connection_found_closed_costs_nobody_anything(opened, admin, path):
    async with opened() as (client, db):
        sessions = []
        event.listen(
            db.engine.sync_engine,
            "connect",
            lambda connection, _: sessions.append(connection.driver_connection),
        )
        assert (await client.post(path, json=NOTEBOOK)).status_code == 201
        admin.terminate()
        await _noticed([*sessions, *(held.connection for held in db.lane._idle)])

        response = await client.post(path, json=NOTEBOOK)

    assert response.status_code == 201
    assert admin.count("SELECT count(*) FROM items") == 2


async def _noticed(connections):
    """Let the event loop read that the server has hung up."""
    async with asyncio.timeout(10):
        while not all(connection.is_closed() for connection in connections):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.001)


# How far the event loop has come in reading what a dying server sends: nothing yet, its
# last words, the end of the stream.
TURNS = pytest.mark.parametrize("turns", [0, 1, 2, 3, 4])


async def _turn(turns):
    for _ in range(turns):
        await asyncio.sleep(0)


@TURNS
async def test_a_read_that_meets_a_dead_connection_is_repeated(opened, admin, turns):
    async with opened() as (client, db):
        await client.post("/items/", json=NOTEBOOK)
        # This thread holds the event loop meanwhile: nobody can notice it in time.
        assert admin.terminate() > 0
        await _turn(turns)

        response = await client.get("/items/1")

        assert response.status_code == 200
        assert db.busy == 0


@TURNS
@BOTH_LANES
async def test_a_write_that_meets_a_dead_connection_is_not_repeated(
    opened, admin, path, turns
):
    async with opened() as (client, db):
        await client.post(path, json=NOTEBOOK)
        assert admin.terminate() > 0
        await _turn(turns)

        first = await client.post(path, json=NOTEBOOK)
        second = await client.post(path, json=NOTEBOOK)

        assert db.busy == 0
    if first.status_code != 201:
        assert turns < 4
        assert_problem(first, 503, "unavailable")
        assert first.headers["retry-after"] == "1"
    assert second.status_code == 201
    stored = [first.status_code, second.status_code].count(201) + 1
    assert admin.count("SELECT count(*) FROM items") == stored


async def test_one_dead_connection_takes_its_neighbours_along(opened, admin):
    async with opened() as (client, db):
        gets = [client.get("/items/") for _ in range(5)]
        await asyncio.gather(*gets)
        assert db.lane.idle > 1
        admin.terminate()

        statuses = [
            (await client.post("/items/", json=NOTEBOOK)).status_code for _ in range(5)
        ]

    assert statuses == [503, 201, 201, 201, 201]


@BOTH_LANES
async def test_a_connection_that_dies_under_a_statement_is_503(opened, admin, path):
    async with opened() as (client, db):
        with admin.locking("items"):
            answer = asyncio.create_task(client.post(path, json=NOTEBOOK))
            await admin.until("wait_event_type = 'Lock'")
            admin.terminate()
            response = await answer
        again = await client.post(path, json=NOTEBOOK)

        assert_problem(response, 503, "unavailable")
        assert again.status_code == 201
        assert db.busy == 0
    assert admin.count("SELECT count(*) FROM items") == 1


@BOTH_LANES
async def test_a_server_that_turned_read_only_heals_by_itself(opened, admin, path):
    async with opened() as (client, _):
        assert (await client.post(path, json=NOTEBOOK)).status_code == 201
        admin.read_only("on")
        admin.terminate()

        reads = await asyncio.gather(*(client.get("/items/1") for _ in range(5)))
        refused = await client.post(path, json=NOTEBOOK)
        admin.read_only("off")
        healed = await client.post(path, json=NOTEBOOK)

    assert {response.status_code for response in reads} == {200}
    assert_problem(refused, 503, "read_only")
    assert refused.headers["retry-after"] == "1"
    assert healed.status_code == 201


@pytest.fixture
def limited_url(shop_url, admin):
    """The address for a user who may have no connection at all."""
    name = f"limited_{uuid4().hex[:12]}"
    role = sql.Identifier(name)
    admin.do(sql.SQL("CREATE ROLE {} LOGIN CONNECTION LIMIT 0").format(role))
    yield shop_url.replace("postgres@", f"{name}@")
    admin.do(sql.SQL("DROP ROLE {}").format(role))


@pytest.mark.parametrize("path", ["/items/1", "/session/items/1", "/health/ready"])
async def test_too_many_connections_is_503(opened, limited_url, path):
    async with opened(limited_url) as (client, _):
        response = await client.get(path)

    members = assert_problem(response, 503, "unavailable")
    assert members["detail"] == "The database has no connection to spare."


@BOTH_LANES
async def test_a_lock_held_too_long_is_503(opened, admin, path):
    async with opened(timeouts=Timeouts(lock=0.1)) as (client, db):
        with admin.locking("items"):
            response = await client.post(path, json=NOTEBOOK)
        again = await client.post(path, json=NOTEBOOK)

        assert_problem(response, 503, "timeout")
        assert again.status_code == 201
        assert db.busy == 0


@BOTH_LANES
async def test_a_statement_that_takes_too_long_is_503(opened, admin, path):
    async with opened(timeouts=Timeouts(statement=0.1)) as (client, db):
        with admin.locking("items"):
            response = await client.post(path, json=NOTEBOOK)
        again = await client.post(path, json=NOTEBOOK)

        assert_problem(response, 503, "timeout")
        assert again.status_code == 201
        assert db.busy == 0


def test_the_sync_session_has_the_same_limits(shop_url):
    db = Database(shop_url, timeouts=Timeouts(statement=0.1))

    with pytest.raises(Timeout), db.sync_session() as session:
        session.exec(text("SELECT pg_sleep(10)"))

    db._sync().dispose()


async def test_a_transaction_that_idles_too_long_is_ended(opened, admin):
    async def dawdle(session):
        await session.exec(text("SELECT 1"))
        await admin.until("state = 'idle in transaction'", none=True)
        await session.exec(text("SELECT 1"))

    async with opened(timeouts=Timeouts(idle_in_transaction=0.1)) as (_, db):
        with pytest.raises(Unavailable):
            await db.run(dawdle)

        assert db.busy == 0


SMALL = Pool(size=2, timeout=0.2)


@BOTH_LANES
async def test_an_exhausted_lane_is_503_that_names_it(opened, path):
    async with opened(pool=SMALL) as (client, db):
        async with db.lane.connection(), db.transaction() as session:
            await session.connection()
            with within(5):
                response = await client.post(path, json=NOTEBOOK)
        again = await client.post(path, json=NOTEBOOK)

    members = assert_problem(response, 503, "unavailable")
    assert response.headers["retry-after"] == "1"
    lane = "fast lane" if path == "/items/" else "session lane"
    assert members["detail"].startswith(
        f"the {lane} gave no connection in 0.20 s (1 of 1 busy)"
    )
    assert again.status_code == 201


def test_an_exhausted_sync_pool_is_named(shop_url):
    db = Database(shop_url, pool=SMALL)

    with db.sync_session() as holder:
        holder.connection()
        with pytest.raises(PoolExhausted), db.sync_session() as session:
            session.connection()

    db._sync().dispose()


async def test_who_waits_gets_the_connection_that_comes_back(opened):
    async with opened(pool=Pool(size=2, timeout=30)) as (client, db):
        async with db.lane.connection(), db.transaction() as session:
            await session.connection()
            answers = [
                asyncio.create_task(client.post(path, json=NOTEBOOK))
                for path in ["/items/", "/session/items"] * 10
            ]
            await asyncio.sleep(0)
        statuses = {(await answer).status_code for answer in answers}

    assert statuses == {201}


@pytest.fixture
def silent_port():
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        yield door.getsockname()[1]


@pytest.fixture
def closed_port():
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        yield door.getsockname()[1]


# Too long for a name of the net, so that nobody is asked for it.
NO_NAME = ".".join(["x" * 60] * 5)


@pytest.mark.parametrize("path", ["/items/1", "/session/items/1", "/health/ready"])
@pytest.mark.parametrize("why", ["silent", "closed", "no name"])
async def test_an_unreachable_server_is_503_in_time(
    opened, silent_port, closed_port, why, path
):
    host = {
        "silent": f"127.0.0.1:{silent_port}",
        "closed": f"127.0.0.1:{closed_port}",
        "no name": NO_NAME,
    }[why]
    url = f"postgresql://somebody:secret@{host}/shop"

    async with opened(url, timeouts=Timeouts(connect=0.3)) as (client, _):
        with within(5):
            response = await client.get(path)

    timed_out = why == "silent" and path != "/health/ready"
    assert_problem(response, 503, "timeout" if timed_out else "unavailable")
    assert "secret" not in response.text


async def test_no_such_database_is_503(opened, shop_url):
    url = shop_url.replace("/test_", "/nowhere_")

    async with opened(url) as (client, _):
        response = await client.get("/items/1")

    assert_problem(response, 503, "unavailable")
