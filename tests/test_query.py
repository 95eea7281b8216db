"""The query language over HTTP: filters, sort, pages, on a real PostgreSQL."""

import itertools
import re
from decimal import Decimal
from uuid import UUID

import pytest
from catalogue import (
    Category,
    Item,
    ItemCreate,
    ItemRead,
    ItemUpdate,
    assert_problem,
    client_of,
    create_tables,
)
from fastapi import Depends, FastAPI
from hypothesis import given
from hypothesis import strategies as st

from howdah import Database, Misconfigured, Repository, Resource, connect
from howdah.errors import InvalidQuery
from howdah.query import OPERATORS, Field, Language, Sort

pytestmark = pytest.mark.anyio


class Queried(Resource[Item]):
    create_schema = ItemCreate
    update_schema = ItemUpdate
    read_schema = ItemRead
    search = ("name",)
    soft_delete = "is_active"
    filters = ("name", "price", "tax", "is_active", "created_at", "category__name")
    sort = ("name", "price", "tax", "created_at")


class Enveloped(Queried):
    envelope = True


class Aliased(Queried):
    envelope = True
    aliases = {  # noqa: RUF012 - a declaration
        "min_price": "price__gte",
        "of": "category__name__in",
        "n": "name",
    }


class CategoryRepository(Repository[Category]):
    @classmethod
    async def create_in(cls, db, name):
        async with db.transaction() as session:
            return (await cls(session).create({"name": name})).id


ROWS = [
    {"name": "Alpha", "price": 10, "tax": 1},
    {"name": "beta", "price": 20, "tax": None},
    {"name": "Gamma", "price": 20, "tax": 3},
    {"name": "a_b", "price": 30, "tax": None},
    {"name": "a%b", "price": 5.50, "tax": 2},
]


@pytest.fixture(scope="module")
def app(closed_db):
    app = FastAPI()
    connect(app, closed_db)
    app.include_router(Queried(closed_db).router(prefix="/items"))
    app.include_router(Enveloped(closed_db).router(prefix="/enveloped"))
    app.include_router(Aliased(closed_db).router(prefix="/aliased"))
    return app


@pytest.fixture
async def client(app, db):
    """A client of five items; what it reads is the same in every test."""
    await create_tables(db)
    async with client_of(app) as client:
        await client.post("/items/batch", json=ROWS)
        yield client


async def names(client, query):
    response = await client.get(f"/items/?{query}")
    assert response.status_code == 200, response.text
    return [row["name"] for row in response.json()]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("name=beta", ["beta"]),
        ("name__ne=beta&price=20", ["Gamma"]),
        ("price__lt=10", ["a%b"]),
        ("price__lte=10", ["Alpha", "a%b"]),
        ("price__gt=20", ["a_b"]),
        ("price__gte=20", ["beta", "Gamma", "a_b"]),
        ("price__in=10&price__in=30", ["Alpha", "a_b"]),
        ("price__not_in=10&price__not_in=20", ["a_b", "a%b"]),
        ("price__between=10&price__between=20", ["Alpha", "beta", "Gamma"]),
        ("tax__isnull=true", ["beta", "a_b"]),
        ("tax__isnull=false", ["Alpha", "Gamma", "a%b"]),
        ("tax__ne=1", ["Gamma", "a%b"]),
        ("tax__not_in=1", ["Gamma", "a%b"]),
        ("name__contains=a", ["Alpha", "beta", "Gamma", "a_b", "a%b"]),
        ("name__contains=_", ["a_b"]),
        ("name__contains=%25", ["a%b"]),
        ("name__icontains=A", ["Alpha", "beta", "Gamma", "a_b", "a%b"]),
        ("name__startswith=A", ["Alpha"]),
        ("name__istartswith=A", ["Alpha", "a_b", "a%b"]),
        ("name__endswith=a", ["Alpha", "beta", "Gamma"]),
        ("name__iendswith=MA", ["Gamma"]),
        ("name__gt=b", ["beta"]),
        ("created_at__gt=2020-01-01T00:00:00Z&price__lt=6", ["a%b"]),
        ("is_active=false", []),
    ],
)
async def test_a_filter_finds(client, query, found):
    assert await names(client, query) == found


