"""A Database plugged into a FastAPI app: lifespan, problems, health, one safeguard."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from sqlalchemy import BigInteger, MetaData, func, literal, select
from starlette.types import ASGIApp

from howdah import problems
from howdah.database import Database
from howdah.drivers import translated
from howdah.errors import Misconfigured, Unavailable
from howdah.route import EarlyRoutes, dependencies_in

if TYPE_CHECKING:
    from howdah.documents import MongoDatabase
    from howdah.memory import MemoryDatabase

__all__ = ("connect", "databases")


def connect(
    app: FastAPI,
    db: "Database | MemoryDatabase | MongoDatabase",
    *,
    tables: MetaData | None = None,
) -> None:
    """Let the app open and close the Database, answer with problems, tell its health.

    Adds `GET /health/live` (the process answers) and `GET /health/ready` (so does the
    database). The app starts while the database is away, and is ready once it is back.

    With `tables` it makes those that are missing before it starts, and waits for the
    database to do so: for small things and first tries, where nobody migrates.
    """
    problems.install(app)
    EarlyRoutes.install(app.router)
    app.build_middleware_stack = partial(_shortened, app, app.build_middleware_stack)  # type: ignore[method-assign] # it is called when the app starts
    app.state.howdah = (*getattr(app.state, "howdah", ()), db)
    app.router.lifespan_context = _lifespan(app, db, tables)

    @app.get("/health/live", tags=["health"], operation_id="health_live")
    async def live() -> dict[str, str]:
        return {"status": "live"}

    @app.get(
        "/health/ready",
        tags=["health"],
        operation_id="health_ready",
        responses=problems.responses(503),
    )
    async def ready() -> dict[str, Any]:
        health = await db.health()
        if not health.ok:
            raise Unavailable(health.reason)
        return {"status": "ready", "busy": health.busy, "budget": health.budget}


def _shortened(app: FastAPI, build: Callable[[], ASGIApp]) -> ASGIApp:
    """Return the app in its middleware, resources by a short cut where it is safe."""
    return EarlyRoutes.shorten(build(), app.router)


def databases(app: object) -> tuple[Database, ...]:
    """Return the Databases that an app was connected with, under any middleware."""
    while not isinstance(app, FastAPI) and hasattr(app, "app"):
        app = app.app
    connected = getattr(app.state, "howdah", ()) if isinstance(app, FastAPI) else ()
    return tuple(db for db in connected if isinstance(db, Database))


def _lifespan(
    app: FastAPI,
    db: "Database | MemoryDatabase | MongoDatabase",
    tables: MetaData | None,
) -> Any:
    theirs = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(running: FastAPI) -> AsyncIterator[Any]:
        _refuse_late_commits(app, db)
        try:
            await db.open(wait=tables is not None)
            if tables is not None and isinstance(db, Database):
                await _make_tables(db, tables)
            async with theirs(running) as state:
                yield state
        finally:
            await db.close()

    return lifespan


async def _make_tables(db: Database, tables: MetaData) -> None:
    """Make the tables that are missing; workers that start at once take turns."""
    with translated():
        async with db.engine.begin() as connection:
            if db.dialect == "postgresql":
                turn = func.pg_advisory_xact_lock(literal(_TURN, BigInteger))
                await connection.execute(select(turn))
            await connection.run_sync(tables.create_all)


# A number of our own among advisory locks: "tables" as bytes.
_TURN = int.from_bytes(b"tables")


def _refuse_late_commits(
    app: FastAPI, db: "Database | MemoryDatabase | MongoDatabase"
) -> None:
    """Raise where a route would commit after its answer has left.

    FastAPI ends a dependency with `yield` behind the response unless it has function
    scope: the client would hold a 201 for a row that a failed commit never stored.
    """
    for path, dependant in dependencies_in(app.routes):
        for found in _dependants(dependant):
            is_session = found.call in (db.session, db.sync_session)
            if is_session and found.scope != "function":
                name = f"db.{getattr(found.call, '__name__', 'session')}"
                raise Misconfigured(
                    f"{path} uses Depends({name}), which commits only after the "
                    f'response; write Depends({name}, scope="function")'
                )


def _dependants(dependant: Dependant) -> Iterable[Dependant]:
    yield dependant
    for inner in dependant.dependencies:
        yield from _dependants(inner)
