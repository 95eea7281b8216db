"""What is MongoDB's own; what every store does is held in tests/contract."""

import asyncio
import datetime as dt
import gc
from decimal import Decimal
from types import MappingProxyType
from typing import Annotated
from uuid import UUID

import pytest
from beanie import BackLink, Document, Indexed, Link, PydanticObjectId
from catalogue import assert_problem, client_of
from fastapi import FastAPI
from mongo import mongo_server, standalone_server
from pydantic import BaseModel, Field
from pymongo import AsyncMongoClient

from howdah import Database, Resource, connect
from howdah.documents import MongoDatabase, Timestamps, columns
from howdah.errors import Duplicate, Misconfigured, NotFound, Unavailable, Unsupported
from howdah.memory import MemoryDatabase
from howdah.models import SECRET, mapped_columns, relationships
from howdah.paging import OffsetPage
from howdah.query import Query, Show
from howdah.schemas import create_schema, read_schema, update_schema
from howdah.store import Once

pytestmark = pytest.mark.anyio


class Address(BaseModel):
    street: str
    since: dt.date


class User(Timestamps, Document):
    email: Annotated[str, Field(max_length=40), Indexed(unique=True)]
    username: str
    hashed_password: Annotated[str, SECRET] = "none"
    is_active: bool = True
    home: Address | None = None
    tags: list[str] = Field(default=[])
    items: list[BackLink["Item"]] = Field(
        default=[], json_schema_extra={"original_field": "owner"}
    )

    class Settings:
        name = "users"
        use_revision = True


class Item(Document):
    name: str
    price: Annotated[Decimal, Field(max_digits=12, decimal_places=2)] | None = None
    owner: Link[User]
    friends: list[Link[User]] = Field(default=[])

    class Settings:
        name = "items"


class Users(Resource[User]):
    filters = ("email", "items__name")
    sort = ("username",)
    soft_delete = "is_active"


class Items(Resource[Item]):
    filters = ("owner_id", "owner__email", "price")
    sort = ("name",)
    include = MappingProxyType({"owner": Users})


class Mine(Items):
    def scope(self):
        return {"price": {"$lt": 10}}


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with mongo_server(tmp_path_factory.mktemp("mongo")) as url:
        yield url


@pytest.fixture
async def db(address):
    db = MongoDatabase(address, documents=[User, Item], name="documents_test")
    async with db:
        yield db
        await db.client.drop_database("documents_test")


@pytest.fixture
async def client(db):
    async with client_of(make_app(db)) as client:
        yield client


def make_app(db):
    app = FastAPI()
    connect(app, db)
    app.include_router(Users(db).router(prefix="/users"))
    app.include_router(Items(db).router(prefix="/items"))
    app.include_router(Mine(db).router(prefix="/mine"))
    return app


ADA = {"email": "ada@example.org", "username": "ada"}
BOB = {"email": "bob@example.org", "username": "bob"}


async def ada(client, **more):
    return (await client.post("/users/", json={**ADA, **more})).json()


def test_a_document_is_described_as_columns():
    found = mapped_columns(Item)

    assert list(found) == ["id", "name", "price", "owner_id", "friends"]
    assert found["owner_id"].info["path"] == "owner"
    assert relationships(Item) == {"owner": User}
    assert relationships(User) == {"items": Item}


def test_schemas_are_derived_of_a_document():
    assert sorted(create_schema(Item).model_fields) == [
        "friends",
        "name",
        "owner_id",
        "price",
    ]
    assert "id" in read_schema(Item).model_fields
    assert "hashed_password" not in read_schema(User).model_fields
    assert {"created_at", "updated_at", "revision_id", "items"}.isdisjoint(
        update_schema(User).model_fields
    )


async def test_beanie_reads_what_a_resource_stores(client):
    home = {"street": "Main", "since": "2024-02-29"}
    user = await ada(client, home=home, tags=["a"])
    sent = {"name": "Lamp", "price": 1.5, "owner_id": user["id"]}
    made = await client.post("/items/", json={**sent, "friends": [user["id"]]})

    item = await Item.get(made.json()["id"])
    await item.fetch_all_links()
    owner = await User.find_one(User.email == "ada@example.org")

    assert made.status_code == 201, made.text
    assert made.json()["friends"] == [user["id"]]
    assert (item.name, item.price, item.owner.id) == ("Lamp", Decimal("1.50"), owner.id)
    assert owner.home == Address(street="Main", since=dt.date(2024, 2, 29))
    assert isinstance(owner.revision_id, UUID)
    assert user["home"] == home