async def test_a_filter_reaches_through_a_relation(client, db):
    rock = await CategoryRepository.create_in(db, "Rock")
    await client.patch("/items/3", json={"category_id": rock})

    assert await names(client, "category__name=Rock") == ["Gamma"]
    assert await names(client, "category__name__ne=Rock") == []
    assert await names(client, "category__name__icontains=ROC&price=20") == ["Gamma"]


@pytest.mark.parametrize(
    ("query", "order"),
    [
        ("sort=price", ["a%b", "Alpha", "beta", "Gamma", "a_b"]),
        ("sort=-price", ["a_b", "beta", "Gamma", "Alpha", "a%b"]),
        ("sort=-price,-name", ["a_b", "beta", "Gamma", "Alpha", "a%b"]),
        ("sort=tax", ["Alpha", "a%b", "Gamma", "beta", "a_b"]),
        ("sort=-tax", ["Gamma", "a%b", "Alpha", "beta", "a_b"]),
        ("sort=tax:nullsfirst", ["beta", "a_b", "Alpha", "a%b", "Gamma"]),
        ("sort=-tax:nullsfirst", ["beta", "a_b", "Gamma", "a%b", "Alpha"]),
    ],
)
async def test_an_order_places_every_row(client, query, order):
    assert await names(client, query) == order


async def walk(client, path):
    """Follow `next` to the end, then `prev` back; both as lists of pages of ids."""
    forth, back = [], []
    response = await client.get(path)
    while True:
        forth.append([row["id"] for row in response.json()])
        if "next" not in response.links:
            break
        response = await client.get(response.links["next"]["url"])
    while "prev" in response.links:
        response = await client.get(response.links["prev"]["url"])
        back.append([row["id"] for row in response.json()])
    return forth, back


ORDERS = ["", "price", "-price", "tax", "-tax", "tax:nullsfirst", "-tax:nullsfirst"]
ORDERS += ["price,-name", "-tax,price", "tax:nullsfirst,-price", "-price,name"]


@pytest.mark.parametrize("order", ORDERS)
async def test_a_walk_meets_each_row_once_both_ways(client, order):
    sort = f"&sort={order}" if order else ""
    whole = (await client.get(f"/items/?limit=100{sort}")).json()

    for limit, start in itertools.product([1, 2, 4, 5, 100], ["", "&skip=0"]):
        forth, back = await walk(client, f"/items/?limit={limit}{sort}{start}")

        assert [id_ for page in forth for id_ in page] == [row["id"] for row in whole]
        assert back == forth[-2::-1]


async def test_a_link_keeps_every_parameter(client):
    response = await client.get("/items/?limit=1&name__contains=%25&active_only=false")
    response = await client.get("/items/?limit=1&price__gte=10&active_only=false")

    url = response.links["next"]["url"]
    assert "limit=1&price__gte=10&active_only=false&cursor=" in url


async def test_an_empty_cursor_begins_a_walk(client):
    response = await client.get("/items/?cursor=&limit=2")

    assert [row["id"] for row in response.json()] == [1, 2]
    assert "cursor=" in response.links["next"]["url"]


async def test_a_cursor_is_bound_to_its_query(client):
    response = await client.get("/items/?limit=1&sort=price")
    cursor = re.search("cursor=([^>&]+)", response.headers["link"])[1]

    for other in ("sort=name", "sort=-price", "sort=price&price__gt=1", ""):
        refused = await client.get(f"/items/?limit=1&{other}&cursor={cursor}")
        assert_problem(refused, 422, "invalid")


@pytest.mark.parametrize(
    "cursor", ["x", "bm90IG91cnM", "%00", "bnh4eA", "é", "x" * 9999]
)
async def test_a_cursor_that_is_none_is_refused(client, cursor):
    response = await client.get("/items/", params={"cursor": cursor})

    members = assert_problem(response, 422, "invalid")
    assert members["errors"][0]["field"] in {"cursor", "query"}


