"""The API of users, over real HTTP messages and MongoDB's own protocol."""

from typing import Any

from httpx import AsyncClient

from src.api.routes.users import passwords
from src.documents.users import User

ADA = {"email": "ada@example.org", "username": "ada", "password": "analytical"}
BOB = {"email": "bob@example.org", "username": "bob", "password": "can we fix it"}
NOBODY = "0" * 24


async def create(client: AsyncClient, user: dict[str, str]) -> dict[str, Any]:
    response = await client.post("/users/", json=user)
    assert response.status_code == 201, response.text
    created: dict[str, Any] = response.json()
    return created


async def test_create_and_read_user(client: AsyncClient) -> None:
    created = await create(client, ADA)

    response = await client.get(f"/users/{created['id']}")

    assert response.json() == created
    assert created.keys() == {
        *("id", "email", "username", "is_active", "created_at", "updated_at")
    }


async def test_password_is_kept_as_a_hash(client: AsyncClient) -> None:
    created = await create(client, ADA)
    await client.patch(f"/users/{created['id']}", json={"password": "difference"})

    user = await User.get(created["id"])

    assert user is not None
    assert passwords.verify("difference", user.hashed_password)


async def test_email_is_taken_once(client: AsyncClient) -> None:
    await create(client, ADA)

    response = await client.post("/users/", json=BOB | {"email": ADA["email"]})

    assert response.status_code == 409
    assert response.json()["code"] == "duplicate"
    assert response.json()["errors"][0]["field"] == "email"


async def test_user_sent_twice_is_created_once(client: AsyncClient) -> None:
    key = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}

    first = await client.post("/users/", json=ADA, headers=key)
    again = await client.post("/users/", json=ADA, headers=key)

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()


async def test_find_users(client: AsyncClient) -> None:
    ada, bob = await create(client, ADA), await create(client, BOB)

    by_email = await client.get(f"/users/?email={ADA['email']}")
    in_order = await client.get("/users/?sort=-username")
    found = await client.get("/users/search?q=BOB")

    assert by_email.json() == [ada]
    assert in_order.json() == [bob, ada]
    assert found.json() == [bob]


async def test_update_user(client: AsyncClient) -> None:
    created = await create(client, ADA)
    path = f"/users/{created['id']}"

    stale = await client.patch(
        path, json={"username": "x"}, headers={"If-Match": '"0"'}
    )
    changed = await client.patch(path, json={"username": "countess"})

    assert stale.status_code == 412
    assert changed.json()["username"] == "countess"
    assert changed.json()["updated_at"] is not None


async def test_soft_delete(client: AsyncClient) -> None:
    created = await create(client, ADA)

    deleted = await client.delete(f"/users/{created['id']}")

    assert deleted.status_code == 204
    assert (await client.get("/users/")).json() == []
    restored = await client.post(f"/users/{created['id']}/restore")
    assert restored.json()["is_active"] is True


async def test_user_not_found(client: AsyncClient) -> None:
    responses = [
        await client.get(f"/users/{NOBODY}"),
        await client.patch(f"/users/{NOBODY}", json={"username": "x"}),
        await client.delete(f"/users/{NOBODY}"),
        await client.delete(f"/users/{NOBODY}/all"),
    ]

    assert [response.status_code for response in responses] == [404] * 4


async def test_invalid_user_data(client: AsyncClient) -> None:
    faults: list[dict[str, Any]] = [
        {"email": "nowhere"},
        {"username": ""},
        {"username": "x" * 51},
        {"password": "short"},
    ]

    for fault in faults:
        response = await client.post("/users/", json=ADA | fault)
        assert response.status_code == 422, fault

    assert (await client.get("/users/count")).json() == {"total": 0}


async def test_batch_is_all_or_none(client: AsyncClient) -> None:
    refused = await client.post("/users/batch", json=[ADA, BOB, ADA])
    none = (await client.get("/users/count")).json()
    stored = await client.post("/users/batch", json=[ADA, BOB])

    assert refused.status_code == 409
    assert none == {"total": 0}
    assert stored.status_code == 201
