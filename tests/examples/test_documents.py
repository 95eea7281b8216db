"""The documents of examples/: each snippet of its seed, over HTTP on MongoDB."""

import asyncio
from collections import Counter

import pytest
from catalogue import assert_problem, client_of
from example_apps import load
from mongo import mongo_server, standalone_server

pytestmark = pytest.mark.anyio

ADA = {"email": "ada@example.org", "username": "ada", "password": "engines1"}
BOB = {"email": "bob@example.org", "username": "bob", "password": "builders"}
LAMP = {"name": "Lamp", "description": "Brass", "price": 19.99}


@pytest.fixture(scope="module")
def example():
    return load("documents")


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with mongo_server(tmp_path_factory.mktemp("mongo")) as url:
        yield url


@pytest.fixture
async def client(example, address):
    with example.db.redirected(address, name="example_documents"):
        lifespan = example.app.router.lifespan_context(example.app)
        async with lifespan, client_of(example.app) as client:
            yield client
            await example.db.client.drop_database("example_documents")


@pytest.fixture
async def users(client):
    """Ada and Bob, as they are answered."""
    return [(await client.post("/users/", json=user)).json() for user in (ADA, BOB)]


async def lamp_of(client, user):
    sent = {**LAMP, "owner_id": user["id"]}
    return (await client.post("/items/", json=sent)).json()


async def test_init_db(client, example):
    users = example.db.client["example_documents"]["users"]

    indexes = await users.index_information()

    assert [each["key"] for each in indexes.values() if each.get("unique")] == [
        [("email", 1)]
    ]


async def test_models(client, example, users):
    stored = example.db.client["example_documents"]["users"]
    ada = await stored.find_one({"email": ADA["email"]})
    document = (await client.get("/openapi.json")).json()

    assert example.passwords.verify(ADA["password"], ada["hashed_password"])
    assert "password" not in ada
    assert "password" not in document["components"]["schemas"]["UserRead"]["properties"]


async def test_startup_event(client):
    ready = await client.get("/health/ready")

    assert ready.json()["status"] == "ready"


async def test_create_user(client):
    created = await client.post("/users/", json=ADA)

    assert created.status_code == 201, created.text
    assert created.json().keys() == {
        *("id", "email", "username", "is_active", "created_at", "updated_at")
    }
    assert "hashed" not in (await client.get("/openapi.json")).text.lower()


async def test_create_user_with_a_taken_email(client, users):
    taken = await client.post("/users/", json={**ADA, "username": "other"})

    (error,) = assert_problem(taken, 409, "duplicate")["errors"]
    assert error["field"] == "email"


async def test_get_user(client, users):
    ada, _ = users

    assert (await client.get(f"/users/{ada['id']}")).json() == ada
    missing = await client.get(f"/users/{'0' * 24}")
    assert_problem(missing, 404, "not_found")


async def test_get_users(client, users):
    page = await client.get("/users/?skip=1&limit=1&sort=username")

    assert [user["username"] for user in page.json()] == ["bob"]


async def test_get_user_by_email(client, users):
    found = await client.get("/users/?email=bob@example.org")

    assert found.json() == [users[1]]


async def test_update_user(client, users):
    ada, _ = users

    changed = await client.patch(f"/users/{ada['id']}", json={"username": "Ada"})

    assert changed.json()["username"] == "Ada"
    assert changed.json()["updated_at"] is not None
    missing = await client.patch(f"/users/{'0' * 24}", json={"username": "x"})
    assert_problem(missing, 404, "not_found")


async def test_delete_user(client, users):
    ada, _ = users

    deleted = await client.delete(f"/users/{ada['id']}")

    assert deleted.status_code == 204
    assert [user["username"] for user in (await client.get("/users/")).json()] == [
        "bob"
    ]


