"""Batches over HTTP: changed and deleted by key, all or none, errors by index."""

import pytest
from catalogue import NOTEBOOK, Items, assert_problem, client_of, make_app
from test_keys import LINES, Lines

from howdah import Database, Misconfigured

pytestmark = pytest.mark.anyio


class Careful(Items):
    require_match = True


@pytest.fixture
async def client(db):
    """A client of three items and four lines, whose key has two columns."""
    app = make_app(db)
    app.include_router(Careful(db).router(prefix="/careful"))
    app.include_router(Lines(db).router(prefix="/lines"))
    async with db.engine.begin() as connection:
        await connection.run_sync(LINES.metadata.create_all)
        for table in (Items.model.category.property.target, Items.model.__table__):
            await connection.run_sync(table.create)
    async with client_of(app) as client:
        items = [{**NOTEBOOK, "name": f"item {n}"} for n in (1, 2, 3)]
        assert (await client.post("/items/batch", json=items)).status_code == 201
        lines = [
            {"order": order, "line": line, "what": "x"}
            for order in "ab"
            for line in (1, 2)
        ]
        await client.post("/lines/batch", json=lines)
        yield client


def blame(response):
    errors = response.json()["errors"]
    return [(error["field"], error.get("index")) for error in errors]


async def test_rows_change_together_and_come_back_in_the_order_given(client):
    changes = [{"id": 3, "tax": None}, {"id": 1, "name": "first", "price": 5}]

    response = await client.patch("/items/batch", json=changes)

    assert response.status_code == 200
    assert [(r["id"], r["name"], r["price"], r["tax"]) for r in response.json()] == [
        (3, "item 3", 1500000, None),
        (1, "first", 5, 150000),
    ]
    assert all(row["updated_at"] for row in response.json())
    assert (await client.get("/items/1")).json() == response.json()[1]


@pytest.mark.parametrize(
    ("changes", "status", "code", "blamed"),
    [
        ([{"id": 1, "price": 5}, {"id": 9}], 404, "not_found", [("id", 1)]),
        ([{"id": 2**40, "price": 5}], 404, "not_found", [("id", 0)]),
        ([{"id": 1}, {"id": 2}, {"id": 1}], 422, "invalid", [("id", 2)]),
        ([{"id": 1, "price": 5}, {"price": 5}], 422, "invalid", [("id", 1)]),
        ([{"id": 1, "price": 5}, {"id": True}], 422, "invalid", [("id", 1)]),
        (
            [{"id": 1, "price": 5}, {"id": 2, "price": 0}],
            422,
            "invalid",
            [("price", 1)],
        ),
        ([{"id": 1, "colour": "red"}], 422, "invalid", [("colour", 0)]),
        ([{"id": 1, "created_at": None}], 422, "invalid", [("created_at", 0)]),
        ({"id": 1}, 422, "invalid", [("body", None)]),
    ],
)
async def test_a_refused_batch_names_the_rows_and_changes_nothing(
    client, changes, status, code, blamed
):
    before = await client.get("/items/")

    response = await client.patch("/items/batch", json=changes)

    assert_problem(response, status, code)
    assert blame(response) == blamed
    assert (await client.get("/items/")).content == before.content


async def test_rows_of_composite_keys_change_and_go_together(client):
    changes = [
        {"order": "b", "line": 2, "what": "tea"},
        {"order": "a", "line": 1, "what": "jam"},
    ]
    keys = [{"order": "a", "line": 2}, {"order": "b", "line": 1}]

    changed = await client.patch("/lines/batch", json=changes)
    missed = await client.request(
        "DELETE", "/lines/batch", json=[*keys, {"order": "c", "line": 1}]
    )
    gone = await client.request("DELETE", "/lines/batch", json=keys)

    assert changed.json() == changes
    assert_problem(missed, 404, "not_found")
    assert blame(missed) == [("order", 2), ("line", 2)]
    assert gone.status_code == 204
    assert (await client.get("/lines/")).json() == changes[::-1]


@pytest.mark.parametrize(
    ("path", "body"),
    [("/items/batch", [3, 1]), ("/items/batch?id=3&id=1", None)],
)
@pytest.mark.parametrize("hard", [False, True])
async def test_rows_are_deleted_together(client, path, body, hard):
    response = await client.request(
        "DELETE", path, json=body, params={"hard_delete": hard} if body else None
    )
    if hard and body is None:
        response = await client.request("DELETE", f"{path}&hard_delete=true")

    assert (response.status_code, response.content) == (204, b"")
    assert [row["id"] for row in (await client.get("/items/")).json()] == [2]
    kept = (await client.get("/items/?active_only=false")).json()
    assert len(kept) == (1 if hard else 3)


@pytest.mark.parametrize(
    ("query", "body", "status", "blamed"),
    [
        ("", None, 422, [("id", None)]),
        ("", [], 422, [("body", None)]),
        ("?id=1", [1], 422, [("id", None)]),
        ("", [1, 9, 2, 8], 404, [("id", 1), ("id", 3)]),
        ("?id=1&id=9", None, 404, [("id", 1)]),
        ("", [1, 1], 422, [("id", 1)]),
        ("", [1, "x"], 422, None),
        ("", [1, "2"], 422, None),
        ("", [1, True], 422, None),
        ("?" + "&".join(f"id={n}" for n in range(101)), None, 422, None),
        ("?id=x", None, 422, None),
        ("?id=1.0", None, 422, None),
        ("", [1, 2**70], 404, [("id", 1)]),
    ],
)
async def test_a_refused_deletion_deletes_nothing(client, query, body, status, blamed):
    before = await client.get("/items/")

    response = await client.request("DELETE", f"/items/batch{query}", json=body)

    assert_problem(response, status, "not_found" if status == 404 else "invalid")
    if blamed:
        assert blame(response) == blamed
    assert (await client.get("/items/")).content == before.content


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_a_resource_that_requires_versions_has_no_batches_by_key(client, method):
    response = await client.request(method, "/careful/batch", json=[{"id": 1}])

    assert_problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "POST"


@pytest.mark.parametrize("name", ["update", "delete", "restore"])
def test_an_action_without_a_version_is_refused_at_start(name, database_url):
    async def forgetful(self, key):
        """Leave the version out."""

    cls = type("Forgetful", (Items,), {name: forgetful})

    with pytest.raises(Misconfigured, match=f"Forgetful.{name} takes no match"):
        cls(Database(database_url))


async def test_openapi_describes_the_batches(client):
    paths = (await client.get("/openapi.json")).json()["paths"]

    change, gone = paths["/items/batch"]["patch"], paths["/items/batch"]["delete"]
    assert change["operationId"] == "items_update_many"
    assert gone["operationId"] == "items_delete_many"
    assert {p["name"] for p in gone["parameters"]} == {"id", "hard_delete"}
