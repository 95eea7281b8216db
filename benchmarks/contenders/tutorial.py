"""The tutorial, as most FastAPI projects have it: a model, a CRUD class, dependencies.

A pool with pre-ping, a session and a CRUD object for each request, commit, refresh,
`response_model`. Kinder than what it stands for: a batch is not refreshed row by row,
and a search has a limit.
"""

import os
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException, Query
from sqlalchemy import DateTime, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlmodel import Field, SQLModel

engine = create_async_engine(
    os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+asyncpg:"),
    pool_size=32,
    max_overflow=0,
    pool_pre_ping=True,
)
sessions = async_sessionmaker(engine, expire_on_commit=False, autoflush=False)
app = FastAPI()
_MOMENT: Any = DateTime(timezone=True)


class ItemBase(SQLModel):
    """What all schemas of an item have."""

    name: str = Field(min_length=1, max_length=100)
    description: str | None = Field(default=None, max_length=500)
    price: float = Field(gt=0)
    tax: float | None = Field(default=None, ge=0)
    is_active: bool = True


class Item(ItemBase, table=True):
    """A row."""

    __tablename__ = "items"

    id: int | None = Field(default=None, primary_key=True)
    owner_id: int = 1
    created_at: datetime = Field(
        default_factory=lambda: datetime.now(UTC), sa_type=_MOMENT
    )
    updated_at: datetime | None = Field(default=None, sa_type=_MOMENT)


class ItemCreate(ItemBase):
    """What a client gives for a new row."""


class ItemUpdate(SQLModel):
    """What a client may change."""

    name: str | None = Field(default=None, min_length=1, max_length=100)
    description: str | None = Field(default=None, max_length=500)
    price: float | None = Field(default=None, gt=0)
    tax: float | None = Field(default=None, ge=0)
    is_active: bool | None = None


class ItemResponse(ItemBase):
    """What a client gets."""

    id: int
    created_at: datetime
    updated_at: datetime | None


_items: Any = Item


class ItemCRUD:
    """What is done with items, over a session."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def create(self, values: ItemCreate) -> Item:
        item = Item(**values.model_dump())
        self.session.add(item)
        await self.session.commit()
        await self.session.refresh(item)
        return item

    async def create_batch(self, rows: list[ItemCreate]) -> list[Item]:
        items = [Item(**values.model_dump()) for values in rows]
        for item in items:
            self.session.add(item)
        await self.session.commit()
        return items

    async def get(self, item_id: int, *where: Any) -> Item | None:
        statement = select(Item).where(_items.id == item_id, *where)
        found = await self.session.execute(statement)
        return found.scalar_one_or_none()

    async def get_many(
        self,
        skip: int,
        limit: int,
        *where: Any,
        order: Sequence[Any] = (_items.id,),
    ) -> Sequence[Item]:
        statement = select(Item).where(_items.is_active, *where)
        page = statement.order_by(*order).offset(skip).limit(limit)
        return (await self.session.execute(page)).scalars().all()

    async def search(self, words: str) -> Sequence[Item]:
        pattern = f"%{words}%"
        found = _items.name.ilike(pattern) | _items.description.ilike(pattern)
        return await self.get_many(0, 100, found)

    async def update(self, item_id: int, values: ItemUpdate) -> Item | None:
        changes = values.model_dump(exclude_unset=True)
        if changes:
            changes["updated_at"] = datetime.now(UTC)
        change = update(Item).where(_items.id == item_id).values(**changes)
        changed = await self.session.execute(change.returning(Item))
        item = changed.scalar_one_or_none()
        await self.session.commit()
        return item

    async def count(self) -> int:
        statement = select(func.count(_items.id)).where(_items.is_active)
        return (await self.session.execute(statement)).scalar() or 0


async def get_session() -> AsyncIterator[AsyncSession]:
    async with sessions() as session:
        yield session


def get_crud(session: Annotated[AsyncSession, Depends(get_session)]) -> ItemCRUD:
    return ItemCRUD(session)


CRUD = Annotated[ItemCRUD, Depends(get_crud)]
Skip = Annotated[int, Query(ge=0)]
Limit = Annotated[int, Query(ge=1, le=1000)]


async def current_user(authorization: Annotated[str, Header()]) -> int:
    """Stand for a token that is checked: who is it?"""
    return int(authorization.removeprefix("Bearer "))


CurrentUser = Annotated[int, Depends(current_user)]


@app.post("/items/", response_model=ItemResponse, status_code=201)
async def create_item(values: ItemCreate, crud: CRUD) -> Any:
    return await crud.create(values)


@app.post("/items/batch", response_model=list[ItemResponse], status_code=201)
async def create_items(rows: list[ItemCreate], crud: CRUD) -> Any:
    return await crud.create_batch(rows)


@app.get("/items/", response_model=list[ItemResponse])
async def list_items(
    crud: CRUD,
    skip: Skip = 0,
    limit: Limit = 100,
    price_min: float | None = None,
    sort: str | None = None,
) -> Any:
    where = () if price_min is None else (_items.price >= price_min,)
    order = (_items.price, _items.id) if sort == "price" else (_items.id,)
    return await crud.get_many(skip, limit, *where, order=order)


@app.get("/items/search", response_model=list[ItemResponse])
async def search_items(q: Annotated[str, Query(min_length=1)], crud: CRUD) -> Any:
    return await crud.search(q)


@app.get("/items/count")
async def count_items(crud: CRUD) -> dict[str, Any]:
    return {"total": await crud.count()}


@app.get("/items/{item_id}", response_model=ItemResponse)
async def get_item(item_id: int, crud: CRUD) -> Any:
    return _found(item_id, await crud.get(item_id))


@app.put("/items/{item_id}", response_model=ItemResponse)
async def update_item(item_id: int, values: ItemUpdate, crud: CRUD) -> Any:
    return _found(item_id, await crud.update(item_id, values))


@app.get("/mine/", response_model=list[ItemResponse])
async def list_mine(
    crud: CRUD, user: CurrentUser, skip: Skip = 0, limit: Limit = 100
) -> Any:
    return await crud.get_many(skip, limit, _items.owner_id == user)


@app.get("/mine/{item_id}", response_model=ItemResponse)
async def get_mine(item_id: int, crud: CRUD, user: CurrentUser) -> Any:
    return _found(item_id, await crud.get(item_id, _items.owner_id == user))


def _found(item_id: int, item: Item | None) -> Item:
    if item is None:
        raise HTTPException(404, f"Item ID {item_id} not found")
    return item