async def test_item_with_a_link_to_its_owner(client, users):
    ada, _ = users

    lamp = await lamp_of(client, ada)
    shown = (await client.get(f"/items/{lamp['id']}?include=owner")).json()
    hers = (await client.get("/items/?owner__email=ada@example.org")).json()
    nobodys = await client.post("/items/", json={**LAMP, "owner_id": "0" * 24})

    assert shown["price"] == 19.99
    assert shown["owner"] == ada
    assert hers == [lamp]
    assert_problem(nobodys, 409, "missing_reference")


async def test_list_items(client, users):
    ada, _ = users
    lamps = [await lamp_of(client, ada) for _ in range(3)]

    page = await client.get("/items/?skip=1&limit=1&count=exact")

    assert page.json() == lamps[1:2]
    assert page.headers["x-total-count"] == "3"
    assert "next" in page.links


async def test_get_items_by_filter(client, users):
    ada, bob = users
    rows = [
        {"name": "Lamp", "price": 19.99, "owner_id": ada["id"]},
        {"name": "Desk", "price": 249.5, "owner_id": ada["id"]},
        {"name": "Chair", "price": 89, "owner_id": bob["id"]},
    ]
    assert (await client.post("/items/batch", json=rows)).status_code == 201

    async def names(query):
        found = await client.get(f"/items/?sort=name&{query}")
        return [item["name"] for item in found.json()]

    assert await names("min_price=50") == ["Chair", "Desk"]
    assert await names("min_price=20&max_price=100") == ["Chair"]
    assert await names(f"owner_id={ada['id']}") == ["Desk", "Lamp"]
    assert await names(f"owner_id={ada['id']}&max_price=100") == ["Lamp"]


async def test_transfer_item(client, users):
    ada, bob = users
    lamp = await lamp_of(client, ada)
    order = {
        "item_id": lamp["id"],
        "from_user_id": ada["id"],
        "to_user_id": bob["id"],
    }

    moved = await client.post("/transfer/", params=order)
    again = await client.post("/transfer/", params=order)

    assert moved.status_code == 204, moved.text
    assert_problem(again, 409, "conflict")
    mine = (await client.get(f"/items/?owner_id={bob['id']}")).json()
    assert [item["id"] for item in mine] == [lamp["id"]]


async def test_transfer_item_has_one_winner(client, users):
    ada, bob = users
    eve = await client.post("/users/", json={**ADA, "email": "e@x.org"})
    lamp = await lamp_of(client, ada)
    order = {"item_id": lamp["id"], "from_user_id": ada["id"]}

    answers = await asyncio.gather(
        *(
            client.post("/transfer/", params={**order, "to_user_id": target["id"]})
            for target in (bob, eve.json()) * 5
        )
    )

    assert Counter(answer.status_code for answer in answers) == {204: 1, 409: 9}


async def test_delete_a_user_with_all_items(client, users):
    ada, bob = users
    await lamp_of(client, ada)
    kept = await lamp_of(client, bob)

    gone = await client.delete(f"/users/{ada['id']}/all")

    assert gone.status_code == 204, gone.text
    assert [item["id"] for item in (await client.get("/items/")).json()] == [kept["id"]]
    assert_problem(await client.get(f"/users/{ada['id']}"), 404, "not_found")


async def test_transactions_on_a_standalone_server(example, tmp_path):
    with (
        standalone_server(tmp_path / "mongo") as url,
        example.db.redirected(url, name="alone"),
    ):
        lifespan = example.app.router.lifespan_context(example.app)
        async with lifespan, client_of(example.app) as client:
            ada = (await client.post("/users/", json=ADA)).json()
            refused = await client.delete(f"/users/{ada['id']}/all")
            batch = await client.post("/users/batch", json=[BOB, {**ADA, "email": "x"}])
            bad = await client.post(
                "/users/batch", json=[BOB, {**BOB, "email": "b@x.org"}]
            )
            there = await client.get("/users/")

    said = assert_problem(refused, 501, "unsupported")
    assert "replica set" in said["detail"]
    assert_problem(batch, 422, "invalid")
    assert_problem(bad, 501, "unsupported")
    assert there.json() == [ada]
