"""A Database plugged into an app: lifespan, health, and one safeguard."""

import asyncio
from contextlib import asynccontextmanager
from typing import Annotated
from uuid import uuid4

import pytest
from catalogue import assert_problem, client_of
from fastapi import APIRouter, Depends, FastAPI
from sqlalchemy import Column, Integer, MetaData, Table, text
from sqlmodel import Session, select
from sqlmodel.ext.asyncio.session import AsyncSession

from howdah import Database, Misconfigured, Unavailable, connect
from howdah.memory import MemoryDatabase
from howdah.settings import Retry

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def url(server):
    name = f"web_{uuid4().hex[:12]}"
    server.create_database(name)
    yield server.url(name)
    server.drop_database(name)


def running(app: FastAPI):
    return app.router.lifespan_context(app)


async def test_the_app_opens_and_closes_the_database(url):
    app, db = FastAPI(), Database(url)
    connect(app, db)

    async with running(app):
        assert await db.lane.fetchval("SELECT 1") == 1

    assert "closed" in repr(db)


async def test_the_users_own_lifespan_runs_inside(url):
    db, seen = Database(url), []

    @asynccontextmanager
    async def lifespan(_app):
        seen.append(await db.lane.fetchval("SELECT 1"))
        yield {"mine": True}
        seen.append(await db.lane.fetchval("SELECT 2"))

    app = FastAPI(lifespan=lifespan)
    connect(app, db)

    async with running(app) as state:
        assert state == {"mine": True}

    assert seen == [1, 2]
    assert "closed" in repr(db)


async def test_a_lifespan_that_fails_closes_the_database(url):
    @asynccontextmanager
    async def lifespan(_app):
        raise ZeroDivisionError
        yield

    app, db = FastAPI(lifespan=lifespan), Database(url)
    connect(app, db)

    with pytest.raises(ZeroDivisionError):
        async with running(app):
            pass
    assert "closed" in repr(db)


async def test_missing_tables_are_made_before_the_app_starts(url):
    metadata, seen = MetaData(), []
    Table(f"made_{uuid4().hex[:8]}", metadata, Column("id", Integer, primary_key=True))
    (table,) = metadata.sorted_tables
    dbs = [Database(url) for _ in range(4)]

    async def start(db):
        @asynccontextmanager
        async def lifespan(_app):
            seen.append(await db.lane.fetchval(f"SELECT count(*) FROM {table.name}"))
            yield

        app = FastAPI(lifespan=lifespan)
        connect(app, db, tables=metadata)
        async with running(app):
            pass

    await asyncio.gather(*(start(db) for db in dbs))
    await start(dbs[0])

    assert seen == [0] * 5


async def test_tables_that_cannot_be_made_keep_the_app_from_starting():
    away = Database("postgresql://u:p@127.0.0.1:1/d", retry=Retry(attempts=1))
    app = FastAPI()
    connect(app, away, tables=MetaData())

    with pytest.raises(Unavailable):
        async with running(app):
            pass


async def test_rows_in_memory_need_no_tables():
    app = FastAPI()
    connect(app, MemoryDatabase(), tables=MetaData())

    async with running(app):
        pass


async def test_health_is_told(url):
    app, db = FastAPI(), Database(url)
    connect(app, db)

    async with running(app), client_of(app) as client:
        live = await client.get("/health/live")
        ready = await client.get("/health/ready")

    assert live.json() == {"status": "live"}
    assert ready.json() == {"status": "ready", "busy": 0, "budget": 10}


async def test_an_app_starts_while_the_database_is_away():
    app, db = FastAPI(), Database("postgresql://u:hunter2@127.0.0.1:1/d")
    connect(app, db)

    async with running(app), client_of(app) as client:
        assert (await client.get("/health/live")).status_code == 200
        ready = await client.get("/health/ready")

    members = assert_problem(ready, 503, "unavailable")
    assert ready.headers["retry-after"] == "1"
    assert "hunter2" not in str(members)


def routed(db: Database, *, scope: str | None, how: str) -> FastAPI:
    app, router = FastAPI(), APIRouter()
    session = Annotated[AsyncSession, Depends(db.session, scope=scope)]

    def repository(session: session) -> AsyncSession:
        return session

    async def plain(session: session) -> int:
        return (await session.exec(text("SELECT 42"))).scalar()

    async def deep(session: Annotated[AsyncSession, Depends(repository)]) -> int:
        return await plain(session)

    async def both(one: session, two: session) -> bool:
        return one is two

    endpoints = {"plain": plain, "deep": deep, "both": both}
    router.get("/answer")(endpoints[how])
    app.include_router(router, prefix="/deep")
    connect(app, db)
    return app


@pytest.mark.parametrize("how", ["plain", "deep"])
@pytest.mark.parametrize("scope", [None, "request"])
async def test_a_session_that_commits_too_late_is_refused(url, how, scope):
    app = routed(Database(url), scope=scope, how=how)

    with pytest.raises(Misconfigured, match=r"^/deep/answer uses Depends\(db.session"):
        async with running(app):
            pass


async def test_a_sync_session_that_commits_too_late_is_refused(url):
    app, db = FastAPI(), Database(url)
    connect(app, db)

    @app.get("/answer")
    def answer(session: Annotated[Session, Depends(db.sync_session)]) -> int:
        return session.exec(select(1)).one()

    with pytest.raises(Misconfigured, match=r"^/answer uses Depends\(db.sync_session"):
        async with running(app):
            pass


async def test_a_sync_session_serves_as_a_dependency(url):
    app, db = FastAPI(), Database(url)
    connect(app, db)
    given = Annotated[Session, Depends(db.sync_session, scope="function")]

    def repository(session: given) -> Session:
        return session

    @app.get("/answer")
    def answer(one: given, two: Annotated[Session, Depends(repository)]) -> int:
        assert one is two
        return one.exec(select(42)).one()

    async with running(app), client_of(app) as client:
        assert (await client.get("/answer")).json() == 42
        operation = (await client.get("/openapi.json")).json()["paths"]["/answer"][
            "get"
        ]

    assert "parameters" not in operation


@pytest.mark.parametrize(("how", "answer"), [("plain", 42), ("deep", 42), ("both", 1)])
async def test_a_session_of_function_scope_serves(url, how, answer):
    db = Database(url)
    app = routed(db, scope="function", how=how)

    async with running(app), client_of(app) as client:
        assert (await client.get("/deep/answer")).json() == answer
        assert db.busy == 0
