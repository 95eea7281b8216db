"""The sync door: transactions without `await`, and resources that go through them."""

import asyncio
import sys
import threading

import pytest
from catalogue import (
    Category,
    Item,
    ItemCreate,
    ItemRead,
    ItemUpdate,
    assert_problem,
    client_of,
    create_tables,
)
from fastapi import FastAPI
from sqlalchemy import event, text
from sqlmodel import Field, SQLModel, func, select

from howdah import Database, Resource, connect
from howdah.block import Block
from howdah.errors import Misconfigured, TransactionAborted, Unavailable
from howdah.orm import OrmStore
from howdah.sqlite import READ_ONLY

pytestmark = pytest.mark.anyio


class Items(Resource[Item]):
    create_schema = ItemCreate
    update_schema = ItemUpdate
    read_schema = ItemRead
    filters = ("name",)
    soft_delete = "is_active"
    sync = True


class Quick(Items):
    sync = False


class Leaf(SQLModel, table=True):
    __tablename__ = "sync_leaves"

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(unique=True)


class Leaves(Resource[Leaf]):
    sync = True


@pytest.fixture
async def client(db):
    app = FastAPI()
    connect(app, db)
    app.include_router(Items(db).router(prefix="/items"))
    app.include_router(Quick(db).router(prefix="/quick"))
    await create_tables(db)
    async with client_of(app) as client:
        yield client


async def test_a_resource_goes_through_sync_sessions(db, client, statements):
    counted, lanes = statements(db), set()
    db.listen(lambda event: lanes.add(event.lane))

    made = await client.post("/items/", json={"name": "a", "price": 1})

    assert made.status_code == 201
    assert isinstance(Items(db).store, OrmStore)
    assert any("%(" in each for each in counted.texts)  # psycopg's parameters
    assert (lanes, db.busy) == ({"session"}, 0)


async def test_a_resource_in_threads_answers_as_the_fast_one(client):
    await client.post("/items/batch", json=[{"name": n, "price": 1} for n in "abc"])
    tag = (await client.get("/items/1")).headers["etag"]
    await client.patch("/items/1", json={"description": "d"}, headers={"if-match": tag})
    await client.delete("/items/2")

    for path in (
        "",
        "?limit=2&skip=1",
        "?active_only=false&count=exact",
        "1",
        "2",
        "count",
    ):
        one, two = [await client.get(f"/{at}/{path}") for at in ("items", "quick")]
        assert one.status_code == 200
        assert one.json() == two.json()
        assert one.headers.get("etag") == two.headers.get("etag")
    stale = await client.patch("/items/1", json={}, headers={"if-match": tag})
    assert_problem(stale, 412, "stale")


async def test_events_of_a_model_run_in_a_thread(db, client):
    seen = []

    def note(*_):
        seen.append(threading.current_thread())

    event.listen(Item, "before_insert", note)
    try:
        await client.post("/items/", json={"name": "a", "price": 1})
    finally:
        event.remove(Item, "before_insert", note)

    assert seen
    assert seen[0] is not threading.main_thread()


async def test_a_resource_goes_to_a_file_without_aiosqlite(tmp_path, monkeypatch):
    db = Database(f"sqlite:///{tmp_path}/leaves.db")
    with db.sync_session() as session:
        SQLModel.metadata.create_all(session.connection(), tables=[Leaf.__table__])
    app = FastAPI()
    app.include_router(Leaves(db).router(prefix="/leaves"))
    monkeypatch.setitem(sys.modules, "aiosqlite", None)

    async with client_of(app) as client:
        made = await client.post("/leaves/", json={"name": "oak"})
        found = await client.get("/leaves/")

    assert (made.status_code, found.json()) == (201, [{"id": 1, "name": "oak"}])


async def test_a_resource_may_not_be_both_sync_and_fast(db):
    class Both(Items):
        orm = False

    with pytest.raises(Misconfigured, match="both sync and orm = False"):
        Both(db)


async def test_a_sync_transaction_has_an_isolation(db):
    def work() -> str:
        with db.sync_transaction(isolation="SERIALIZABLE") as session:
            return session.exec(text("SHOW transaction_isolation")).scalar()

    assert await asyncio.to_thread(work) == "serializable"


async def test_a_sync_transaction_that_only_reads_writes_nothing(db):
    await create_tables(db)

    def work() -> None:
        with db.sync_transaction(read_only=True) as session:
            session.add(Category(name="lost"))

    with pytest.raises(Unavailable) as caught:
        await asyncio.to_thread(work)
    assert caught.value.code == "read_only"


def test_a_sync_transaction_on_a_file_reads_beside_a_writer(tmp_path):
    db = Database(f"sqlite:///{tmp_path}/leaves.db")
    with db.sync_session() as session:
        SQLModel.metadata.create_all(session.connection(), tables=[Leaf.__table__])

    with db.sync_session() as writer:
        writer.add(Leaf(name="oak"))
        writer.flush()
        with db.sync_transaction(read_only=True) as reader:
            options = reader.connection().get_execution_options()
            assert options[READ_ONLY] is True
            assert reader.exec(select(func.count(Leaf.id))).one() == 0


async def test_a_session_given_step_by_step_is_one_in_a_block(db):
    await create_tables(db)

    def work() -> None:
        steps = db.sync_session()
        assert isinstance(steps, Block)
        next(steps).add(Category(name="kept"))
        with pytest.raises(StopIteration):
            next(steps)
        steps = db.sync_session()
        next(steps).add(Category(name="lost"))
        with pytest.raises(ZeroDivisionError):
            steps.throw(ZeroDivisionError())

    await asyncio.to_thread(work)

    async with db.transaction() as session:
        assert (await session.exec(select(Category.name))).all() == ["kept"]


async def test_a_failure_that_is_passed_over_fails_the_commit_of_steps(db):
    def work() -> None:
        with db.sync_session() as session:
            try:
                session.exec(text("SELECT 1/0"))
            except Exception:  # noqa: BLE001 - as careless code does
                return

    with pytest.raises(TransactionAborted):
        await asyncio.to_thread(work)
