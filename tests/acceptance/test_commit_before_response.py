"""What was answered is stored, and what was not stored is answered so."""

from contextlib import suppress
from typing import Annotated

import psycopg
import pytest
import sqlalchemy
from catalogue import NOTEBOOK, Category, assert_problem, client_of
from fastapi import BackgroundTasks, Depends, FastAPI
from served import post, serving
from shop import create_shop, make_shop
from sqlalchemy.exc import DBAPIError
from sqlmodel.ext.asyncio.session import AsyncSession

from howdah import Database, Misconfigured, connect
from howdah.errors import MissingReference, TransactionAborted

pytestmark = pytest.mark.anyio

ROCK = {"name": "Rock"}
INSERT_ROCK = sqlalchemy.insert(Category).values(name="Rock")
ORPHAN = sqlalchemy.text("INSERT INTO orders (category_id) VALUES (77)")


@pytest.fixture
def shop_url(database_url):
    create_shop(database_url)
    return database_url


@pytest.fixture
async def db(shop_url):
    async with Database(shop_url) as db:
        yield db


@pytest.fixture
async def client(db):
    async with client_of(make_shop(db)) as client:
        yield client


@pytest.fixture
def sync_session(shop_url):
    db = Database(shop_url)
    yield db.sync_session
    db._sync().dispose()


@pytest.fixture
def stored(shop_url):
    """Count rows as a stranger sees them: on a connection of its own."""
    with psycopg.connect(shop_url, autocommit=True) as connection:
        yield lambda table: connection.execute(
            f"SELECT count(*) FROM {table}"
        ).fetchone()[0]


class Watched:
    """An app, and what a look showed in the moments in which its answer left."""

    def __init__(self, app, look):
        self.app = app
        self.look = look
        self.seen = []

    async def __call__(self, scope, receive, send):
        async def watched(message):
            self.seen.append((message["type"], self.look()))
            await send(message)

        await self.app(scope, receive, watched)


@pytest.mark.parametrize("path", ["/items/", "/session/items"])
def test_what_was_answered_survives_kill_9(shop_url, tmp_path, stored, path):
    for attempt in (1, 2):
        with serving(shop_url, tmp_path) as served, served.connect() as connection:
            connection.sendall(post(path, NOTEBOOK))
            answer = connection.recv(12)
            served.kill()

        assert answer == b"HTTP/1.1 201"
        assert stored("items") == attempt


@pytest.mark.parametrize("path", ["/items/", "/session/items"])
async def test_the_row_is_there_when_the_answer_leaves(db, stored, path):
    watched = Watched(make_shop(db), lambda: stored("items"))

    async with client_of(watched) as client:
        response = await client.post(path, json=NOTEBOOK)

    assert response.status_code == 201
    assert watched.seen[0] == ("http.response.start", 1)


async def test_a_commit_that_fails_is_409_and_not_201(client, stored):
    response = await client.post("/orders", json={"category_id": 77})

    members = assert_problem(response, 409, "missing_reference")
    assert [error["field"] for error in members["errors"]] == ["category_id"]
    assert stored("orders") == 0


async def test_a_commit_that_succeeds_is_201(client, stored):
    await client.post("/categories/", json=ROCK)

    response = await client.post("/orders", json={"category_id": 1})

    assert response.status_code == 201
    assert stored("orders") == 1


async def test_a_commit_that_fails_raises_at_the_end_of_the_block(db, stored):
    with pytest.raises(MissingReference):
        async with db.transaction() as session:
            await session.exec(ORPHAN)

    assert stored("orders") == 0


def test_a_commit_that_fails_raises_from_the_sync_session(sync_session, stored):
    with pytest.raises(MissingReference), sync_session() as session:
        session.exec(ORPHAN)

    assert stored("orders") == 0


async def test_a_route_that_would_commit_too_late_keeps_the_app_from_starting(db):
    app = make_shop(db)

    @app.post("/late")
    async def late(session: Annotated[AsyncSession, Depends(db.session)]) -> None: ...

    with pytest.raises(Misconfigured, match=r'/late uses .* scope="function"'):
        await _start(app)