async def test_a_resource_reads_what_beanie_stores(client):
    user = await User(email="x@example.org", username="x", tags=["t"]).insert()
    item = await Item(name="Lamp", price=Decimal("2.5"), owner=user).insert()

    shown = (await client.get(f"/items/{item.id}?include=owner")).json()

    assert shown["price"] == 2.5
    assert shown["owner_id"] == str(user.id)
    assert shown["owner"]["tags"] == ["t"]


async def test_a_change_by_beanie_makes_a_version_stale(client):
    user = await ada(client)
    tag = (await client.get(f"/users/{user['id']}")).headers["etag"]

    found = await User.get(user["id"])
    found.username = "Ada"
    await found.save()
    refused = await client.patch(
        f"/users/{user['id']}", json={"username": "x"}, headers={"If-Match": tag}
    )

    assert tag.strip('"') != found.revision_id.hex
    assert_problem(refused, 412, "stale")


async def test_a_duplicate_email_is_409_with_the_field(client):
    await ada(client)

    twice = await client.post("/users/", json=ADA)
    batch = await client.post("/users/batch", json=[BOB, ADA])

    (error,) = assert_problem(twice, 409, "duplicate")["errors"]
    assert error["field"] == "email"
    (error,) = assert_problem(batch, 409, "duplicate")["errors"]
    assert (error["field"], error["index"]) == ("email", 1)
    assert (await client.get("/users/count")).json() == {"total": 1}


async def test_a_link_is_a_field_and_a_relation(client):
    a = await ada(client)
    b = (await client.post("/users/", json=BOB)).json()
    for name, user in (("x", a), ("y", b), ("z", b)):
        await client.post("/items/", json={"name": name, "owner_id": user["id"]})

    async def names(query):
        return [row["name"] for row in (await client.get(f"/items/?{query}")).json()]

    assert await names(f"owner_id={a['id']}") == ["x"]
    assert await names("owner__email=bob@example.org") == ["y", "z"]
    users = (await client.get("/users/?items__name=z")).json()
    assert [user["username"] for user in users] == ["bob"]


async def test_a_link_that_leads_nowhere_is_409(client):
    nobody = {"name": "x", "owner_id": str(PydanticObjectId())}

    response = await client.post("/items/", json=nobody)

    (error,) = assert_problem(response, 409, "missing_reference")["errors"]
    assert error["field"] == "owner_id"


async def test_a_key_that_is_none_is_not_found(client):
    assert_problem(await client.get(f"/users/{PydanticObjectId()}"), 404, "not_found")
    assert (await client.get("/users/nonsense")).status_code in {404, 422}


async def test_a_scope_may_be_a_query(client, db):
    user = await ada(client)
    cheap = {"name": "cheap", "price": 1, "owner_id": user["id"]}
    dear = await client.post("/items/", json={**cheap, "name": "dear", "price": 99})
    await client.post("/mine/", json=cheap)

    refused = await client.post("/mine/", json={**cheap, "price": 10})
    mine = (await client.get("/mine/")).json()

    assert_problem(refused, 403, "forbidden")
    assert [row["name"] for row in mine] == ["cheap"]
    hidden = await client.get(f"/mine/{dear.json()['id']}")
    assert_problem(hidden, 404, "not_found")
    by_beanie = Items(db).store.within(Item.price > 10)
    by_columns = Items(db).store.within(columns(Item).price > 10)
    assert await by_beanie.count(Query()) == await by_columns.count(Query()) == 1


async def test_a_transaction_is_whole_or_nothing(db):
    async def fail():
        async with db.transaction() as session:
            await User(**ADA).insert(session=session)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    assert await User.count() == 0

    async with db.transaction() as session:
        await User(**ADA).insert(session=session)
    assert await User.count() == 1


async def test_what_goes_wrong_in_a_transaction_is_translated(db):
    await User(**ADA).insert()

    with pytest.raises(Duplicate) as caught:
        await db.run(lambda session: User(**ADA).insert(session=session))

    assert caught.value.fields == ("email",)


async def test_a_standalone_server_says_what_it_cannot(tmp_path):
    with standalone_server(tmp_path / "mongo") as url:
        db = MongoDatabase(url, documents=[User, Item])
        async with db, client_of(make_app(db)) as client:
            user = await ada(client)
            changed = await client.patch(f"/users/{user['id']}", json={"username": "A"})
            batch = await client.post(
                "/users/batch", json=[BOB, {**BOB, "email": "c@example.org"}]
            )
            once = await client.post(
                "/users/", json=BOB, headers={"Idempotency-Key": "k"}
            )
            with pytest.raises(Unsupported, match="replica set"):
                await db.run(lambda session: User(**BOB).insert(session=session))
            total = (await client.get("/users/count")).json()

    assert changed.json()["username"] == "A"
    members = assert_problem(batch, 501, "unsupported")
    assert "replica set" in members["detail"]
    assert_problem(once, 501, "unsupported")
    assert total == {"total": 1}


