"""Requests with an Idempotency-Key: done once, and answered again as the first time."""

import asyncio
import enum
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from catalogue import (
    NOTEBOOK,
    Categories,
    Item,
    Items,
    assert_problem,
    client_of,
    create_tables,
)
from fastapi import FastAPI
from pydantic import BaseModel
from sqlalchemy import ARRAY, CHAR, MetaData, SmallInteger, String, and_, literal, text
from sqlalchemy.dialects.postgresql import INET, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from howdah import Database, Misconfigured, Resource, connect
from howdah.memory import MemoryDatabase
from howdah.models import idempotency_table, kept_answers
from howdah.settings import Pool
from howdah.store import Once, Replayed

pytestmark = pytest.mark.anyio

KEY = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}


async def total(client, path="/items"):
    return (await client.get(f"{path}/count")).json()["total"]


async def run(db, statement):
    async with db.engine.begin() as connection:
        return await connection.execute(text(statement))


def same(first, again):
    headers = ("location", "etag", "content-type")
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert [again.headers.get(h) for h in headers] == [
        first.headers.get(h) for h in headers
    ]


async def test_of_the_hooks_the_one_before_runs_again(db):
    await create_tables(db)
    told = []

    class Told(Categories):
        def before_write(self, change):
            told.append(("before", change.keys))

        def after_write(self, change):
            told.append(("after", change.keys))

    app = FastAPI()
    connect(app, db)
    app.include_router(Told(db).router(prefix="/told"))
    async with client_of(app) as client:
        for path, body in [("/told/", {"name": "a"}), ("/told/batch", [{"name": "b"}])]:
            key = {"Idempotency-Key": path}
            first = await client.post(path, json=body, headers=key)
            same(first, await client.post(path, json=body, headers=key))

    one = [("before", ()), ("after", (1,)), ("before", ())]
    assert told == [*one, ("before", ()), ("after", ()), ("before", ())]


async def test_a_creation_sent_again_gets_the_first_answer(client):
    first = await client.post("/items/", json=NOTEBOOK, headers=KEY)
    again = await client.post("/items/", json=NOTEBOOK, headers=KEY)

    assert (first.status_code, first.headers["location"]) == (201, "/items/1")
    same(first, again)
    assert await total(client) == 1


async def test_the_first_answer_outlives_the_row(client):
    first = await client.post("/items/", json=NOTEBOOK, headers=KEY)
    await client.patch("/items/1", json={"name": "other"})
    await client.delete("/items/1?hard_delete=true")

    same(first, await client.post("/items/", json=NOTEBOOK, headers=KEY))
    assert (await client.get("/items/1")).status_code == 404


async def test_a_batch_sent_again_gets_the_first_answer(client):
    rows = [NOTEBOOK | {"name": f"Item {number}"} for number in range(3)]

    first = await client.post("/items/batch", json=rows, headers=KEY)
    again = await client.post("/items/batch", json=rows, headers=KEY)

    assert [row["id"] for row in first.json()] == [1, 2, 3]
    same(first, again)
    assert await total(client) == 3


async def test_what_counts_is_what_the_json_says(client):
    written = b'{"name": "notebook", "price": 10.5}'
    otherwise = b'{ "price":10.5,\n"name":"noteb\\u006fok"}'
    head = {**KEY, "content-type": "application/json"}

    first = await client.post("/items/", content=written, headers=head)
    again = await client.post("/items", content=otherwise, headers=head)

    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotency-replayed"] == "true"


async def test_what_is_kept_does_not_tell_what_was_sent(client, db):
    for key in ("one", "two"):
        headers = {"Idempotency-Key": key}
        await client.post("/items/", json=NOTEBOOK, headers=headers)

    found = await run(db, "SELECT DISTINCT fingerprint FROM howdah_idempotency")

    assert len(found.all()) == 2


