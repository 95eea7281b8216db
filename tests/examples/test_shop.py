"""The shop of examples/: each endpoint and snippet of its seeds, over HTTP."""

import ast
import asyncio
from collections import Counter
from contextlib import asynccontextmanager

import pytest
from catalogue import assert_problem, client_of
from docs_page import blocks
from example_apps import EXAMPLES, load
from sqlalchemy import inspect, text

pytestmark = pytest.mark.anyio

PAGE = EXAMPLES.parent / "docs/how-to/shop.md"
ADA = {"username": "ada", "email": "ada@example.org", "balance": 100}
BOB = {"username": "bob", "email": "bob@example.org", "balance": 20.5}
LAMP = {"name": "Lamp", "description": "Brass", "price": 19.99}


@pytest.fixture(scope="module")
def shop():
    return load("shop")


@pytest.fixture
async def client(shop, database_url):
    with shop.db.redirected(database_url):
        async with running(shop) as client:
            yield client


@asynccontextmanager
async def running(shop):
    lifespan = shop.app.router.lifespan_context(shop.app)
    async with lifespan, client_of(shop.app) as client:
        yield client


@pytest.fixture
async def users(client):
    """Ada with 100, who is 1, and Bob with 20.50, who is 2."""
    for user in (ADA, BOB):
        assert (await client.post("/users/", json=user)).status_code == 201


async def balances(client):
    return [user["balance"] for user in (await client.get("/users/")).json()]


def order(amount, source=1, target=2):
    return {"from_user_id": source, "to_user_id": target, "amount": amount}


async def transfer(client, amount, *, key=None, **users):
    headers = {"Idempotency-Key": key} if key else {}
    body = order(amount, **users)
    return await client.post("/transfer/", json=body, headers=headers)


# Seed 001