# PyMongo leaves the socket of a connection that was refused to the collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
async def test_an_app_starts_while_the_server_is_away():
    db = MongoDatabase("mongodb://127.0.0.1:1/x", documents=[User, Item], timeout=0.1)
    app = make_app(db)
    async with app.router.lifespan_context(app), client_of(app) as client:
        ready = await client.get("/health/ready")
        asked = await client.get("/users/")

    assert_problem(ready, 503, "unavailable")
    assert_problem(asked, 503, "unavailable")
    with pytest.raises(Unavailable):
        await db.open()
    await db.close()
    gc.collect()


async def test_an_app_is_ready_when_the_server_is(client):
    assert (await client.get("/health/ready")).json()["status"] == "ready"


async def test_of_many_changes_none_is_lost(db):
    class Counted(Items):
        pass

    user = await User(**ADA).insert()
    item = await Item(name="x", price=Decimal(0), owner=user).insert()
    store = Users(db).store
    await asyncio.gather(
        *(store.update(user.id, {"tags": [str(n)]}) for n in range(10)),
        *(Counted(db).store.update(item.id, {"name": str(n)}) for n in range(10)),
    )

    assert await User.count() == 1


async def test_what_a_resource_was_asked_once_is_done_once(db):
    store = Users(db).store
    once = Once(key="k", fingerprint=b"f")

    created = await store.create(ADA, once=once)

    assert isinstance(created.key, PydanticObjectId)
    kept = await (await db.collection("howdah_idempotency")).find_one({})
    assert kept["body"] == created.body


async def test_a_fake_serves_documents_too():
    items = Users(MemoryDatabase()).store

    created = await items.create(ADA)

    assert isinstance(created.key, PydanticObjectId)
    assert (await items.list(Query(), OffsetPage())).body == b"[%s]" % created.body
    assert (await items.get(created.key, show=Show(fields=("email",)))).body == (
        b'{"email":"ada@example.org"}'
    )


def test_a_document_and_a_database_of_sql_do_not_fit():
    with pytest.raises(Misconfigured, match="MongoDatabase"):
        Users(Database("postgresql://localhost/x"))


@pytest.mark.parametrize("way", ["orm", "sync"])
def test_ways_of_sql_are_not_for_documents(way):
    other = type("Other", (Users,), {way: True})

    with pytest.raises(Misconfigured, match=f"Other has {way} = True"):
        other(MongoDatabase("mongodb://localhost", documents=[User, Item]))


def test_documents_that_share_a_collection_are_refused():
    class Parent(Document):
        class Settings:
            is_root = True

    class Parents(Resource[Parent]):
        pass

    with pytest.raises(Misconfigured, match="shares its collection"):
        Parents(MongoDatabase("mongodb://localhost", documents=[Parent]))


def test_a_field_that_bson_cannot_hold_is_refused():
    class Alarm(Document):
        at: dt.time | None = None

    class Alarms(Resource[Alarm]):
        pass

    with pytest.raises(Misconfigured, match=r"Alarm.at is a time of day"):
        Alarms(MongoDatabase("mongodb://localhost", documents=[Alarm]))


def test_a_database_shows_no_password():
    db = MongoDatabase("mongodb://app:secret@db.example.org/shop", documents=[])

    assert repr(db) == "MongoDatabase('mongodb://app:***@db.example.org/shop')"


async def test_nothing_is_asked_of_a_closed_database():
    db = MongoDatabase("mongodb://localhost", documents=[User, Item])

    with pytest.raises(Misconfigured, match="not open"):
        await Users(db).store.get(PydanticObjectId())
    with pytest.raises(Misconfigured, match="no sessions"):
        db.session()


async def test_a_field_that_is_younger_than_a_document_has_its_default(db, address):
    async with AsyncMongoClient(address) as plain:
        users = plain["documents_test"]["users"]
        old = await users.insert_one({"email": "old@example.org", "username": "old"})
        row = await Users(db).store.get(old.inserted_id)

    assert b'"is_active":true' in row.body
    with pytest.raises(NotFound):
        await Users(db).store.get(PydanticObjectId())
