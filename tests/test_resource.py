"""A resource over HTTP, on a real PostgreSQL."""

from decimal import Decimal

import pytest
from catalogue import (
    NOTEBOOK,
    Categories,
    Category,
    CategoryRead,
    Item,
    ItemCreate,
    ItemRead,
    ItemUpdate,
    assert_problem,
)
from pydantic import BaseModel

from howdah import Database, Misconfigured, Resource
from howdah.memory import MemoryDatabase

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        ("reqire_match", True, "require_match"),
        ("readonly", True, "read_only"),
        ("filter", ("name",), "filters"),
        ("serach", ("name",), "search"),
        ("soft_deleted", "is_active", "soft_delete"),
        ("read_schemas", CategoryRead, "read_schema"),
        ("scop", lambda _self: None, "scope"),
        ("befor_write", lambda _self, _change: None, "before_write"),
    ],
)
def test_a_misspelt_attribute_is_refused_with_its_cure(name, value, meant):
    slip = type("Slip", (Categories,), {name: value})
    child = type("Child", (slip,), {})

    with pytest.raises(Misconfigured, match=f"Slip has {name}, .* mean {meant}"):
        child(MemoryDatabase())


def test_attributes_of_ones_own_are_ones_own():
    class Own(Categories):
        scopes = ("read", "write")
        sort_by = "name"
        page_size = 7
        _reqire_match = True
        searched: bool

        def created(self):
            return self.sort_by

        def pages(self):
            return self.page_size

        @property
        def models(self):
            return []

    assert Own(MemoryDatabase()).created() == "name"


async def test_a_created_row_is_answered_with_its_place(client):
    response = await client.post("/items/", json=NOTEBOOK)

    assert response.status_code == 201
    assert response.headers["location"] == "/items/1"
    row = response.json()
    assert list(row) == list(ItemRead.model_fields)
    assert row["id"] == 1
    assert row["price"] == 1500000.0
    assert row["updated_at"] is None
    assert row["created_at"].endswith("+00:00")
    again = await client.get("/items/1")
    assert again.json() == row


async def test_money_is_exact(client):
    body = b'{"name": "x", "price": 9999999999.99, "tax": 0.07}'

    response = await client.post(
        "/items/", content=body, headers={"content-type": "application/json"}
    )

    assert b'"price":9999999999.99,"tax":0.07' in response.content


@pytest.mark.parametrize("path", ["/items", "/items/"])
async def test_paths_answer_alike_with_and_without_the_last_slash(client, path):
    created = await client.post(path, json=NOTEBOOK)
    listed = await client.get(path)

    assert created.status_code == 201
    assert [row["id"] for row in listed.json()] == [1]


async def test_head_answers_like_get_without_a_body(client):
    await client.post("/items/", json=NOTEBOOK)

    response = await client.head("/items/1")

    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"


async def test_a_list_is_a_page_in_the_order_of_keys(client):
    rows = [{**NOTEBOOK, "name": f"Item {n}"} for n in range(15)]
    await client.post("/items/batch", json=rows)

    first = (await client.get("/items/?skip=0&limit=10")).json()
    second = (await client.get("/items/?skip=10&limit=10")).json()

    assert [row["id"] for row in first + second] == list(range(1, 16))


async def test_an_empty_list_is_a_list(client):
    assert (await client.get("/items/")).json() == []


async def test_search_takes_words_as_they_are(client):
    names = ["a_b", "axb", "100%", "back\\slash"]
    await client.post("/items/batch", json=[{"name": n, "price": 1} for n in names])

    found = {}
    for words in ("a_b", "%", "\\", "AXB"):
        response = await client.get("/items/search", params={"q": words})
        found[words] = [row["name"] for row in response.json()]

    assert found == {
        "a_b": ["a_b"],
        "%": ["100%"],
        "\\": ["back\\slash"],
        "AXB": ["axb"],
    }


async def test_search_looks_into_every_declared_column(client):
    await client.post("/items/", json={**NOTEBOOK, "description": "Latest smartphone"})

    response = await client.get("/items/search?q=smartphone")

    assert [row["name"] for row in response.json()] == ["notebook"]


async def test_count_is_as_the_seed_shows_it(client):
    await client.post("/items/", json=NOTEBOOK)

    response = await client.get("/items/count")

    assert response.content == b'{"total": 1}'


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_update_changes_only_what_was_sent(client, method):
    before = (await client.post("/items/", json=NOTEBOOK)).json()

    response = await client.request(
        method, "/items/1", json={"price": 2300000, "tax": None}
    )

    after = response.json()
    assert response.status_code == 200
    assert after["updated_at"] is not None
    changed = {"price": 2300000.0, "tax": None, "updated_at": after["updated_at"]}
    assert after == {**before, **changed}


async def test_update_of_nothing_changes_nothing(client):
    before = (await client.post("/items/", json=NOTEBOOK)).json()

    response = await client.patch("/items/1", json={})

    assert response.json() == before


async def test_soft_delete_hides_a_row_and_keeps_it(client):
    await client.post("/items/", json=NOTEBOOK)

    response = await client.delete("/items/1")

    assert (response.status_code, response.content) == (204, b"")
    assert (await client.get("/items/")).json() == []
    assert (await client.get("/items/search?q=notebook")).json() == []
    assert (await client.get("/items/count")).json() == {"total": 0}
    hidden = (await client.get("/items/?active_only=false")).json()
    assert [row["is_active"] for row in hidden] == [False]
    assert (await client.get("/items/1")).json()["is_active"] is False


