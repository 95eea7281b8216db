"""`POST /search`: a query as a JSON body, typed, and as long as it has to be."""

import pytest
from catalogue import (
    Item,
    ItemCreate,
    ItemRead,
    ItemUpdate,
    assert_problem,
    client_of,
    create_tables,
)
from fastapi import FastAPI

from howdah import Resource, connect

pytestmark = pytest.mark.anyio


class Queried(Resource[Item]):
    create_schema = ItemCreate
    update_schema = ItemUpdate
    read_schema = ItemRead
    search = ("name",)
    soft_delete = "is_active"
    filters = ("id", "name", "price", "tax", "is_active", "created_at")
    sort = ("name", "price", "tax")


class Wordless(Queried):
    search = ()
    envelope = True
    longest_list = 3


@pytest.fixture(scope="module")
def app(closed_db):
    app = FastAPI()
    connect(app, closed_db)
    app.include_router(Queried(closed_db).router(prefix="/items"))
    app.include_router(Wordless(closed_db).router(prefix="/wordless"))
    return app


@pytest.fixture
async def client(app, db):
    """A client of nine items."""
    await create_tables(db)
    async with client_of(app) as client:
        rows = [{"name": f"n{n}", "price": n + 0.5, "tax": None} for n in range(1, 10)]
        await client.post("/items/batch", json=rows)
        yield client


async def names(client, body, path="/items/search"):
    response = await client.post(path, json=body)
    assert response.status_code == 200, response.text
    return [row["name"] for row in response.json()]


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({}, [f"n{n}" for n in range(1, 10)]),
        ({"price": 1.5}, ["n1"]),
        ({"price": "1.50"}, ["n1"]),
        ({"price__in": [1.5, 3.5, 100]}, ["n1", "n3"]),
        ({"price__between": [2, 4]}, ["n2", "n3"]),
        ({"tax__isnull": True, "price__gte": 8.5, "sort": ["-name"]}, ["n9", "n8"]),
        ({"q": "N7"}, ["n7"]),
        ({"name__startswith": "n", "skip": 7}, ["n8", "n9"]),
        ({"is_active": False}, []),
        ({"created_at__gt": "2020-01-01T00:00:00Z", "limit": 1}, ["n1"]),
    ],
)
async def test_a_body_asks_what_an_address_asks(client, body, found):
    assert await names(client, body) == found


async def test_a_list_may_be_longer_than_an_address(client):
    body = {"id__in": list(range(9, 10_009))}

    assert await names(client, body) == ["n9"]
    longer = await client.post("/items/search", json={"id__in": [1] * 10_001})
    members = assert_problem(longer, 422, "invalid")
    assert members["errors"][0]["message"] == "takes at most 10000 values"


async def test_a_body_picks_fields(client):
    body = {"fields": ["name", "id"], "limit": 1, "count": "exact"}

    response = await client.post("/items/search", json=body)

    assert response.json() == [{"id": 1, "name": "n1"}]
    assert response.headers["x-total-count"] == "9"


@pytest.mark.parametrize("start", [{}, {"cursor": ""}, {"skip": 0}])
async def test_the_same_body_goes_to_each_link(client, start):
    body = {"price__gt": 1.5, "sort": ["-price"], "limit": 3, **start}

    forth, back = [], []
    page = await client.post("/items/search", json=body)
    while True:
        forth.append([row["name"] for row in page.json()])
        if "next" not in page.links:
            break
        page = await client.post(page.links["next"]["url"], json=body)
    while "prev" in page.links:
        page = await client.post(page.links["prev"]["url"], json=body)
        back.append([row["name"] for row in page.json()])

    assert forth == [["n9", "n8", "n7"], ["n6", "n5", "n4"], ["n3", "n2"]]
    assert back == forth[-2::-1]


async def test_a_cursor_is_bound_to_its_body(client):
    page = await client.post("/items/search", json={"limit": 3, "price__gt": 2})

    other = await client.post(page.links["next"]["url"], json={"limit": 3})

    assert_problem(other, 422, "invalid")