@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param("/items/", NOTEBOOK | {"price": 7}, id="another value"),
        pytest.param("/items/", NOTEBOOK | {"description": None}, id="another field"),
        pytest.param("/items/batch", [NOTEBOOK], id="another path"),
    ],
)
async def test_a_key_of_another_request_is_refused(client, path, body):
    await client.post("/items/", json=NOTEBOOK, headers=KEY)

    refused = await client.post(path, json=body, headers=KEY)

    problem = assert_problem(refused, 422, "idempotency_mismatch")
    assert [fault["field"] for fault in problem["errors"]] == ["Idempotency-Key"]
    assert await total(client) == 1


async def test_numbers_differ_by_any_of_their_digits(client):
    head = {**KEY, "content-type": "application/json"}
    body = b'{"name": "a", "price": 1.%s}'
    await client.post("/items/", content=body % b"10", headers=head)

    refused = await client.post("/items/", content=body % b"11", headers=head)

    assert_problem(refused, 422, "idempotency_mismatch")


async def test_keys_of_two_resources_know_nothing_of_each_other(client):
    name = {"name": "Paper"}

    item = await client.post("/items/", json=NOTEBOOK, headers=KEY)
    category = await client.post("/categories/", json=name, headers=KEY)

    assert (item.status_code, category.status_code) == (201, 201)


async def test_other_keys_and_none_are_other_requests(client):
    for headers in (KEY, {"Idempotency-Key": "other"}, {}, {}):
        answer = await client.post("/items/", json=NOTEBOOK, headers=headers)
        assert answer.status_code == 201

    assert await total(client) == 4


async def test_a_key_in_quotes_is_the_key(client):
    first = await client.post(
        "/items/", json=NOTEBOOK, headers={"Idempotency-Key": "a\\b"}
    )

    quoted = {"Idempotency-Key": ' "a\\\\b" '}

    same(first, await client.post("/items/", json=NOTEBOOK, headers=quoted))


@pytest.mark.parametrize(
    "key",
    ["", '""', "x" * 256, "a b", "a,b", '"a', 'a"b', '"a\\b"', '"a";x=1', "\xe4"],
)
async def test_a_key_that_is_none_is_refused(client, key):
    headers = {"Idempotency-Key": key.encode("latin-1")}

    refused = await client.post("/items/", json=NOTEBOOK, headers=headers)

    problem = assert_problem(refused, 422, "invalid")
    assert [fault["field"] for fault in problem["errors"]] == ["Idempotency-Key"]
    assert await total(client) == 0


async def test_a_key_may_be_as_long_as_it_says(client):
    headers = {"Idempotency-Key": "x" * 255}

    answer = await client.post("/items/", json=NOTEBOOK, headers=headers)

    assert answer.status_code == 201


async def test_two_keys_are_refused(client):
    headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "a")]

    refused = await client.post("/items/", json=NOTEBOOK, headers=headers)

    assert_problem(refused, 422, "invalid")


async def test_what_fails_is_not_kept(client):
    orphan = NOTEBOOK | {"category_id": 1}
    refused = await client.post("/items/", json=orphan, headers=KEY)
    await client.post("/categories/", json={"name": "Paper"})

    answer = await client.post("/items/", json=orphan, headers=KEY)

    assert_problem(refused, 409, "missing_reference")
    assert answer.status_code == 201
    assert "idempotency-replayed" not in answer.headers


async def test_a_row_that_is_there_already_is_a_duplicate_still(client):
    await client.post("/categories/", json={"name": "Paper"})

    refused = await client.post("/categories/", json={"name": "Paper"}, headers=KEY)

    problem = assert_problem(refused, 409, "duplicate")
    assert [fault["field"] for fault in problem["errors"]] == ["name"]


async def test_a_number_too_large_is_refused_without_a_row_number(client):
    large = NOTEBOOK | {"category_id": 2**40}

    refused = await client.post("/items/", json=large, headers=KEY)

    (fault,) = assert_problem(refused, 422, "invalid")["errors"]
    assert (fault["field"], fault.get("index")) == ("category_id", None)