async def test_connection_configuration(database_url, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("DB_POOL_SIZE", "4")
    shop = load("shop")

    async with running(shop) as client:
        for user in (ADA, BOB):
            await client.post("/users/", json=user)
        answers = await asyncio.gather(
            *(client.get("/items/") for _ in range(20)),
            *(transfer(client, 0.01) for _ in range(20)),
        )
        async with shop.db.transaction() as session:
            connected = await session.scalar(text(CONNECTED))

    assert {answer.status_code for answer in answers} == {200, 201}
    assert 1 < connected <= 4


CONNECTED = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend'
"""


async def test_database_session_dependency(client, users, shop):
    await client.post("/items/", json={**LAMP, "owner_id": 1})
    give = {"from_user_id": 1, "to_user_id": 2}

    stored = await client.post("/items/1/transfer/", json=give)
    refused = await client.post("/items/1/transfer/", json=give)

    assert (stored.status_code, refused.status_code) == (200, 409)
    assert (await client.get("/items/1")).json()["owner_id"] == 2
    assert shop.db.busy == 0


async def test_startup_makes_the_tables_and_shutdown_lets_go(shop, database_url):
    with shop.db.redirected(database_url):
        for _ in range(2):
            async with running(shop) as client:
                assert (await client.get("/users/")).json() == []
            assert shop.db.busy == 0

    assert "closed" in repr(shop.db)


async def test_sqlalchemy_orm_model(client, shop):
    with shop.db.sync_session() as session:
        tables = inspect(session.connection())
        unique = {
            tuple(each["column_names"])
            for each in tables.get_unique_constraints("users")
        }
        indexed = {tuple(each["column_names"]) for each in tables.get_indexes("items")}
        columns = {each["name"]: each for each in tables.get_columns("items")}
        (owner,) = tables.get_foreign_keys("items")

    assert unique == {("username",), ("email",)}
    assert indexed == {("name",), ("price",), ("owner_id",)}
    assert owner["options"] == {"ondelete": "CASCADE"}
    assert repr(columns["price"]["type"]) == "NUMERIC(precision=12, scale=2)"
    assert columns["created_at"]["type"].timezone is True


async def test_pydantic_schemas(client):
    await client.post("/items/", json=LAMP)

    emptied = await client.put("/items/1", json={"description": None})
    nameless = await client.put("/items/1", json={"name": None})
    numbered = await client.post("/items/", json={**LAMP, "id": 7})

    assert emptied.json()["description"] is None
    assert emptied.json()["name"] == "Lamp"
    assert_problem(nameless, 422, "invalid")
    assert_problem(numbered, 422, "invalid")


async def test_create_item(client):
    answer = await client.post("/items/", json=LAMP)

    assert answer.status_code == 201
    assert answer.headers["location"] == "/items/1"
    made = answer.json()
    assert made.pop("created_at").endswith("+00:00")
    assert made == {**LAMP, "id": 1, "owner_id": None, "updated_at": None}


async def test_get_item(client):
    made = await client.post("/items/", json=LAMP)

    assert (await client.get("/items/1")).json() == made.json()
    assert_problem(await client.get("/items/2"), 404, "not_found")


async def test_list_items(client):
    await client.post("/items/bulk/", json=[{**LAMP, "name": f"L{n}"} for n in "abcd"])

    page = (await client.get("/items/?skip=1&limit=2")).json()

    assert [item["name"] for item in page["items"]] == ["Lb", "Lc"]


async def test_update_item(client):
    await client.post("/items/", json=LAMP)

    answer = await client.put("/items/1", json={"price": 5})

    assert (answer.status_code, answer.json()["price"]) == (200, 5)
    assert answer.json()["description"] == "Brass"
    assert_problem(await client.put("/items/2", json={}), 404, "not_found")
    assert_problem(await client.put("/items/1", json={"price": 0}), 422, "invalid")


async def test_delete_item(client):
    await client.post("/items/", json=LAMP)

    assert (await client.delete("/items/1")).status_code == 204
    assert_problem(await client.delete("/items/1"), 404, "not_found")


async def test_transfer_funds(client, users):
    answer = await transfer(client, 30.25)

    assert answer.status_code == 201
    made = answer.json()
    assert (await client.get("/transfer/1")).json() == made
    assert made.pop("created_at").endswith("+00:00")
    assert made == {"id": 1, **order(30.25)}
    assert await balances(client) == [69.75, 50.75]
    assert len((await client.get("/transfer/?from_user_id=1")).json()) == 1
    assert (await client.get("/transfer/?from_user_id=2")).json() == []


async def test_transfer_funds_is_exact(client, users):
    for _ in range(10):
        assert (await transfer(client, 0.1)).status_code == 201
        assert (await transfer(client, "0.2")).status_code == 201

    assert await balances(client) == [97, 23.5]


async def test_transfer_funds_never_goes_below_zero(client, users):
    poor = await transfer(client, 100.01)

    problem = assert_problem(poor, 409, "conflict")
    assert problem["detail"] == "user 1 has less than 100.01"
    assert await balances(client) == [100, 20.5]
    assert (await transfer(client, 100)).status_code == 201
    assert await balances(client) == [0, 120.5]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        pytest.param(order(0), 422, "invalid", id="nothing"),
        pytest.param(order(-1), 422, "invalid", id="backwards"),
        pytest.param(order(0.001), 422, "invalid", id="less than a cent"),
        pytest.param(order("NaN"), 422, "invalid", id="no number"),
        pytest.param(order(1e12), 422, "invalid", id="too much"),
        pytest.param({"from_user_id": 1, "amount": 1}, 422, "invalid", id="to nobody"),
        pytest.param(order(1, target=1), 409, "conflict", id="to oneself"),
        pytest.param(order(1, target=9), 404, "not_found", id="to a stranger"),
        pytest.param(order(1, source=9), 404, "not_found", id="from a stranger"),
        pytest.param(order(1, target=2**80), 404, "not_found", id="to no number"),
    ],
)
async def test_transfer_funds_refuses(client, users, body, status, code):
    answer = await client.post("/transfer/", json=body)

    assert_problem(answer, status, code)
    assert await balances(client) == [100, 20.5]
    assert (await client.get("/transfer/")).json() == []


async def test_transfer_funds_once_for_each_key(client, users):
    first = await transfer(client, 30, key="a")
    again = await transfer(client, 30, key="a")
    other = await transfer(client, 31, key="a")
    second = await transfer(client, 30, key="b")

    assert first.json() == again.json() != second.json()
    assert_problem(other, 422, "idempotency_mismatch")
    assert await balances(client) == [40, 80.5]


async def test_transfer_funds_once_where_one_key_comes_at_once(client, users):
    answers = await asyncio.gather(*(transfer(client, 30, key="a") for _ in range(20)))

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert await balances(client) == [70, 50.5]


async def test_transfer_funds_to_each_other_at_once(client, users):
    ways = ({"source": 1, "target": 2}, {"source": 2, "target": 1})

    answers = await asyncio.gather(
        *(transfer(client, 1, **ways[number % 2]) for number in range(40))
    )

    made = [answer.json() for answer in answers if answer.status_code == 201]
    refused = {answer.status_code for answer in answers if answer.status_code != 201}
    came = sum(1 if each["to_user_id"] == 1 else -1 for each in made)
    assert refused <= {409}
    assert await balances(client) == [100 + came, 20.5 - came]
    recorded = (await client.get("/transfer/?limit=1000")).json()
    assert [each["id"] for each in recorded] == sorted(each["id"] for each in made)


async def test_bulk_create_items(client):
    rows = [{**LAMP, "name": f"Lamp {number}"} for number in range(500)]

    answer = await client.post("/items/bulk/", json=rows)

    assert (answer.status_code, answer.json()) == (201, {"created": 500})
    assert (await client.get("/items/count")).json() == {"total": 500}
    refused = await client.post("/items/bulk/", json=[LAMP, {**LAMP, "price": 0}])
    assert_problem(refused, 422, "invalid")
    refused = await client.post("/items/bulk/", json=[LAMP, {**LAMP, "owner_id": 9}])
    assert_problem(refused, 409, "missing_reference")
    assert (await client.get("/items/count")).json() == {"total": 500}


async def test_get_user_items(shop, client, users):
    for number, owner in enumerate((1, 2, 1), 1):
        lamp = {**LAMP, "price": number, "owner_id": owner}
        await client.post("/items/", json=lamp)

    found = (await client.get("/users/1/items/")).json()

    assert [item["id"] for item in found] == [1, 3]
    assert {item["owner_id"] for item in found} == {1}
    dear = (await client.get("/users/1/items/?min_price=2")).json()
    assert [item["id"] for item in dear] == [3]
    assert (await client.get("/users/1/items?limit=1")).links["next"]
    assert_problem(await client.get("/users/9/items/"), 404, "not_found")
    assert_problem(await client.get("/users/x/items/"), 422, "invalid")
    assert_problem(await client.get("/users/0_1/items/"), 422, "invalid")
    described = shop.app.openapi()["paths"]["/users/{user_id}/items/"]["get"]
    assert set(described["responses"]) == {"200", "404", "422", "503"}


async def test_user_items_are_related_to_many_users(client, users):
    await client.post("/items/bulk/", json=[LAMP, LAMP, LAMP])

    assert (await client.put("/users/1/wishes", json=[1, 2])).status_code == 204
    assert (await client.post("/users/2/wishes", json=[2, 3])).status_code == 204
    assert (await client.request("DELETE", "/users/1/wishes?id=1")).status_code == 204

    assert (await client.get("/users/1/wishes")).json() == [2]
    shown = (await client.get("/users/2?include=wishes&fields=username")).json()
    assert [item["id"] for item in shown["wishes"]] == [2, 3]
    missing = await client.post("/users/1/wishes", json=[9])
    assert_problem(missing, 409, "missing_reference")


# Seed 003


async def test_create_user(client):
    answer = await client.post("/users/", json=ADA)

    assert (answer.status_code, answer.json()["is_active"]) == (201, True)
    taken = [{**BOB, "username": "ada"}, {**BOB, "email": "ada@example.org"}]
    for body, field in zip(taken, ("username", "email"), strict=True):
        problem = assert_problem(
            await client.post("/users/", json=body), 409, "duplicate"
        )
        assert problem["errors"][0]["field"] == field
    assert_problem(
        await client.post("/users/", json={**BOB, "email": "bob"}), 422, "invalid"
    )
    assert_problem(
        await client.post("/users/", json={**BOB, "balance": -1}), 422, "invalid"
    )


async def test_get_user(client, users):
    assert (await client.get("/users/2")).json()["username"] == "bob"
    assert_problem(await client.get("/users/3"), 404, "not_found")


async def test_get_users(client, users):
    listed = (await client.get("/users/?skip=1&limit=1")).json()

    assert [user["username"] for user in listed] == ["bob"]


async def test_update_user_leaves_the_balance_alone(client, users):
    answer = await client.put("/users/1", json={"username": "lovelace"})

    assert answer.json()["username"] == "lovelace"
    refused = await client.put("/users/1", json={"balance": 1_000_000})
    assert_problem(refused, 422, "invalid")
    assert await balances(client) == [100, 20.5]


async def test_delete_user_with_the_items(client, users):
    await client.post("/items/", json={**LAMP, "owner_id": 1})
    await client.post("/items/", json={**LAMP, "owner_id": 2})
    await client.put("/users/1/wishes", json=[1, 2])
    await client.put("/users/2/wishes", json=[1, 2])

    assert (await client.delete("/users/1")).status_code == 204

    left = (await client.get("/items/")).json()
    assert [item["owner_id"] for item in left["items"]] == [2]
    assert (await client.get("/users/2/wishes")).json() == [2]


async def test_delete_user_who_has_moved_money_is_refused(client, users):
    await transfer(client, 1)

    assert_problem(await client.delete("/users/1"), 409, "still_referenced")


async def test_get_user_with_items(client, users):
    await client.post("/items/", json={**LAMP, "owner_id": 2})

    shown = (await client.get("/users/2?include=items")).json()

    assert [item["name"] for item in shown["items"]] == ["Lamp"]


async def test_pagination(client):
    await client.post("/items/bulk/", json=[LAMP] * 5)

    page = (await client.get("/items/?skip=1&limit=2")).json()

    assert {**page, "items": len(page["items"])} == {
        "items": 2,
        "total": 5,
        "skip": 1,
        "limit": 2,
    }


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("min_price=2", [2, 3]),
        ("max_price=2", [1, 2]),
        ("min_price=2&max_price=2", [2]),
        ("min_price=1&price__gte=3", [3]),
        ("owner_id=1", [1, 3]),
        ("owner_id=1&min_price=2", [3]),
        ("owner_id=9", []),
    ],
)
async def test_filtering(client, users, asked, found):
    for price, owner in ((1, 1), (2, 2), (3, 1)):
        lamp = {**LAMP, "price": price, "owner_id": owner}
        await client.post("/items/", json=lamp)

    page = (await client.get(f"/items/?{asked}")).json()

    assert [item["price"] for item in page["items"]] == found
    assert page["total"] == len(found)


async def test_filtering_refuses_what_is_no_price(client):
    problem = assert_problem(
        await client.get("/items/?min_price=cheap&min_prise=1"), 422, "invalid"
    )

    assert [error["field"] for error in problem["errors"]] == ["min_prise", "min_price"]
    assert "did you mean min_price" in problem["detail"]


async def test_transfer_item(client, users):
    await client.post("/items/", json={**LAMP, "owner_id": 1})
    give = {"from_user_id": 1, "to_user_id": 2}

    answer = await client.post("/items/1/transfer/", json=give)

    assert (answer.status_code, answer.json()["owner_id"]) == (200, 2)
    assert_problem(await client.post("/items/1/transfer/", json=give), 409, "conflict")
    assert_problem(await client.post("/items/2/transfer/", json=give), 404, "not_found")
    for stranger in (9, 2**80):
        away = {"from_user_id": 2, "to_user_id": stranger}
        refused = await client.post("/items/1/transfer/", json=away)
        assert_problem(refused, 404, "not_found")
    assert (await client.get("/items/1")).json()["owner_id"] == 2


async def test_transfer_item_has_one_winner(client, users):
    await client.post(
        "/users/", json={**ADA, "username": "c", "email": "c@example.org"}
    )
    await client.post("/items/", json={**LAMP, "owner_id": 1})

    answers = await asyncio.gather(
        *(
            client.post(
                "/items/1/transfer/", json={"from_user_id": 1, "to_user_id": target}
            )
            for target in (2, 3) * 10
        )
    )

    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 19}


async def test_the_owner_of_an_item_changes_by_a_transfer_alone(client, users):
    await client.post("/items/", json={**LAMP, "owner_id": 1})

    assert_problem(await client.put("/items/1", json={"owner_id": 2}), 422, "invalid")


# The example itself


async def test_a_request_to_a_resource_is_one_statement(
    client, users, shop, statements
):
    await client.post("/items/", json={**LAMP, "owner_id": 1})
    for method, path, body, want in (
        ("GET", "/items/?min_price=1&owner_id=1", None, 1),
        ("GET", "/users/1?include=items,wishes", None, 1),
        ("GET", "/users/1/items/", None, 2),
        ("POST", "/items/bulk/", [LAMP], 1),
        ("PUT", "/users/1/wishes", [1], 1),
        ("DELETE", "/items/1", None, 1),
    ):
        seen = statements(shop.db)
        answer = await client.request(method, path, json=body)

        assert answer.is_success
        assert (path, len(seen)) == (path, want)


def test_the_page_shows_the_whole_example():
    shown = statements_of(
        block.text for block in blocks(PAGE) if block.language == "python"
    )
    files = [EXAMPLES / "shop" / name for name in ("models.py", "main.py")]

    for file in files:
        lacking = [
            text for text in statements_of([file.read_text()]) if text not in shown
        ]
        assert lacking == []


def statements_of(sources):
    """The statements of a source as texts without form; imports may stand elsewhere."""
    flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    return [
        ast.unparse(statement)
        for source in sources
        for statement in compile(source, "shown", "exec", flags=flags).body
        if not isinstance(statement, ast.Import | ast.ImportFrom)
        and not is_docstring(statement)
    ]


def is_docstring(statement):
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
