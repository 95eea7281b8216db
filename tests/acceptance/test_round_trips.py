"""One request of a resource is one round trip, counted on the wire."""

from typing import Annotated

import pytest
import test_relations
from catalogue import NOTEBOOK, Categories, Category, Item, Items, client_of
from fastapi import FastAPI, Header
from relay import relaying
from shop import create_shop, make_shop
from sqlalchemy import and_

from howdah import Database
from howdah.settings import Pool

pytestmark = pytest.mark.anyio


@pytest.fixture
async def relay(database_url):
    create_shop(database_url)
    async with relaying(database_url) as relay:
        yield relay


class Queried(Items):
    filters = ("name", "price", "category__name")
    sort = ("price", "tax")
    include = {"category": Categories}  # noqa: RUF012 - a declaration


class Named(Categories):
    upsert = ("name",)


class Owned(Queried):
    """Items of a category that who calls names."""

    def scope(self, category: Annotated[int | None, Header()] = None):
        mine = Item.category.has(Category.id == category)
        return and_(Item.category_id == category, mine, Item.price.not_in([0, 1]))

    def before_write(self, change, category: Annotated[int | None, Header()] = None):
        pass


@pytest.fixture(scope="module")
def closed_db():
    return Database("postgresql://localhost/behind_a_relay", pool=Pool(size=2))


@pytest.fixture(scope="module")
def shop(closed_db):
    shop = make_shop(closed_db)
    shop.include_router(Queried(closed_db).router(prefix="/queried"))
    shop.include_router(Named(closed_db).router(prefix="/named"))
    shop.include_router(Owned(closed_db).router(prefix="/owned"))
    return shop


@pytest.fixture
async def client(shop, closed_db, relay):
    with closed_db.redirected(relay.url):
        async with closed_db, client_of(shop) as client:
            await client.post("/items/batch", json=rows(10))
            yield client


def rows(count):
    return [{**NOTEBOOK, "name": f"Item {number}"} for number in range(count)]


def changes(count):
    """Rows that send different fields, and one that sends none."""
    kinds = [{"price": 5}, {"name": "x", "tax": None}, {}]
    return [{"id": n + 1, **kinds[n % 3]} for n in range(count)]


FILTERS = "price__gt=1&name__contains=Item&price__in=1500000&price__in=5"
ASKED = f"{FILTERS}&sort=-price,tax&limit=3&count=exact"
BODY = {
    "price__in": [1500000, *range(5000)],
    "sort": ["-price"],
    "q": "Item",
    "include": ["category"],
    "count": "exact",
}


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        pytest.param("POST", "/items/", NOTEBOOK, 201, id="create"),
        pytest.param("GET", "/items/1", None, 200, id="get"),
        pytest.param("GET", "/items/?skip=2&limit=3", None, 200, id="list"),
        pytest.param("GET", "/items/search?q=Item", None, 200, id="search"),
        pytest.param("GET", "/items/count", None, 200, id="count"),
        pytest.param("PUT", "/items/1", {"price": 5}, 200, id="update"),
        pytest.param("PATCH", "/items/1", {"tax": None}, 200, id="patch"),
        pytest.param("PATCH", "/items/1", {}, 200, id="patch of nothing"),
        pytest.param("POST", "/items/batch", rows(2), 201, id="batch of 2"),
        pytest.param("POST", "/items/batch", rows(1000), 201, id="batch of 1000"),
        pytest.param("PATCH", "/items/batch", changes(10), 200, id="changes of 10"),
        pytest.param("PATCH", "/items/batch", changes(11), 404, id="change of a miss"),
        pytest.param("DELETE", "/items/batch", [1, 2, 3], 204, id="soft deletes"),
        pytest.param("DELETE", "/items/batch", [1, 99], 404, id="deletes of a miss"),
        pytest.param("PUT", "/named/", {"name": "x"}, 200, id="upsert"),
        pytest.param(
            "PUT", "/named/batch", [{"name": "x"}, {"name": "y"}], 200, id="upserts"
        ),
        pytest.param("GET", "/items/999", None, 404, id="miss"),
        pytest.param("HEAD", "/items/1", None, 200, id="head"),
        pytest.param("GET", f"/queried/?{ASKED}", None, 200, id="query"),
        pytest.param("GET", f"/queried/count?{FILTERS}", None, 200, id="query's count"),
        pytest.param(
            "GET", f"/queried/search?q=Item&{ASKED}", None, 200, id="search and query"
        ),
        pytest.param("GET", "/queried/?include=category", None, 200, id="include"),
        pytest.param("GET", "/queried/1?include=category", None, 200, id="include one"),
        pytest.param("GET", "/queried/?fields=name", None, 200, id="fields"),
        pytest.param("POST", "/queried/search", BODY, 200, id="search by body"),
        pytest.param("POST", "/items/1/restore", None, 200, id="restore"),
        pytest.param("POST", "/items/999/restore", None, 404, id="restore of a miss"),
    ],
)
async def test_each_request_is_one_round_trip(
    client, relay, method, path, body, status
):
    await client.request(method, path, json=body)
    relay.said = ""

    response = await client.request(method, path, json=body)

    assert response.status_code == status
    assert relay.said == "BES"
    assert relay.round_trips == 1


