"""The tutorial: SQLAlchemy's ORM as most FastAPI projects have it.

A pool with pre-ping, a session for each request, commit, refresh, response_model.
"""

import os
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException, Query
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from benchmarks.tables import Item, ItemCreate, ItemRead, ItemUpdate

engine = create_async_engine(
    os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+asyncpg:"),
    pool_size=32,
    max_overflow=0,
    pool_pre_ping=True,
)
sessions = async_sessionmaker(engine, expire_on_commit=False, autoflush=False)
app = FastAPI()


async def get_session() -> AsyncIterator[AsyncSession]:
    async with sessions() as session:
        yield session


Session = Annotated[AsyncSession, Depends(get_session)]


@app.post("/items/", response_model=ItemRead, status_code=201)
async def create_item(values: ItemCreate, session: Session) -> Any:
    item = Item(**values.model_dump())
    session.add(item)
    await session.commit()
    await session.refresh(item)
    return item


@app.post("/items/batch", response_model=list[ItemRead], status_code=201)
async def create_items(rows: list[ItemCreate], session: Session) -> Any:
    items = [Item(**values.model_dump()) for values in rows]
    session.add_all(items)
    # The tutorial refreshes each row; RETURNING has filled these in already.
    await session.commit()
    return items


@app.get("/items/", response_model=list[ItemRead])
async def list_items(
    session: Session,
    skip: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    price_min: float | None = None,
    sort: str | None = None,
) -> Any:
    statement = select(Item).where(Item.is_active)
    if price_min is not None:
        statement = statement.where(Item.price >= price_min)
    order = (Item.price, Item.id) if sort == "price" else (Item.id,)
    statement = statement.order_by(*order).offset(skip).limit(limit)
    return (await session.execute(statement)).scalars().all()


@app.get("/items/search", response_model=list[ItemRead])
async def search_items(q: str, session: Session) -> Any:
    found = Item.name.ilike(f"%{q}%") | Item.description.ilike(f"%{q}%")
    statement = select(Item).where(found, Item.is_active).order_by(Item.id).limit(100)
    return (await session.execute(statement)).scalars().all()


@app.get("/items/count")
async def count_items(session: Session) -> dict[str, Any]:
    statement = select(func.count(Item.id)).where(Item.is_active)
    return {"total": (await session.execute(statement)).scalar()}


@app.get("/items/{item_id}", response_model=ItemRead)
async def get_item(item_id: int, session: Session) -> Any:
    statement = select(Item).where(Item.id == item_id)
    item = (await session.execute(statement)).scalar_one_or_none()
    if item is None:
        raise HTTPException(404, f"Item ID {item_id} not found")
    return item


@app.put("/items/{item_id}", response_model=ItemRead)
async def update_item(item_id: int, values: ItemUpdate, session: Session) -> Any:
    changes = {**values.model_dump(exclude_unset=True), "updated_at": func.now()}
    statement = update(Item).where(Item.id == item_id).values(**changes).returning(Item)
    item = (await session.execute(statement)).scalar_one_or_none()
    await session.commit()
    if item is None:
        raise HTTPException(404, f"Item ID {item_id} not found")
    return item


async def current_user(authorization: Annotated[str, Header()]) -> int:
    """Stand for a token that is checked: who is it?"""
    return int(authorization.removeprefix("Bearer "))


CurrentUser = Annotated[int, Depends(current_user)]


@app.get("/mine/", response_model=list[ItemRead])
async def list_mine(
    session: Session,
    user: CurrentUser,
    skip: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Any:
    mine = select(Item).where(Item.is_active, Item.owner_id == user)
    statement = mine.order_by(Item.id).offset(skip).limit(limit)
    return (await session.execute(statement)).scalars().all()


@app.get("/mine/{item_id}", response_model=ItemRead)
async def get_mine(item_id: int, session: Session, user: CurrentUser) -> Any:
    statement = select(Item).where(Item.id == item_id, Item.owner_id == user)
    item = (await session.execute(statement)).scalar_one_or_none()
    if item is None:
        raise HTTPException(404, f"Item ID {item_id} not found")
    return item