@pytest.mark.parametrize(
    ("query", "field", "said"),
    [
        ("pricee=1", "pricee", "did you mean price"),
        ("price__like=1", "price__like", "is no parameter here"),
        ("hashed_password=1", "hashed_password", "is no parameter here"),
        ("price=abc", "price", "valid decimal"),
        ("price=1&price=2", "price", "given twice"),
        ("price=NaN", "price", "finite"),
        ("price=1_0", "price", "digits and a point only"),
        ("price=%201", "price", "digits and a point only"),
        ("price=%D9%A1", "price", "digits and a point only"),
        ("price__between=1", "price__between", "takes two values"),
        ("is_active=maybe", "is_active", "boolean"),
        ("tax__isnull=x", "tax__isnull", "boolean"),
        ("created_at__gt=2020-01-01T00:00:00", "created_at__gt", "timezone"),
        ("created_at=yesterday", "created_at", "datetime"),
        ("created_at=0001-01-01T00:00:00%2B14:00", "created_at", "outside of"),
        ("sort=id2", "sort", "cannot sort by 'id2'"),
        ("sort=price,-price", "sort", "twice"),
        ("sort=price:up", "sort", ":up"),
        ("sort=", "sort", "cannot sort by ''"),
        ("limit=1_0", "limit", "digits only"),
        ("skip=1&cursor=x", "cursor", "beside skip"),
        ("count=perhaps", "count", "exact"),
        ("&".join(f"price__in={n}" for n in range(101)), "price__in", "at most 100"),
    ],
)
async def test_a_wrong_parameter_is_named_with_its_cure(client, query, field, said):
    response = await client.get(f"/items/?{query}")

    members = assert_problem(response, 422, "invalid")
    assert [error["field"] for error in members["errors"]] == [field]
    assert said in members["errors"][0]["message"]


async def test_every_wrong_parameter_is_named_at_once(client):
    response = await client.get("/items/?price=x&tax=y")

    members = assert_problem(response, 422, "invalid")
    assert [error["field"] for error in members["errors"]] == ["price", "tax"]


async def test_unknown_names_values_and_pages_are_faults_at_once(client):
    response = await client.get("/items/?pricee=1&price=x&limit=0&skip=x&sort=y&q=1")

    members = assert_problem(response, 422, "invalid")
    fields = [error["field"] for error in members["errors"]]
    assert sorted(fields) == ["limit", "price", "pricee", "q", "skip", "sort"]
    assert members["detail"].startswith("pricee: is no parameter here; did you mean")
    assert members["detail"].endswith("and 3 more")


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/items/?cursor=&cursor=", "cursor"),
        ("/items/search?q=a&q=b", "q"),
        ("/items/search", "q"),
        ("/items/count?sort=price", "sort"),
        ("/items/count?fields=name", "fields"),
        ("/items/count?limit=1", "limit"),
        ("/items/1?price=1", "price"),
    ],
)
async def test_a_parameter_out_of_its_place_is_named(client, path, field):
    members = assert_problem(await client.get(path), 422, "invalid")

    assert [error["field"] for error in members["errors"]] == [field]


async def test_what_a_dependency_reads_is_its_own(db, client):
    def tenant(tenant: str, trace: str | None = None) -> str:
        return tenant + (trace or "")

    app = FastAPI()
    connect(app, db)
    router = Queried(db).router(prefix="/items")
    app.include_router(router, dependencies=[Depends(tenant)])
    async with client_of(app) as other:
        for path in ("/items/", "/items/1", "/items/count", "/items/search"):
            words = "&q=a" if path.endswith("search") else ""
            response = await other.get(f"{path}?tenant=x{words}")
            refused = await other.get(f"{path}?tenant=x&tenants=x{words}")

            assert response.status_code == 200, response.text
            assert_problem(refused, 422, "invalid")


async def test_a_page_near_the_beginning_has_a_shorter_one_before_it(client):
    second = await client.get("/items/?skip=1&limit=3")
    first = await client.get(second.links["prev"]["url"])

    assert [row["id"] for row in second.json()] == [2, 3, 4]
    assert [row["id"] for row in first.json()] == [1]
    assert "prev" not in first.links