@pytest.mark.parametrize("path", ["/queried/?", "/queried/search?q=Item&"])
async def test_each_page_behind_a_cursor_is_one_round_trip(client, relay, path):
    first = await client.get(f"{path}{ASKED}")
    second = await client.get(first.links["next"]["url"])
    relay.said = ""

    third = await client.get(second.links["next"]["url"])

    assert (third.status_code, third.headers["x-total-count"]) == (200, "10")
    assert {row["id"] for row in third.json()} == {7, 8, 9}
    assert relay.said == "BES"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        pytest.param("PUT", "/items/{}", {"price": 5}, id="update"),
        pytest.param("PATCH", "/items/{}", {}, id="patch of nothing"),
        pytest.param("POST", "/items/{}/restore", None, id="restore"),
        pytest.param("DELETE", "/items/{}", None, id="delete"),
        pytest.param("DELETE", "/items/{}?hard_delete=true", None, id="hard delete"),
    ],
)
async def test_each_change_of_a_version_is_one_round_trip(
    client, relay, method, path, body
):
    tag = (await client.get("/items/1")).headers["etag"]
    await client.request(method, path.format(1), json=body, headers={"If-Match": tag})
    tag = (await client.get("/items/2")).headers["etag"]
    relay.said = ""

    statuses = []
    for match in ('"0"', tag):
        response = await client.request(
            method, path.format(2), json=body, headers={"If-Match": match}
        )
        statuses.append(response.status_code)

    assert statuses == [412, 204 if method == "DELETE" else 200]
    assert relay.said == "BES" * 2


async def test_an_estimate_is_a_round_trip_of_its_own_where_rows_are_left(
    client, relay
):
    path, whole = "/queried/?limit=3&count=estimated", "/queried/?count=estimated"
    await client.get(path)
    await client.get(whole)
    relay.said = ""

    listed = await client.get(path)
    assert relay.said == "BES" * 2
    await client.get(whole)

    assert listed.headers["x-total-count-kind"] == "estimated"
    assert relay.said == "BES" * 3


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        pytest.param("POST", "", NOTEBOOK, 201, id="create"),
        pytest.param("GET", "1", None, 200, id="get"),
        pytest.param("GET", f"?{ASKED}&include=category", None, 200, id="list"),
        pytest.param("GET", "search?q=Item&count=estimated", None, 200, id="search"),
        pytest.param("GET", f"count?{FILTERS}", None, 200, id="count"),
        pytest.param("PATCH", "1", {"price": 5}, 200, id="patch"),
        pytest.param("PATCH", "1", {"category_id": None}, 403, id="leave"),
        pytest.param("PATCH", "2", {"price": 5}, 404, id="another's"),
        pytest.param("POST", "batch", rows(10), 201, id="create many"),
        pytest.param("PATCH", "batch", [{"id": 1, "price": 5}], 200, id="update many"),
        pytest.param("DELETE", "batch", [2], 404, id="delete many"),
        pytest.param("DELETE", "1", None, 204, id="delete"),
        pytest.param("POST", "1/restore", None, 200, id="restore"),
    ],
)
async def test_each_request_in_a_scope_is_one_round_trip(
    client, relay, method, path, body, status
):
    await client.post("/categories/", json={"name": "mine"})
    await client.patch("/items/1", json={"category_id": 1})
    mine = {"category": "1"}
    await client.request(method, f"/owned/{path}", json=body, headers=mine)
    relay.said = ""

    response = await client.request(method, f"/owned/{path}", json=body, headers=mine)

    assert response.status_code == status, response.text
    assert relay.said == "BES"


async def test_a_version_that_is_known_is_one_round_trip(client, relay):
    tag = (await client.get("/items/1")).headers["etag"]
    relay.said = ""

    response = await client.get("/items/1", headers={"If-None-Match": tag})

    assert response.status_code == 304
    assert relay.said == "BES"


async def test_ten_thousand_rows_are_one_round_trip(client, relay):
    most = 10_000
    names = [{"name": f"{number}"} for number in range(most)]
    await client.put("/named/batch", json=names[:1])
    made = (await client.post("/items/batch", json=rows(most))).json()
    keys = [row["id"] for row in made]
    change = [{"id": key, "price": 5} for key in keys]
    calls = [
        ("POST", "/items/batch", rows(most), 201),
        ("PATCH", "/items/batch", change, 200),
        ("DELETE", "/items/batch", keys, 204),
        ("DELETE", "/items/batch?hard_delete=true", keys, 204),
        ("PUT", "/named/batch", names, 200),
    ]
    for method, path, body, _ in calls[1:4]:
        await client.request(method, path, json=body[-1:])
    again = (await client.post("/items/batch", json=rows(most))).json()
    keys[:] = [row["id"] for row in again]
    for row, key in zip(change, keys, strict=True):
        row["id"] = key

    for method, path, body, status in calls:
        relay.said = ""
        response = await client.request(method, path, json=body)
        assert (response.status_code, relay.said) == (status, "BES"), method


