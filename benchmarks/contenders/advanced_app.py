"""advanced-alchemy: its service and its FastAPI extension, as documented."""

import os
from typing import Annotated, Any

from advanced_alchemy.extensions.fastapi import (
    AdvancedAlchemy,
    AsyncSessionConfig,
    EngineConfig,
    SQLAlchemyAsyncConfig,
    repository,
    service,
)
from fastapi import Depends, FastAPI, Query

from benchmarks.tables import Item, ItemCreate, ItemRead, ItemUpdate

app = FastAPI()
alchemy = AdvancedAlchemy(
    config=SQLAlchemyAsyncConfig(
        connection_string=os.environ["DATABASE_URL"].replace(
            "postgresql:", "postgresql+asyncpg:"
        ),
        engine_config=EngineConfig(pool_size=32, max_overflow=0),
        session_config=AsyncSessionConfig(expire_on_commit=False),
        commit_mode="autocommit",
        create_all=False,
    ),
    app=app,
)


class ItemService(service.SQLAlchemyAsyncRepositoryService[Item]):
    """The rows of the table."""

    class Repo(repository.SQLAlchemyAsyncRepository[Item]):
        """The repository of the service."""

        model_type = Item

    repository_type = Repo


Items = Annotated[ItemService, Depends(alchemy.provide_service(ItemService, load=None))]


@app.post("/items/", response_model=ItemRead, status_code=201)
async def create_item(values: ItemCreate, items: Items) -> Any:
    return await items.create(values.model_dump(), auto_commit=True)


@app.post("/items/batch", response_model=list[ItemRead], status_code=201)
async def create_items(rows: list[ItemCreate], items: Items) -> Any:
    return await items.create_many([row.model_dump() for row in rows], auto_commit=True)


@app.get("/items/", response_model=list[ItemRead])
async def list_items(
    items: Items,
    skip: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    price_min: float | None = None,
    sort: str | None = None,
) -> Any:
    where = [Item.is_active.is_(True)]
    if price_min is not None:
        where.append(Item.price >= price_min)
    order = [Item.price.asc(), Item.id.asc()] if sort == "price" else [Item.id.asc()]
    page = repository_page(limit, skip)
    return await items.get_many(*where, page, order_by=order)


def repository_page(limit: int, skip: int) -> Any:
    from advanced_alchemy.filters import LimitOffset

    return LimitOffset(limit=limit, offset=skip)


@app.get("/items/search", response_model=list[ItemRead])
async def search_items(q: str, items: Items) -> Any:
    found = Item.name.ilike(f"%{q}%") | Item.description.ilike(f"%{q}%")
    return await items.get_many(
        found,
        Item.is_active.is_(True),
        repository_page(100, 0),
        order_by=[Item.id.asc()],
    )


@app.get("/items/count")
async def count_items(items: Items) -> dict[str, Any]:
    return {"total": await items.count(Item.is_active.is_(True))}


@app.get("/items/{item_id}", response_model=ItemRead)
async def get_item(item_id: int, items: Items) -> Any:
    return await items.get(item_id)


@app.put("/items/{item_id}", response_model=ItemRead)
async def update_item(item_id: int, values: ItemUpdate, items: Items) -> Any:
    changes = values.model_dump(exclude_unset=True)
    return await items.update(changes, item_id=item_id, auto_commit=True)