async def test_a_304_is_described_without_a_body(client):
    paths = (await client.get("/openapi.json")).json()["paths"]

    responses = paths["/items/{item_id}"]["get"]["responses"]
    assert responses["304"] == {"description": "Not Modified"}


def test_a_filter_named_like_a_parameter_is_asked_for_by_eq():
    language = Language(filters=[Field(name="count", annotation=int)])

    query = language.read({"count": ["exact"], "count__eq": ["5"], "count__lt": ["9"]})

    assert query.count == "exact"
    assert [(f.field, f.operator, f.value) for f in query.filters] == [
        ("count", "eq", 5),
        ("count", "lt", 9),
    ]


async def test_count_takes_the_filters(client):
    response = await client.get("/items/count?price=20")

    assert response.content == b'{"total": 2}'


async def test_a_list_tells_its_total_when_it_is_asked(client):
    response = await client.get("/items/?limit=1&price=20&count=exact")

    assert response.headers["x-total-count"] == "2"
    assert "x-total-count" not in (await client.get("/items/")).headers


async def test_a_total_may_be_what_the_planner_thinks(client, db):
    rows = [{"name": f"n{n}", "price": 100 + n % 4} for n in range(2000)]
    await client.post("/items/batch", json=rows)
    await db.lane.fetchrow("ANALYZE items")

    listed = await client.get("/items/?price=102&limit=3&count=estimated")
    counted = await client.get("/items/count?price__gte=100&count=estimated")
    enveloped = await client.get("/enveloped/?limit=3&count=estimated")

    assert 400 < int(listed.headers["x-total-count"]) < 600
    assert listed.headers["x-total-count-kind"] == "estimated"
    assert 1900 < counted.json()["total"] < 2100
    assert counted.headers["x-total-count-kind"] == "estimated"
    assert 1900 < enveloped.json()["total"] < 2100


@pytest.mark.parametrize(
    ("query", "total"),
    [
        ("price=20", "2"),
        ("price=21", "0"),
        ("price__gte=10&skip=1", "4"),
        ("name__contains=a&cursor=", "5"),
    ],
)
async def test_a_page_that_shows_the_end_is_not_estimated(client, query, total):
    response = await client.get(f"/items/?{query}&count=estimated")

    assert response.headers["x-total-count"] == total
    assert response.headers["x-total-count-kind"] == "exact"


async def test_an_envelope_holds_the_rows_and_the_total(client):
    response = await client.get("/enveloped/?skip=1&limit=2&price__gte=10")

    page = response.json()
    assert [row["name"] for row in page.pop("items")] == ["beta", "Gamma"]
    assert page == {"total": 4, "skip": 1, "limit": 2}


async def test_search_takes_filters_and_pages_too(client):
    response = await client.get("/items/search?q=a&price=20&limit=1&sort=-name")

    assert [row["name"] for row in response.json()] == ["beta"]
    more = await client.get(response.links["next"]["url"])
    assert [row["name"] for row in more.json()] == ["Gamma"]


async def test_openapi_types_every_filter(client):
    paths = (await client.get("/openapi.json")).json()["paths"]

    parameters = {p["name"]: p["schema"] for p in paths["/items/"]["get"]["parameters"]}
    assert parameters["created_at__gt"] == {"type": "string", "format": "date-time"}
    assert parameters["is_active"] == {"type": "boolean"}
    assert parameters["price__in"]["type"] == "array"
    assert parameters["limit"]["maximum"] == 1000
    assert {"skip", "cursor", "sort", "active_only", "count"} <= set(parameters)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("min_price=20", ["beta", "Gamma", "a_b"]),
        ("min_price=20&price__lt=30&n=beta", ["beta"]),
        ("min_price=5.5&price__gte=20", ["beta", "Gamma", "a_b"]),
        ("of=Rock&of=Jazz", []),
    ],
)
async def test_a_filter_has_a_name_of_ones_own(client, query, found):
    answer = (await client.get(f"/aliased/?{query}&limit=10")).json()

    assert [row["name"] for row in answer["items"]] == found
    count = await client.get(f"/aliased/count?{query}")
    assert count.json()["total"] == answer["total"] == len(found)


