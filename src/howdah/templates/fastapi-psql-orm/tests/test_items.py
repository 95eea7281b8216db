"""The API of items, over real HTTP messages and a real PostgreSQL."""

import asyncio
from typing import Any

import pytest
from howdah.errors import MissingReference
from httpx import AsyncClient

from src.core.db import db
from src.crud.items import ItemCRUD
from src.schemas.items import ItemCreate

NOTEBOOK = {"name": "Notebook", "description": "Ruled", "price": 50000, "tax": 5000}


async def create(client: AsyncClient, **changes: Any) -> dict[str, Any]:
    response = await client.post("/items/", json=NOTEBOOK | changes)
    assert response.status_code == 201, response.text
    created: dict[str, Any] = response.json()
    return created


async def names(client: AsyncClient, path: str) -> list[str]:
    response = await client.get(path)
    assert response.status_code == 200, response.text
    return [item["name"] for item in response.json()]


async def total(client: AsyncClient, query: str = "") -> int:
    response = await client.get(f"/items/count{query}")
    return int(response.json()["total"])


async def test_create_and_read_item(client: AsyncClient) -> None:
    created = await create(client)

    response = await client.get(f"/items/{created['id']}")

    assert response.json() == created
    assert created["created_at"]
    assert created.items() >= NOTEBOOK.items()
    assert created["updated_at"] is None


async def test_item_sent_twice_is_created_once(client: AsyncClient) -> None:
    key = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}

    first = await client.post("/items/", json=NOTEBOOK, headers=key)
    again = await client.post("/items/", json=NOTEBOOK, headers=key)

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert await total(client) == 1


async def test_item_pagination(client: AsyncClient) -> None:
    for number in range(15):
        await create(client, name=f"Item {number}", price=(number + 1) * 1000)

    first = await names(client, "/items/?skip=0&limit=10")
    second = await names(client, "/items/?skip=10&limit=10")

    assert first + second == [f"Item {number}" for number in range(15)]


async def test_item_search(client: AsyncClient) -> None:
    await create(client, name="iPhone 15", description="Latest smartphone")
    await create(client, name="Galaxy S24", description="Samsung flagship")
    await create(client, name="100% cotton", description="A shirt")

    assert await names(client, "/items/search?q=iphone") == ["iPhone 15"]
    assert await names(client, "/items/search?q=smartphone") == ["iPhone 15"]
    assert await names(client, "/items/search?q=%25") == ["100% cotton"]


async def test_update_item(client: AsyncClient) -> None:
    created = await create(client)

    response = await client.put(f"/items/{created['id']}", json={"price": 45000.5})

    assert response.status_code == 200
    updated = response.json()
    assert updated["updated_at"] is not None
    assert updated == created | {
        "price": 45000.5,
        "updated_at": updated["updated_at"],
    }


async def test_delete_item(client: AsyncClient) -> None:
    created = await create(client)

    response = await client.delete(f"/items/{created['id']}?hard_delete=true")

    assert response.status_code == 204
    assert (await client.get(f"/items/{created['id']}")).status_code == 404
    assert await total(client, "?active_only=false") == 0


async def test_soft_delete(client: AsyncClient) -> None:
    created = await create(client)

    response = await client.delete(f"/items/{created['id']}")

    assert response.status_code == 204
    assert await names(client, "/items/") == []
    assert await names(client, "/items/?active_only=false") == ["Notebook"]


async def test_item_not_found(client: AsyncClient) -> None:
    responses = [
        await client.get("/items/7"),
        await client.put("/items/7", json={"price": 1}),
        await client.delete("/items/7"),
    ]

    for response in responses:
        assert response.status_code == 404
        assert response.json()["detail"] == "Item ID 7 not found"


async def test_invalid_item_data(client: AsyncClient) -> None:
    faults: list[dict[str, Any]] = [
        {"price": 0},
        {"price": -1},
        {"price": "much"},
        {"tax": -1},
        {"name": ""},
        {"name": "x" * 101},
        {"description": "x" * 501},
    ]

    for fault in faults:
        response = await client.post("/items/", json=NOTEBOOK | fault)
        assert response.status_code == 422, fault

    assert await total(client) == 0


async def test_database_transaction(client: AsyncClient) -> None:
    good = ItemCreate.model_validate(NOTEBOOK)
    orphan = good.model_copy(update={"category_id": 99})

    with pytest.raises(MissingReference):
        async with db.transaction() as session:
            await ItemCRUD(session).create_items_batch([good, good, orphan])

    assert await total(client) == 0


async def test_items_by_hand(client: AsyncClient) -> None:
    notebook = ItemCreate.model_validate(NOTEBOOK)
    shirt = notebook.model_copy(update={"name": "100% cotton"})

    async with db.transaction() as session:
        items = ItemCRUD(session)
        first, second = await items.create_items_batch([notebook, shirt])
        assert first.id is not None
        assert second.id is not None
        await items.update(first.id, {"price": 7})
        assert await items.get_many(skip=1, limit=1) == [second]
        assert await items.search("100%") == [second]
        await items.delete(second.id)
        assert await items.get_many() == [first]
        assert await items.get_total_count() == 1
        assert await items.get_total_count(active_only=False) == 2
        await items.hard_delete(second.id)
        assert await items.get_by_id(second.id) is None

    response = await client.get("/items/?active_only=false")
    assert [item["price"] for item in response.json()] == [7]


async def test_concurrent_operations(client: AsyncClient) -> None:
    shared = await create(client, name="Shared")

    await asyncio.gather(
        *(create(client, name=f"Item {number}") for number in range(20)),
        *(
            client.put(f"/items/{shared['id']}", json=change)
            for change in [{"price": 7}, {"tax": 3}, {"description": "New"}] * 10
        ),
        *(client.get("/items/") for _ in range(20)),
    )

    assert await total(client) == 21
    updated = (await client.get(f"/items/{shared['id']}")).json()
    assert updated.items() >= {"price": 7, "tax": 3, "description": "New"}.items()


async def test_item_count(client: AsyncClient) -> None:
    ids = [(await create(client))["id"] for _ in range(3)]
    await client.delete(f"/items/{ids[0]}")

    assert await total(client) == 2
    assert await total(client, "?active_only=false") == 3


async def test_item_with_its_category(client: AsyncClient) -> None:
    category = (await client.post("/categories/", json={"name": "Paper"})).json()
    await create(client, category_id=category["id"])
    await create(client, name="Loose")

    response = await client.get("/items/?include=category&fields=name")

    assert response.json() == [
        {"name": "Notebook", "category": category},
        {"name": "Loose", "category": None},
    ]


async def test_batch_operations(client: AsyncClient) -> None:
    category = (await client.post("/categories/", json={"name": "Paper"})).json()
    rows = [
        NOTEBOOK | {"name": f"Item {number}", "category_id": category["id"]}
        for number in range(5)
    ]

    stored = await client.post("/items/batch", json=rows)
    refused = await client.post("/items/batch", json=[*rows, NOTEBOOK | {"price": 0}])

    assert stored.status_code == 201
    assert refused.status_code == 422
    path = f"/categories/{category['id']}/items"
    assert await names(client, path) == [row["name"] for row in rows]