async def test_a_request_that_is_still_running_answers_409(client, db):
    async with db.engine.begin() as connection:
        # A check of the foreign key waits for whoever removes the category.
        await client.post("/categories/", json={"name": "Paper"})
        await connection.execute(text("DELETE FROM categories"))
        child = NOTEBOOK | {"category_id": 1}
        first = asyncio.ensure_future(client.post("/items/", json=child, headers=KEY))
        await until_waiting(db)
        refused = await client.post("/items/", json=child, headers=KEY)
        await connection.rollback()
    created = await first

    problem = assert_problem(refused, 409, "still_running")
    assert refused.headers["retry-after"] == "1"
    assert [fault["field"] for fault in problem["errors"]] == ["Idempotency-Key"]
    same(created, await client.post("/items/", json=child, headers=KEY))


async def until_waiting(db):
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    for _ in range(1000):
        if await db.lane.fetchval(waiting):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("nobody waits")


@pytest.mark.parametrize("path", ["/items/", "/items/batch"])
async def test_an_answer_is_known_for_a_day(client, db, path):
    body = [NOTEBOOK] if path.endswith("batch") else NOTEBOOK
    await client.post(path, json=body, headers=KEY)
    await grow_old(db)

    again = await client.post(path, json=body, headers=KEY)
    replayed = await client.post(path, json=body, headers=KEY)

    assert "idempotency-replayed" not in again.headers
    same(again, replayed)
    assert await total(client) == 2


async def grow_old(db):
    yesterday = "created_at - interval '24 hours'"
    await run(db, f"UPDATE howdah_idempotency SET created_at = {yesterday}")


async def test_old_answers_are_swept_by_new_ones(client, db):
    for number in range(12):
        headers = {"Idempotency-Key": str(number)}
        await client.post("/items/", json=NOTEBOOK, headers=headers)
    await grow_old(db)

    kept = []
    for key in "ab":
        await client.post("/items/", json=NOTEBOOK, headers={"Idempotency-Key": key})
        found = await run(db, "SELECT count(*) FROM howdah_idempotency")
        kept.append(found.scalar_one())

    assert kept == [3, 2]


GATE = (
    "ALTER TABLE howdah_idempotency RENAME TO answers",
    """CREATE FUNCTION gate() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
        PERFORM pg_advisory_xact_lock_shared(42);
        RETURN true;
    END $$""",
    "CREATE VIEW howdah_idempotency AS SELECT * FROM answers WHERE (SELECT gate())",
)


@pytest.mark.parametrize(
    ("resource", "values"),
    [
        pytest.param(Items, dict(NOTEBOOK), id="whose rows may be alike"),
        pytest.param(Categories, {"name": "Paper"}, id="whose rows may not"),
    ],
)
async def test_who_has_not_seen_the_first_answer_finds_it(
    client, db, database_url, resource, values
):
    """The second has a snapshot from before the end of the first, and then its turn."""
    once = Once(key="k", fingerprint=b"f")
    for statement in GATE:
        await run(db, statement)

    async with Database(database_url, pool=Pool(size=2)) as keeper:
        await keeper.lane.fetchval("SELECT pg_advisory_lock(42)")
        second = asyncio.ensure_future(resource(db).store.create(values, once=once))
        await until_waiting(db)
        first = await resource(keeper).store.create(values, once=once)
        await keeper.lane.fetchval("SELECT pg_advisory_unlock(42)")
        with pytest.raises(Replayed) as replayed:
            await second

    assert replayed.value.row == first
    assert await total(client, f"/{resource.model.__tablename__}") == 1


async def test_nothing_is_written_whose_answer_cannot_be_kept(client, db):
    await run(
        db,
        "CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RETURN NULL; END $$",
    )
    await run(
        db,
        "CREATE TRIGGER forget BEFORE INSERT ON howdah_idempotency "
        "FOR EACH ROW EXECUTE FUNCTION forget()",
    )

    refused = await client.post("/items/", json=NOTEBOOK, headers=KEY)

    assert_problem(refused, 503, "contention")
    assert await total(client) == 0


