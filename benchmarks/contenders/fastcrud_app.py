"""FastCRUD in one's own endpoints, as its documentation writes them."""

import os
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException
from fastcrud import FastCRUD
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from benchmarks.tables import Item, ItemCreate, ItemRead, ItemUpdate

engine = create_async_engine(
    os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+asyncpg:"),
    pool_size=32,
    max_overflow=0,
)
sessions = async_sessionmaker(engine, expire_on_commit=False)
items = FastCRUD(Item)
app = FastAPI()


async def get_session() -> AsyncIterator[AsyncSession]:
    async with sessions() as session:
        yield session


Session = Annotated[AsyncSession, Depends(get_session)]


@app.post("/items/", response_model=ItemRead, status_code=201)
async def create_item(values: ItemCreate, session: Session) -> Any:
    return await items.create(session, values, schema_to_select=ItemRead)


@app.get("/items/", response_model=list[ItemRead])
async def list_items(
    session: Session,
    skip: int = 0,
    limit: int = 100,
    price_min: float | None = None,
    sort: str | None = None,
) -> Any:
    filters = {} if price_min is None else {"price__gte": price_min}
    found = await items.get_multi(
        session,
        offset=skip,
        limit=limit,
        schema_to_select=ItemRead,
        sort_columns=["price", "id"] if sort == "price" else ["id"],
        return_total_count=False,
        is_active=True,
        **filters,
    )
    return found["data"]


@app.get("/items/search", response_model=list[ItemRead])
async def search_items(q: str, session: Session) -> Any:
    found = await items.get_multi(
        session,
        schema_to_select=ItemRead,
        sort_columns="id",
        return_total_count=False,
        where=Item.name.ilike(f"%{q}%") | Item.description.ilike(f"%{q}%"),
        is_active=True,
    )
    return found["data"]


@app.get("/items/count")
async def count_items(session: Session) -> dict[str, Any]:
    return {"total": await items.count(session, is_active=True)}


@app.get("/items/{item_id}", response_model=ItemRead)
async def get_item(item_id: int, session: Session) -> Any:
    item = await items.get(session, schema_to_select=ItemRead, id=item_id)
    if item is None:
        raise HTTPException(404, f"Item ID {item_id} not found")
    return item


@app.put("/items/{item_id}", response_model=ItemRead)
async def update_item(item_id: int, values: ItemUpdate, session: Session) -> Any:
    columns = list(ItemRead.model_fields)
    return await items.update(session, values, return_columns=columns, id=item_id)