async def test_a_body_and_links_take_aliases(client):
    body = {"min_price": 20, "limit": 2, "of": None}
    refused = await client.post("/aliased/search", json=body)
    page = await client.get("/aliased/?min_price=20&limit=2")
    rest = await client.get(page.links["next"]["url"])
    del body["of"]
    asked = await client.post("/aliased/search", json=body)

    assert_problem(refused, 422, "invalid")
    assert [row["name"] for row in rest.json()["items"]] == ["a_b"]
    assert asked.json()["items"] == page.json()["items"]


async def test_what_an_alias_cannot_read_is_told_by_its_name(client):
    refused = await client.get("/aliased/?min_price=cheap&min_prise=1")

    problem = assert_problem(refused, 422, "invalid")
    assert [error["field"] for error in problem["errors"]] == ["min_prise", "min_price"]
    assert "did you mean min_price" in problem["detail"]


async def test_openapi_has_aliases_as_it_has_filters(app, client):
    document = (await client.get("/openapi.json")).json()
    operation = document["paths"]["/aliased/"]["get"]
    described = {each["name"]: each["schema"] for each in operation["parameters"]}

    assert described["min_price"] == described["price__gte"]
    assert described["of"] == described["category__name__in"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"cheap": "prise__lt"}, "cheap for prise__lt, which is no filter; did you"),
        ({"cheap": "sort"}, "cheap for sort, which is no filter"),
        ({"price__lt": "price__lte"}, "price__lt is a parameter already"),
        ({"limit": "price__lte"}, "limit is a parameter already"),
    ],
)
def test_an_alias_of_nothing_or_by_a_taken_name_is_refused(given, said):
    class Wrong(Queried):
        aliases = given

    with pytest.raises(Misconfigured, match=said):
        Wrong(Database("postgresql:///x"))


def test_a_filter_on_an_unknown_field_is_refused():
    class Wrong(Queried):
        filters = ("colour",)

    with pytest.raises(Misconfigured, match="filters names colour"):
        Wrong(Database("postgresql:///x"))


def test_a_soft_delete_by_an_unknown_field_is_refused():
    class Wrong(Queried):
        soft_delete = "gone"

    with pytest.raises(Misconfigured, match="soft_delete names gone"):
        Wrong(Database("postgresql:///x"))


def test_a_filter_through_an_unknown_relation_is_refused():
    class Wrong(Queried):
        filters = ("maker__name",)

    with pytest.raises(Misconfigured, match="no relation maker"):
        Wrong(Database("postgresql:///x"))


@pytest.mark.parametrize(
    ("kind", "missing"),
    [
        (bool, set(OPERATORS) - {"eq", "ne", "isnull"}),
        (str, set()),
        (Decimal, {o for o in OPERATORS if o.endswith(("contains", "with"))}),
        (UUID, set(OPERATORS) - {"eq", "ne", "in", "not_in", "isnull"}),
    ],
)
def test_a_type_has_the_operators_that_make_sense(kind, missing):
    assert set(OPERATORS) - set(Field(name="x", annotation=kind).operators) == missing


LANGUAGE = Language(filters=[Field(name="price", annotation=int)], sort=("price",))


@given(st.sampled_from(LANGUAGE.names), st.text(st.characters(exclude_categories="N")))
def test_a_language_names_the_parameter_that_it_cannot_read(name, text):
    if text in {"price", "-price", "exact", "t", "f", "y", "n", "true", "false"}:
        return

    with pytest.raises(InvalidQuery) as caught:
        LANGUAGE.read({name: [text, "x"]})

    assert caught.value.fields == (name,)


def test_a_sort_says_itself_as_it_was_written():
    sort = Sort(field="price", descending=True, nulls_first=True)

    assert str(sort) == "-price:nullsfirst"