async def test_a_lost_connection_is_not_noticed(client, db):
    await client.post("/items/", json=NOTEBOOK, headers={"Idempotency-Key": "a"})
    await run(
        db,
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )

    answer = await client.post("/items/", json=NOTEBOOK, headers=KEY)

    assert answer.status_code == 201
    assert await total(client) == 2


class Loud(Items):
    """Does something of its own behind a creation."""

    def __init__(self, db):
        super().__init__(db)
        self.told = []

    async def create(self, values, *, once=None):
        created = await super().create(values, once=once)
        self.told.append(created.key)
        return created


class Deaf(Items):
    async def create(self, values):
        return await super().create(values)


async def test_what_stands_behind_a_creation_is_done_once(db):
    loud = Loud(db)
    await create_tables(db)

    async with serving(db, loud) as client:
        for _ in range(3):
            answer = await client.post("/rows/", json=NOTEBOOK, headers=KEY)
            assert answer.status_code == 201

    assert loud.told == [1]


async def test_an_action_that_knows_no_keys_refuses_them(db):
    await create_tables(db)

    async with serving(db, Deaf(db)) as client:
        refused = await client.post("/rows/", json=NOTEBOOK, headers=KEY)
        plain = await client.post("/rows/", json=NOTEBOOK)
        batch = await client.post("/rows/batch", json=[NOTEBOOK], headers=KEY)

    assert_problem(refused, 422, "invalid")
    assert (plain.status_code, batch.status_code) == (201, 201)


@asynccontextmanager
async def serving(db, resource):
    app = FastAPI()
    connect(app, db)
    app.include_router(resource.router(prefix="/rows"))
    async with client_of(app) as client:
        yield client


async def test_a_key_belongs_to_a_caller_whatever_the_time_is(client, db):
    once, store = Once(key="k", fingerprint=b"f"), Items(db).store

    def caller(owner):
        now = datetime.now(UTC) + timedelta(days=1)
        # What is true of every item, and yet says who asks.
        return store.within(and_(Item.created_at < now, literal(owner) == owner))

    created = await caller("ann").create(dict(NOTEBOOK), once=once)
    with pytest.raises(Replayed) as again:
        await caller("ann").create(dict(NOTEBOOK), once=once)
    other = await caller("bob").create(dict(NOTEBOOK), once=once)

    assert again.value.row == created
    assert (created.key, other.key) == (1, 2)


class Base(DeclarativeBase):
    metadata = MetaData()


class Kind(enum.Enum):
    SMALL = "it's small"


class Tag(TypeDecorator):
    impl = String(5)
    cache_ok = True

    def process_bind_param(self, value, _dialect):
        return value and value.upper()


def doubled(context):
    return context.get_current_parameters()["number"] * 2


class Thing(Base):
    __tablename__ = "things"

    day: Mapped[date] = mapped_column(primary_key=True)
    name: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    number: Mapped[int] = mapped_column(SmallInteger)
    double: Mapped[int] = mapped_column(default=doubled)
    code: Mapped[str] = mapped_column(CHAR(3))
    tag: Mapped[str] = mapped_column(Tag)
    kind: Mapped[Kind]
    data: Mapped[dict] = mapped_column(JSONB)
    words: Mapped[list[str]] = mapped_column(ARRAY(String(10)))
    span: Mapped[timedelta | None]
    raw: Mapped[bytes | None]
    host: Mapped[str | None] = mapped_column(INET)
    made: Mapped[str] = mapped_column(server_default="here")


class ThingCreate(BaseModel):
    day: date
    number: int
    code: str
    tag: str
    kind: Kind
    data: dict
    words: list[str]
    span: timedelta | None = None
    raw: bytes | None = None
    host: str | None = None


class ThingRead(BaseModel):
    day: date
    name: UUID
    double: int
    code: str
    tag: str
    words: list[str]
    made: str


class Things(Resource[Thing]):
    create_schema = update_schema = ThingCreate
    read_schema = ThingRead