async def test_a_resource_without_words_has_it_too(client):
    response = await client.post("/wordless/search", json={"price__lt": 3})

    assert [row["name"] for row in response.json()["items"]] == ["n1", "n2"]
    assert response.json()["total"] == 2
    assert (await client.get("/wordless/search")).status_code == 405
    refused = await client.post("/wordless/search", json={"q": "n"})
    assert_problem(refused, 422, "invalid")
    refused = await client.post("/wordless/search", json={"id__in": [1, 2, 3, 4]})
    assert_problem(refused, 422, "invalid")


@pytest.mark.parametrize(
    ("body", "field", "said"),
    [
        ({"pricee": 1}, "pricee", "did you mean price"),
        ({"price": True}, "price", "Decimal"),
        ({"price": None}, "price", "Decimal"),
        ({"price": [1]}, "price", "Decimal"),
        ({"price__in": 1}, "price__in", "has to be a list"),
        ({"price__in": [1, "x"]}, "price__in", "value 2: "),
        ({"price__between": [1]}, "price__between", "takes two values"),
        ({"id": "1"}, "id", "valid integer"),
        ({"id": 1.5}, "id", "valid integer"),
        ({"name": 1}, "name", "valid string"),
        ({"is_active": "true"}, "is_active", "valid boolean"),
        ({"created_at": "2020-01-01T00:00:00"}, "created_at", "timezone"),
        ({"created_at": 1_600_000_000}, "created_at", "ISO 8601"),
        ({"created_at__in": ["1600000000"]}, "created_at__in", "ISO 8601"),
        ({"sort": "price"}, "sort", "has to be a list of names"),
        ({"sort": ["colour"]}, "sort", "cannot sort by 'colour'"),
        ({"fields": []}, "fields", "has to be a list of names"),
        ({"fields": ["names"]}, "fields", "did you mean name"),
        ({"limit": "3"}, "limit", "has to be a whole number"),
        ({"limit": True}, "limit", "has to be a whole number"),
        ({"limit": 0}, "limit", "from 1 to 1000"),
        ({"skip": -1}, "skip", "from 0 to"),
        ({"cursor": 1}, "cursor", "has to be a text"),
        ({"cursor": "x"}, "cursor", "none of ours"),
        ({"skip": 1, "cursor": ""}, "cursor", "beside skip"),
        ({"q": ""}, "q", "of 1 to 1000 characters"),
        ({"count": "perhaps"}, "count", "exact"),
        ({"active_only": 1}, "active_only", "boolean"),
    ],
)
async def test_a_wrong_member_is_named_with_its_cure(client, body, field, said):
    response = await client.post("/items/search", json=body)

    members = assert_problem(response, 422, "invalid")
    assert [error["field"] for error in members["errors"]] == [field]
    assert said.lower() in members["errors"][0]["message"].lower()
    assert members["detail"].startswith(f"{field}: ")


async def test_every_fault_of_a_body_is_named_at_once(client):
    body = {"pricee": 1, "price": "x", "sort": ["x"], "limit": 0, "q": ""}

    response = await client.post("/items/search?skip=x&sort=name", json=body)

    members = assert_problem(response, 422, "invalid")
    fields = {error["field"] for error in members["errors"]}
    assert fields == {"pricee", "price", "sort", "limit", "q", "skip"}


async def test_a_limit_that_the_address_replaces_is_checked_too(client):
    response = await client.post("/items/search?limit=1", json={"limit": 5000})

    members = assert_problem(response, 422, "invalid")
    assert [error["field"] for error in members["errors"]] == ["limit"]


@pytest.mark.parametrize("body", ["[]", "1", "null", '"x"'])
async def test_a_body_is_an_object(client, body):
    json = {"content-type": "application/json"}

    response = await client.post("/items/search", content=body, headers=json)

    assert_problem(response, 422, "invalid")


async def test_openapi_types_the_body(client):
    document = (await client.get("/openapi.json")).json()
    operation = document["paths"]["/items/search"]["post"]

    assert operation["operationId"] == "items_query"
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert schema["additionalProperties"] is False
    members = schema["properties"]
    assert members["created_at__gt"] == {"type": "string", "format": "date-time"}
    assert members["id__in"] == {
        "type": "array",
        "items": {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1},
        "maxItems": 10_000,
    }
    assert members["sort"]["type"] == "array"
    assert members["limit"]["maximum"] == 1000
    parameters = {each["name"] for each in operation["parameters"]}
    assert parameters == {"skip", "limit", "cursor"}