@pytest.mark.parametrize("hard", ["false", "true"])
async def test_each_delete_is_one_round_trip(client, relay, hard):
    await client.delete(f"/items/1?hard_delete={hard}")
    relay.said = ""

    response = await client.delete(f"/items/2?hard_delete={hard}")

    assert response.status_code == 204
    assert relay.said == "BES"


async def test_a_refused_write_is_one_round_trip(client, relay):
    orphan = {**NOTEBOOK, "category_id": 77}
    await client.post("/items/", json=orphan)
    relay.said = ""

    response = await client.post("/items/", json=orphan)

    assert response.status_code == 409
    assert relay.said == "BES"


KEYS = [{"Idempotency-Key": str(number)} for number in range(3)]


@pytest.mark.parametrize("body", [NOTEBOOK, rows(2), rows(1000)])
async def test_a_creation_with_a_key_is_one_round_trip(client, relay, body):
    path = "/items/batch" if isinstance(body, list) else "/items/"
    await client.post(path, json=body, headers=KEYS[0])
    relay.said = ""

    first = await client.post(path, json=body, headers=KEYS[1])

    assert first.status_code == 201
    assert relay.said == "BES"


async def test_a_creation_sent_again_is_one_round_trip(client, relay):
    first = await client.post("/items/", json=NOTEBOOK, headers=KEYS[0])
    relay.said = ""

    again = await client.post("/items/", json=NOTEBOOK, headers=KEYS[0])
    other = await client.post("/items/", json={**NOTEBOOK, "tax": 1}, headers=KEYS[0])

    assert (again.content, other.status_code) == (first.content, 422)
    assert relay.said == "BES" * 2


async def test_a_refused_creation_with_a_key_is_two_round_trips(client, relay):
    orphan = {**NOTEBOOK, "category_id": 77}
    await client.post("/items/", json=orphan, headers=KEYS[0])
    relay.said = ""

    response = await client.post("/items/", json=orphan, headers=KEYS[1])

    assert response.status_code == 409
    assert relay.said == "BES" * 2


async def test_each_change_of_relations_is_one_round_trip(relay):
    async with Database(relay.url, pool=Pool(size=2)) as db:
        async with db.engine.begin() as connection:
            await connection.run_sync(test_relations.Base.metadata.create_all)
        app = FastAPI()
        app.include_router(test_relations.Posts(db).router(prefix="/posts"))
        app.include_router(test_relations.Tags(db).router(prefix="/tags"))
        async with client_of(app) as client:
            await client.post("/posts/", json={"title": "a"})
            await client.post("/tags/batch", json=[{"id": 1}, {"id": 2}])
            calls = [("PUT", [1]), ("POST", [2]), ("DELETE", [1]), ("GET", None)]
            for method, body in calls:
                await client.request(method, "/posts/1/tags", json=body)
            for method, body in calls:
                relay.said = ""
                response = await client.request(method, "/posts/1/tags", json=body)
                assert (response.is_success, relay.said) == (True, "BES"), method
            assert response.json() == [2]


async def test_a_refused_batch_asks_once_more_which_row_it_was(client, relay):
    batch = [NOTEBOOK, {**NOTEBOOK, "category_id": 77}]
    await client.post("/items/batch", json=batch)
    relay.said = ""

    response = await client.post("/items/batch", json=batch)

    errors = response.json()["errors"]
    assert [(e["field"], e["index"]) for e in errors] == [("category_id", 1)]
    assert relay.said == "BES" * 2


async def test_bad_input_is_no_round_trip(client, relay):
    relay.said = ""

    response = await client.post("/items/", json={"name": ""})

    assert response.status_code == 422
    assert relay.said == ""


async def test_a_new_shape_of_statement_is_prepared_in_one_more(client, relay):
    relay.said = ""

    response = await client.get("/items/count")

    assert response.status_code == 200
    assert relay.said == "PDHBES"


async def test_a_session_costs_begin_and_commit_as_well(client, relay):
    await client.get("/session/items/1")
    relay.said = ""

    response = await client.get("/session/items/1")

    assert response.status_code == 200
    assert relay.said == "QBESQ"
    assert relay.round_trips == 3


async def test_readiness_is_one_round_trip(client, relay):
    await client.get("/health/ready")
    relay.said = ""

    response = await client.get("/health/ready")

    assert response.status_code == 200
    assert relay.round_trips == 1