async def test_a_late_commit_is_found_in_a_dependency_as_well(db):
    app = make_shop(db)

    async def user(session: Annotated[AsyncSession, Depends(db.session)]) -> str:
        return "somebody"

    @app.get("/deep")
    async def deep(user: Annotated[str, Depends(user)]) -> None: ...

    with pytest.raises(Misconfigured, match="/deep uses"):
        await _start(app)


async def test_an_app_whose_routes_commit_in_time_starts(shop_url):
    await _start(make_shop(Database(shop_url)))


async def test_a_request_has_one_session_however_often_it_asks(db):
    app = FastAPI()
    connect(app, db)
    Session = Annotated[AsyncSession, Depends(db.session, scope="function")]  # noqa: N806 - a type

    async def audit(session: Session) -> AsyncSession:
        session.add(Category(name="Audit"))
        return session

    @app.get("/same")
    async def same(
        session: Session, audit: Annotated[AsyncSession, Depends(audit)]
    ) -> bool:
        return session is audit and len(session.new) == 1 and db.busy == 0

    async with client_of(app) as client:
        response = await client.get("/same")

    assert response.json() is True


async def test_a_background_task_runs_behind_the_commit(db, stored):
    app = FastAPI()
    connect(app, db)
    seen = []

    @app.post("/later", status_code=201)
    async def later(
        tasks: BackgroundTasks,
        session: Annotated[AsyncSession, Depends(db.session, scope="function")],
    ) -> None:
        session.add(Category(name="Rock"))
        tasks.add_task(lambda: seen.append(stored("categories")))

    async with client_of(app) as client:
        response = await client.post("/later")

    assert response.status_code == 201
    assert seen == [1]


@pytest.mark.parametrize("fault", ["raised", "misshapen", "swallowed"])
async def test_a_handler_that_fails_behind_its_insert_leaves_nothing(
    client, db, stored, fault
):
    response = await client.post(f"/faults/{fault}", json=ROCK)

    assert_problem(response, 500, "internal")
    assert "Rock" not in response.text
    assert stored("categories") == 0
    assert db.busy == 0


async def test_a_failure_inside_a_savepoint_costs_only_the_savepoint(client, stored):
    response = await client.post("/faults/nested", json=ROCK)

    assert response.status_code == 201
    assert stored("categories") == 1


async def test_a_failed_statement_that_is_passed_over_fails_the_commit(db, stored):
    async def careless(session):
        await session.exec(INSERT_ROCK)
        with suppress(DBAPIError):
            await session.exec(INSERT_ROCK)

    with pytest.raises(TransactionAborted, match="nothing was stored"):
        await db.run(careless)

    assert stored("categories") == 0
    async with db.transaction() as session:
        await session.exec(INSERT_ROCK)
    assert stored("categories") == 1


def test_a_passed_over_failure_fails_the_commit_of_the_sync_session(
    sync_session, stored
):
    def careless():
        with sync_session() as session:
            session.exec(INSERT_ROCK)
            with suppress(DBAPIError):
                session.exec(INSERT_ROCK)

    with pytest.raises(TransactionAborted, match="nothing was stored"):
        careless()

    assert stored("categories") == 0
    with sync_session() as session:
        session.exec(INSERT_ROCK)
    assert stored("categories") == 1


def test_a_savepoint_of_the_sync_session_costs_only_itself(sync_session, stored):
    with sync_session() as session:
        session.exec(INSERT_ROCK)
        with suppress(DBAPIError), session.begin_nested():
            session.exec(INSERT_ROCK)

    assert stored("categories") == 1


def test_an_exception_in_the_sync_session_leaves_nothing(sync_session, stored):
    with suppress(KeyError), sync_session() as session:
        session.exec(INSERT_ROCK)
        raise KeyError

    assert stored("categories") == 0


async def test_a_rollback_by_hand_lets_the_session_go_on(db, stored):
    async with db.transaction() as session:
        with suppress(DBAPIError):
            await session.exec(ORPHAN)
            await session.exec(sqlalchemy.text("SELECT 1 / 0"))
        await session.rollback()
        await session.exec(INSERT_ROCK)

    assert (stored("orders"), stored("categories")) == (0, 1)


async def _start(app):
    async with app.router.lifespan_context(app):
        pass