THING = {
    "day": "2026-02-28",
    "number": 7,
    "code": "abc",
    "tag": "xy",
    "kind": "it's small",
    "data": {"a": [1.5, None]},
    "words": ["a", "b"],
    "span": "P1DT1S",
    "raw": "b",
    "host": "::1",
}


@asynccontextmanager
async def things(db):
    async with db.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    app = FastAPI()
    connect(app, db)
    app.include_router(Things(db).router(prefix="/things"))
    async with client_of(app) as client:
        yield client


@pytest.fixture
def kept():
    """The table for answers, for a while."""
    table = idempotency_table(Base.metadata)
    yield table
    Base.metadata.remove(table)


async def test_every_type_of_column_can_be_written_once(db, kept):
    async with things(db) as client:
        plain = await client.post("/things/", json=THING)
        first = await client.post("/things/", json=THING, headers=KEY)
        again = await client.post("/things/", json=THING, headers=KEY)
        found = await client.get(first.headers["location"])

    assert first.status_code == 201, first.text
    assert first.json() == {**plain.json(), "name": first.json()["name"]}
    assert (first.json()["double"], first.json()["tag"]) == (14, "XY")
    same(first, again)
    assert found.json() == first.json()


class Note(Base):
    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(server_default="nothing")


class Notes(Resource[Note]):
    pass


async def test_a_row_that_sends_nothing_is_created_once(db, kept):
    async with db.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with serving(db, Notes(db)) as client:
        first = await client.post("/rows/", json={}, headers=KEY)
        again = await client.post("/rows/", json={}, headers=KEY)
        batch = await client.post("/rows/batch", json=[{}, {}])

    assert first.json() == {"id": 1, "text": "nothing"}
    same(first, again)
    assert batch.json() == [{"id": number, "text": "nothing"} for number in (2, 3)]


async def test_in_memory_an_answer_is_known_for_a_day_as_well(kept):
    now = [datetime(2026, 1, 1, tzinfo=UTC)]
    store = Notes(MemoryDatabase(now=lambda: now[0])).store
    once = Once(key="k", fingerprint=b"f")

    await store.create({"text": "a"}, once=once)
    now[0] += timedelta(hours=23, minutes=59)
    with pytest.raises(Replayed):
        await store.create({"text": "a"}, once=once)
    now[0] += timedelta(minutes=1)
    anew = await store.create({"text": "a"}, once=once)

    assert anew.key == 2


async def test_a_text_that_is_too_long_is_refused(db, kept):
    async with things(db) as client:
        for name in ("code", "tag"):
            long = THING | {name: "x" * 6}
            refused = await client.post("/things/", json=long, headers=KEY)
            assert_problem(refused, 422, "invalid")


async def test_without_its_table_a_key_is_refused(db):
    async with things(db) as client:
        refused = await client.post("/things/", json=THING, headers=KEY)
        document = (await client.get("/openapi.json")).json()

    problem = assert_problem(refused, 422, "invalid")
    assert [fault["field"] for fault in problem["errors"]] == ["Idempotency-Key"]
    assert "Idempotency-Key" not in str(document)


async def test_without_its_table_a_store_says_what_is_missing(db):
    once = Once(key="k", fingerprint=b"f")

    with pytest.raises(Misconfigured, match="idempotency_table"):
        await Things(db).store.create({"number": 1}, once=once)


async def test_openapi_describes_the_header_where_it_is_taken(client):
    paths = (await client.get("/openapi.json")).json()["paths"]

    taking = {
        (path, method)
        for path, item in paths.items()
        for method, operation in item.items()
        if "Idempotency-Key" in [p["name"] for p in operation.get("parameters", ())]
    }
    assert taking >= {("/items/", "post"), ("/items/batch", "post")}
    assert all(method == "post" for _, method in taking)


def test_the_table_is_added_once(kept):
    assert idempotency_table(Base.metadata) is kept


def test_the_table_may_stand_in_a_schema():
    metadata = MetaData()

    table = idempotency_table(metadata, schema="howdah")

    assert table.fullname == "howdah.howdah_idempotency"
    assert kept_answers(metadata) is table
