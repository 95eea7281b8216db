"""FastAPI with asyncpg by hand: a pool, rows into Pydantic models."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import asyncpg
from fastapi import FastAPI, HTTPException, Query

from benchmarks.tables import ItemCreate, ItemRead, ItemUpdate

COLUMNS = "id, name, description, price, tax, is_active, created_at, updated_at"


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with asyncpg.create_pool(
        os.environ["DATABASE_URL"], min_size=32, max_size=32
    ) as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/items/", response_model=ItemRead, status_code=201)
async def create_item(values: ItemCreate) -> Any:
    return dict(
        await app.state.pool.fetchrow(
            "INSERT INTO items (name, description, price, tax) "
            f"VALUES ($1, $2, $3, $4) RETURNING {COLUMNS}",
            values.name,
            values.description,
            values.price,
            values.tax,
        )
    )


@app.post("/items/batch", response_model=list[ItemRead], status_code=201)
async def create_items(rows: list[ItemCreate]) -> Any:
    created = await app.state.pool.fetch(
        "INSERT INTO items (name, description, price, tax) "
        "SELECT * FROM unnest($1::text[], $2::text[], $3::numeric[], $4::numeric[]) "
        f"RETURNING {COLUMNS}",
        [row.name for row in rows],
        [row.description for row in rows],
        [row.price for row in rows],
        [row.tax for row in rows],
    )
    return [dict(row) for row in created]


@app.get("/items/", response_model=list[ItemRead])
async def list_items(
    skip: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    price_min: float | None = None,
    sort: str | None = None,
) -> Any:
    order = "price, id" if sort == "price" else "id"
    where = "is_active" if price_min is None else "is_active AND price >= $3"
    rows = await app.state.pool.fetch(
        f"SELECT {COLUMNS} FROM items WHERE {where} "
        f"ORDER BY {order} LIMIT $1 OFFSET $2",
        *((limit, skip) if price_min is None else (limit, skip, price_min)),
    )
    return [dict(row) for row in rows]


@app.get("/items/search", response_model=list[ItemRead])
async def search_items(q: str) -> Any:
    rows = await app.state.pool.fetch(
        f"SELECT {COLUMNS} FROM items "
        "WHERE is_active AND (name ILIKE $1 OR description ILIKE $1) "
        "ORDER BY id LIMIT 100",
        f"%{q}%",
    )
    return [dict(row) for row in rows]


@app.get("/items/count")
async def count_items() -> dict[str, Any]:
    statement = "SELECT count(*) FROM items WHERE is_active"
    return {"total": await app.state.pool.fetchval(statement)}


@app.get("/items/{item_id}", response_model=ItemRead)
async def get_item(item_id: int) -> Any:
    row = await app.state.pool.fetchrow(
        f"SELECT {COLUMNS} FROM items WHERE id = $1", item_id
    )
    if row is None:
        raise HTTPException(404, f"Item ID {item_id} not found")
    return dict(row)


@app.put("/items/{item_id}", response_model=ItemRead)
async def update_item(item_id: int, values: ItemUpdate) -> Any:
    changes = values.model_dump(exclude_unset=True)
    sets = ", ".join(f"{name} = ${n}" for n, name in enumerate(changes, start=2))
    row = await app.state.pool.fetchrow(
        f"UPDATE items SET {sets}, updated_at = now() WHERE id = $1 "
        f"RETURNING {COLUMNS}",
        item_id,
        *changes.values(),
    )
    if row is None:
        raise HTTPException(404, f"Item ID {item_id} not found")
    return dict(row)
