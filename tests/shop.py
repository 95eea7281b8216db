"""The catalogue's app, and beside it what only acceptance tests need.

Endpoints with a session, a foreign key that is checked at the commit, faults that a
handler can make, and a look at the counters of the pools.
"""

from contextlib import suppress
from typing import Annotated, Any

import sqlalchemy
from catalogue import (
    TABLES,
    Category,
    CategoryCreate,
    CategoryRead,
    Item,
    ItemCreate,
    make_app,
)
from fastapi import APIRouter, Depends, FastAPI
from pydantic import BaseModel
from sqlalchemy import Column, ForeignKey, Integer
from sqlalchemy.exc import DBAPIError
from sqlmodel import Field, SQLModel, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from howdah import Database, NotFound


class Order(SQLModel, table=True):
    __tablename__ = "orders"

    id: int | None = Field(default=None, primary_key=True)
    category_id: int = Field(
        sa_column=Column(
            Integer,
            ForeignKey("categories.id", deferrable=True, initially="DEFERRED"),
            nullable=False,
        )
    )


class OrderCreate(BaseModel):
    category_id: int


SHOP_TABLES = [*TABLES, Order.__table__]


def create_shop(database_url: str) -> None:
    """Create the tables, from outside of the app."""
    url = database_url.replace("postgresql:", "postgresql+psycopg:")
    engine = sqlalchemy.create_engine(url)
    SQLModel.metadata.create_all(engine, tables=SHOP_TABLES)
    engine.dispose()


def make_shop(db: Database) -> FastAPI:
    app = make_app(db)
    app.include_router(_sessions(db))
    app.include_router(_faults(db), prefix="/faults")

    @app.get("/counters")
    async def counters() -> dict[str, int]:
        return {
            "busy": db.busy,
            "lane_busy": db.lane.busy,
            "lane_idle": db.lane.idle,
            "sessions_out": db.engine.pool.checkedout(),
            "sessions_in": db.engine.pool.checkedin(),
            "budget": db.pool.total,
        }

    return app


def _sessions(db: Database) -> APIRouter:
    router = APIRouter()
    Session = Annotated[AsyncSession, Depends(db.session, scope="function")]  # noqa: N806 - a type

    @router.post("/session/items", status_code=201)
    async def create_item(values: ItemCreate, session: Session) -> dict[str, Any]:
        item = Item(**values.model_dump())
        session.add(item)
        await session.flush()
        return {"id": item.id}

    @router.get("/session/items/{item_id}")
    async def get_item(item_id: int, session: Session) -> dict[str, Any]:
        item = await session.get(Item, item_id)
        if item is None:
            raise NotFound(model="Item", key=item_id)
        return {"id": item.id, "name": item.name}

    @router.post("/orders", status_code=201)
    async def create_order(values: OrderCreate, session: Session) -> dict[str, Any]:
        order = Order(**values.model_dump())
        session.add(order)
        await session.flush()
        return {"id": order.id}

    @router.post("/sleep")
    async def sleep(seconds: float, session: Session) -> dict[str, str]:
        await session.exec(select(func.pg_sleep(seconds)))
        return {"slept": "well"}

    return router


def _faults(db: Database) -> APIRouter:
    router = APIRouter()
    Session = Annotated[AsyncSession, Depends(db.session, scope="function")]  # noqa: N806 - a type

    @router.post("/raised")
    async def raised(values: CategoryCreate, session: Session) -> dict[str, Any]:
        session.add(Category(**values.model_dump()))
        await session.flush()
        raise RuntimeError("after the insert")

    @router.post("/misshapen", response_model=CategoryRead)
    async def misshapen(values: CategoryCreate, session: Session) -> Any:
        session.add(Category(**values.model_dump()))
        await session.flush()
        return {"name": {"not": "a name"}}

    @router.post("/swallowed", status_code=201)
    async def swallowed(values: CategoryCreate, session: Session) -> dict[str, Any]:
        insert = sqlalchemy.insert(Category)
        await session.exec(insert, params=values.model_dump())
        with suppress(DBAPIError):
            await session.exec(insert, params=values.model_dump())
        return {}

    @router.post("/nested", status_code=201)
    async def nested(values: CategoryCreate, session: Session) -> dict[str, Any]:
        insert = sqlalchemy.insert(Category)
        await session.exec(insert, params=values.model_dump())
        with suppress(DBAPIError):
            async with session.begin_nested():
                await session.exec(insert, params=values.model_dump())
        return {}

    return router