async def test_hard_delete_removes_a_row(client):
    await client.post("/items/", json=NOTEBOOK)

    response = await client.delete("/items/1?hard_delete=true")

    assert response.status_code == 204
    assert_problem(await client.get("/items/1"), 404, "not_found")


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("key", [7, 2**31, 2**63, 2**200, -1])
async def test_no_such_row_is_404_with_the_key(client, method, key):
    body = {} if method in {"GET", "DELETE"} else {"json": {"price": 1}}

    response = await client.request(method, f"/items/{key}", **body)

    members = assert_problem(response, 404, "not_found")
    assert members["detail"] == f"Item ID {key} not found"


@pytest.mark.parametrize("key", ["abc", "1_0", "1.0", "+1", "%201", "1e3"])
async def test_a_key_that_is_no_number_is_422(client, key):
    response = await client.get(f"/items/{key}")

    assert_problem(response, 422, "invalid")


async def test_a_batch_answers_in_the_order_given(client):
    rows = [{"name": f"n{n}", "price": n + 1} for n in range(500)]

    response = await client.post("/items/batch", json=rows)

    assert response.status_code == 201
    assert [row["name"] for row in response.json()] == [row["name"] for row in rows]


async def test_an_empty_batch_is_an_empty_list(client):
    response = await client.post("/items/batch", json=[])

    assert (response.status_code, response.json()) == (201, [])


async def test_a_bad_row_of_a_batch_is_named_and_nothing_is_stored(client):
    rows = [{"name": "a", "price": 1}, {"name": "b", "price": 0}]

    response = await client.post("/items/batch", json=rows)

    members = assert_problem(response, 422, "invalid")
    assert [(e["index"], e["field"]) for e in members["errors"]] == [(1, "price")]
    assert (await client.get("/items/count")).json() == {"total": 0}


async def test_a_batch_that_the_database_refuses_stores_nothing(client):
    rows = [{"name": "a", "price": 1}, {"name": "b", "price": 1, "category_id": 9}]

    response = await client.post("/items/batch", json=rows)

    members = assert_problem(response, 409, "missing_reference")
    assert [error["field"] for error in members["errors"]] == ["category_id"]
    assert (await client.get("/items/count")).json() == {"total": 0}


async def test_a_batch_above_the_limit_is_refused(client):
    response = await client.post("/items/batch", json=[NOTEBOOK] * 10_001)

    assert_problem(response, 422, "invalid")


async def test_a_taken_value_is_409_with_its_field(client):
    await client.post("/categories/", json={"name": "Rock"})

    response = await client.post("/categories/", json={"name": "Rock"})

    members = assert_problem(response, 409, "duplicate")
    assert [error["field"] for error in members["errors"]] == ["name"]
    assert "Rock" not in response.text


async def test_a_row_that_others_refer_to_stays(client):
    await client.post("/categories/", json={"name": "Rock"})
    await client.post("/items/", json={**NOTEBOOK, "category_id": 1})

    response = await client.delete("/categories/1")

    assert_problem(response, 409, "still_referenced")
    assert (await client.get("/categories/1")).status_code == 200


async def test_a_number_too_large_for_its_column_is_422_with_its_field(client):
    response = await client.post("/items/", json={**NOTEBOOK, "category_id": 2**40})

    members = assert_problem(response, 422, "invalid")
    assert [error["field"] for error in members["errors"]] == ["category_id"]


async def test_null_for_a_required_column_is_422_with_its_field(client):
    await client.post("/items/", json=NOTEBOOK)

    response = await client.put("/items/1", json={"name": None})
    document = (await client.get("/openapi.json")).json()

    members = assert_problem(response, 422, "invalid")
    assert [error["field"] for error in members["errors"]] == ["name"]
    fields = document["components"]["schemas"]["ItemUpdate"]["properties"]
    assert fields["name"]["type"] == "string"
    assert {"type": "null"} in fields["tax"]["anyOf"]


async def test_405_names_every_method_of_the_path(client):
    response = await client.delete("/items/")

    assert_problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "GET, HEAD, POST"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/items/count", "GET, HEAD"),
        ("PUT", "/items/count/", "GET, HEAD"),
        ("DELETE", "/items/search", "GET, HEAD, POST"),
        ("GET", "/items/batch", "DELETE, PATCH, POST"),
        ("OPTIONS", "/items/1", "DELETE, GET, HEAD, PATCH, PUT"),
    ],
)
async def test_a_fixed_path_is_no_key_in_any_method(client, method, path, allowed):
    response = await client.request(method, path)

    assert_problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] == allowed


async def test_openapi_documents_schemas_and_problems(client):
    paths = (await client.get("/openapi.json")).json()["paths"]

    operation = paths["/items/"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/ItemCreate"}
    assert operation["operationId"] == "items_create"
    assert set(operation["responses"]) == {"201", "409", "413", "415", "422", "503"}
    assert list(operation["responses"]["409"]["content"]) == [
        "application/problem+json"
    ]


class Stripped(Resource[Item]):
    create_schema = ItemCreate
    update_schema = ItemUpdate
    read_schema = ItemRead

    async def create(self, values):
        values.name = values.name.strip()
        return await super().create(values)


async def test_one_action_can_be_overridden_alone(db, client):
    created = await Stripped(db).create(ItemCreate(name="  x ", price=Decimal(1)))

    assert b'"name":"x"' in created.body


def test_a_resource_without_a_model_is_refused():
    class Lacking(Resource):
        create_schema = ItemCreate

    with pytest.raises(Misconfigured, match="Lacking has no model"):
        Lacking(Database("postgresql:///x"))


def test_a_schema_with_a_field_that_the_model_lacks_is_refused():
    class Wrong(BaseModel):
        id: int
        secret: str

    class Lacking(Resource[Category]):
        create_schema = Wrong
        update_schema = Wrong
        read_schema = Wrong

    with pytest.raises(Misconfigured, match="Wrong names secret, which Category"):
        Lacking(Database("postgresql:///x"))
