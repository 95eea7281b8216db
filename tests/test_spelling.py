"""One spelling of a row: from its resource, and from an endpoint of one's own."""

import datetime as dt
import json
from decimal import Decimal

import pytest
from catalogue import client_of
from fastapi import FastAPI
from kinds import Kind, Kinds, create_tables
from pydantic import BaseModel, TypeAdapter
from sqlalchemy import DateTime, Time
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlmodel import Field, SQLModel
from test_column_types import SENT

from howdah import Money, Repository, Resource, TimestampFields, connect
from howdah.models import DeletedAtFields, Moment
from howdah.stored import as_stored

pytestmark = pytest.mark.anyio

UTC = dt.UTC
LOCAL = dt.datetime(2026, 1, 1)  # noqa: DTZ001 - as a column without a zone has it
EAST = dt.timezone(dt.timedelta(hours=2))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (dt.datetime(2026, 1, 1, 12, tzinfo=UTC), "2026-01-01T12:00:00+00:00"),
        (dt.datetime(2026, 1, 1, 1, tzinfo=EAST), "2025-12-31T23:00:00+00:00"),
        (LOCAL.replace(microsecond=500_000), "2026-01-01T00:00:00.5"),
        (LOCAL.replace(second=10, microsecond=10), "2026-01-01T00:00:10.00001"),
        (dt.datetime.min.replace(tzinfo=EAST), "0001-01-01T00:00:00+02:00"),
        (dt.time(12, 0, 0, 120_000), "12:00:00.12"),
        (dt.timedelta(days=1, seconds=7384.5), "P1DT7384.5S"),
        (dt.timedelta(microseconds=-1), "-P0DT0.000001S"),
        (dt.time(12, tzinfo=EAST), "12:00:00+02:00"),
        (None, None),
    ],
)
def test_a_moment_is_written_as_postgresql_does(value, text):
    assert as_stored(value) == text


class Note(BaseModel):
    at: Moment
    until: Moment | None = None
    both: list[Moment] = []


def test_a_schema_of_ones_own_writes_moments_so_and_says_what_they_are():
    at = dt.datetime(2026, 1, 1, 12, 0, 0, 500_000, UTC)

    note = Note(at=at, both=[at])

    text = "2026-01-01T12:00:00.5+00:00"
    assert note.model_dump(mode="json") == {"at": text, "until": None, "both": [text]}
    assert note.model_dump()["at"] == at
    for mode in ("validation", "serialization"):
        described = Note.model_json_schema(mode=mode)["properties"]
        assert described["at"] == {
            "title": "At",
            "type": "string",
            "format": "date-time",
        }


class Kinship(Repository[Kind]):
    pass


@pytest.mark.parametrize("orm", [None, True])
async def test_an_endpoint_of_ones_own_answers_as_the_resource_does(db, orm):
    made = type("Kinds", (Kinds,), {"orm": orm})
    app = FastAPI()
    connect(app, db)
    app.include_router(made(db).router(prefix="/kinds"))

    @app.get("/own/{key}", response_model=made.read_schema)
    async def own(key: int) -> Kind:
        async with db.transaction() as session:
            return await Kinship(session).get(key)

    await create_tables(db)
    async with client_of(app) as client:
        assert (await client.post("/kinds/", json=SENT)).status_code == 201
        theirs = (await client.get("/kinds/1")).json()
        mine = (await client.get("/own/1")).json()

    assert mine == theirs


class Plain(BaseModel):
    """A schema of one's own that thinks nothing of it."""

    id: int
    span: dt.timedelta | None
    moment: dt.datetime | None
    price: Decimal | None


@pytest.mark.parametrize("orm", [None, True])
async def test_stores_write_alike_for_a_plain_schema_too(db, orm):
    made = type("Kinds", (Kinds,), {"orm": orm, "sort": (), "read_schema": Plain})
    await create_tables(db)
    await Kinds(db).create(Kinds.create_schema.model_validate(SENT))

    row = await made(db).get(1)

    assert json.loads(row.body) == {
        "id": 1,
        "span": "P1DT7384.5S",
        "moment": "2024-02-29T10:00:00.25+00:00",
        "price": "1234.50",
    }


class Base(DeclarativeBase):
    pass


class Clock(Base):
    __tablename__ = "clocks"

    id: Mapped[int] = mapped_column(primary_key=True)
    hour: Mapped[dt.time | None] = mapped_column(Time(timezone=True))
    at: Mapped[dt.datetime | None] = mapped_column(DateTime(timezone=True))


class Clocks(Resource[Clock]):
    filters = ("hour",)
    sort = ("hour",)


@pytest.mark.parametrize("orm", [None, True])
@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        ("12:00:00.5+02:00", "12:00:00.5+02:00"),
        ("12:00:00", "12:00:00+00:00"),
        ("12:00:00-09:30", "12:00:00-09:30"),
        (None, None),
    ],
)
async def test_a_time_with_a_zone_is_one_of_rfc_3339(db, orm, sent, seen):
    app = FastAPI()
    connect(app, db)
    made = type("Clocks", (Clocks,), {"orm": orm})
    app.include_router(made(db).router(prefix="/clocks"))
    async with db.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)

    async with client_of(app) as client:
        created = await client.post("/clocks/", json={"hour": sent})
        listed = await client.get("/clocks/?sort=hour")

    assert created.status_code == 201
    assert created.json()["hour"] == seen
    assert listed.json()[0]["hour"] == seen


class Event(TimestampFields, DeletedAtFields, table=True):
    __tablename__ = "spelt_events"

    id: int | None = Field(default=None, primary_key=True)
    price: Money = Field(gt=0)


class EventRead(BaseModel):
    id: int
    price: Money
    created_at: Moment


class Events(Resource[Event]):
    read_schema = EventRead


async def test_a_schema_with_moments_stays_on_the_fast_store(db):
    from howdah.fast import FastStore

    events = Events(db)
    async with db.engine.begin() as connection:
        await connection.run_sync(SQLModel.metadata.tables["spelt_events"].create)
    async with db.transaction() as session:
        event = Event(price="1.50")
        session.add(event)
        await session.flush()
        await session.refresh(event)
        shown = TypeAdapter(EventRead).validate_python(event, from_attributes=True)

    assert isinstance(events.store, FastStore)
    row = await events.get(1)
    read = EventRead.model_validate_json(row.body)
    assert read.created_at == event.created_at
    written = f'"created_at":"{as_stored(event.created_at)}"'.encode()
    assert written in row.body.replace(b'": ', b'":')
    assert written in shown.model_dump_json().encode()
    # A SQLModel itself, which is the answer of many an endpoint.
    assert written in event.model_dump_json().encode()
    column = Event.__table__.c.deleted_at
    assert (column.nullable, column.type.timezone) == (True, True)
