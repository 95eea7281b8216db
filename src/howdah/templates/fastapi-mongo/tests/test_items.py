"""The API of items and their owners."""

import asyncio
from typing import Any

import pytest
from httpx import AsyncClient

LAMP = {"name": "Lamp", "description": "Brass", "price": 19.99}
NOBODY = "0" * 24


@pytest.fixture
async def users(client: AsyncClient) -> list[dict[str, Any]]:
    """Ada and Bob, as they are answered."""
    rows = [
        {"email": f"{name}@example.org", "username": name, "password": "12345678"}
        for name in ("ada", "bob")
    ]
    response = await client.post("/users/batch", json=rows)
    stored: list[dict[str, Any]] = response.json()
    return stored


async def create(
    client: AsyncClient, owner: dict[str, Any], **changes: Any
) -> dict[str, Any]:
    row = LAMP | {"owner_id": owner["id"]} | changes
    response = await client.post("/items/", json=row)
    assert response.status_code == 201, response.text
    created: dict[str, Any] = response.json()
    return created


async def names(client: AsyncClient, path: str) -> list[str]:
    response = await client.get(path)
    assert response.status_code == 200, response.text
    return [item["name"] for item in response.json()]


async def test_item_with_its_owner(
    client: AsyncClient, users: list[dict[str, Any]]
) -> None:
    ada, _ = users
    created = await create(client, ada)

    response = await client.get(f"/items/{created['id']}?include=owner")

    assert response.json() == created | {"owner": ada}
    assert created.items() >= LAMP.items()


async def test_owner_has_to_be_there(client: AsyncClient) -> None:
    response = await client.post("/items/", json=LAMP | {"owner_id": NOBODY})

    assert response.status_code == 409
    assert response.json()["code"] == "missing_reference"


async def test_item_filters(client: AsyncClient, users: list[dict[str, Any]]) -> None:
    ada, bob = users
    await create(client, ada)
    await create(client, ada, name="Desk", price=249.5)
    await create(client, bob, name="Chair", price=89)

    assert await names(client, "/items/?min_price=50&sort=price") == ["Chair", "Desk"]
    assert await names(client, "/items/?max_price=50") == ["Lamp"]
    assert await names(client, f"/items/?owner_id={bob['id']}") == ["Chair"]
    assert await names(client, "/items/?owner__email=bob@example.org") == ["Chair"]
    assert await names(client, "/items/search?q=BRASS&name__ne=Lamp&sort=name") == [
        "Chair",
        "Desk",
    ]


async def test_item_pagination(
    client: AsyncClient, users: list[dict[str, Any]]
) -> None:
    owner = users[0]["id"]
    rows = [
        LAMP | {"name": f"Item {number}", "owner_id": owner} for number in range(15)
    ]
    await client.post("/items/batch", json=rows)

    first = await client.get("/items/?limit=10&sort=created_at")
    second = await client.get(first.links["next"]["url"])

    shown = [item["name"] for item in first.json() + second.json()]
    assert len(shown) == 15
    assert set(shown) == {row["name"] for row in rows}


async def test_transfer_item(client: AsyncClient, users: list[dict[str, Any]]) -> None:
    ada, bob = users
    created = await create(client, ada)
    order = {"from_user_id": ada["id"], "to_user_id": bob["id"]}
    path = f"/items/{created['id']}/transfer"

    moved = await client.post(path, json=order)
    again = await client.post(path, json=order)
    nobody = await client.post(path, json=order | {"to_user_id": NOBODY})

    assert (moved.status_code, again.status_code) == (204, 409)
    assert nobody.status_code == 404
    item = (await client.get(f"/items/{created['id']}")).json()
    assert item["owner_id"] == bob["id"]


async def test_delete_user_and_items(
    client: AsyncClient, users: list[dict[str, Any]]
) -> None:
    ada, bob = users
    await create(client, ada)
    await create(client, bob, name="Chair")

    response = await client.delete(f"/users/{ada['id']}/all")

    assert response.status_code == 204
    assert (await client.get(f"/users/{ada['id']}")).status_code == 404
    assert await names(client, "/items/") == ["Chair"]


async def test_concurrent_operations(
    client: AsyncClient, users: list[dict[str, Any]]
) -> None:
    ada, _ = users
    shared = await create(client, ada, name="Shared")

    await asyncio.gather(
        *(create(client, ada, name=f"Item {number}") for number in range(10)),
        *(
            client.patch(f"/items/{shared['id']}", json=change)
            for change in [{"price": 7}, {"description": "New"}] * 5
        ),
    )

    updated = (await client.get(f"/items/{shared['id']}")).json()
    assert updated.items() >= {"price": 7, "description": "New"}.items()
    assert (await client.get("/items/count")).json() == {"total": 11}
