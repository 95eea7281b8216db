"""Schemas that a model's columns make, over HTTP and alone."""

import datetime as dt
import enum
import uuid
from typing import Any

import pytest
from catalogue import Item, assert_problem, client_of
from fastapi import FastAPI
from pydantic import BaseModel, SecretStr, ValidationError, field_validator
from pydantic import Field as Constrained
from sqlalchemy import (
    Computed,
    DateTime,
    ForeignKey,
    Identity,
    Integer,
    Numeric,
    SmallInteger,
    String,
    Text,
    func,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlmodel import Field, SQLModel

from howdah import Database, Misconfigured, Resource, connect
from howdah.models import SECRET, secret
from howdah.resource import Embed
from howdah.schemas import create_schema, read_schema, update_schema

pytestmark = pytest.mark.anyio


class Base(DeclarativeBase):
    pass


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Owner(Base):
    __tablename__ = "owners"

    id: Mapped[int] = mapped_column(primary_key=True)
    pin: Mapped[str] = mapped_column(Text, info=SECRET)


class Thing(Base):
    __tablename__ = "things"

    id: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(String(5))
    status: Mapped[str] = mapped_column(String(10), server_default="new")
    size: Mapped[int] = mapped_column(SmallInteger, server_default=text("3"))
    is_active: Mapped[bool] = mapped_column(server_default=true())
    code: Mapped[str] = mapped_column(Text, server_default=func.upper("ab"))
    price: Mapped[Any] = mapped_column(Numeric(6, 2), nullable=True)
    exact: Mapped[Any] = mapped_column(Numeric(30, 10), nullable=True)
    colour: Mapped[Colour | None]
    tags: Mapped[Any] = mapped_column(ARRAY(String(3)), nullable=True)
    extra: Mapped[Any] = mapped_column(JSONB, nullable=True)
    wait: Mapped[dt.timedelta | None]
    blob: Mapped[bytes | None]
    double: Mapped[int] = mapped_column(Computed("size * 2"))
    password: Mapped[str | None] = mapped_column(Text, info=SECRET)
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("owners.id"))
    created_at: Mapped[dt.datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now()
    )
    updated_at: Mapped[dt.datetime | None] = mapped_column(
        DateTime(timezone=True), onupdate=func.now()
    )
    deleted_at: Mapped[dt.datetime | None] = mapped_column(DateTime(timezone=True))

    owner: Mapped[Owner | None] = relationship()


class Note(SQLModel, table=True):
    id: uuid.UUID = Field(default_factory=uuid.uuid4, primary_key=True)
    title: str = Field(
        min_length=2,
        max_length=20,
        description="What it is about",
        schema_extra={"examples": ["tea"]},
    )
    rank: int = Field(default=1, ge=0, le=9)
    hash: str | None = secret(default=None, max_length=99)
    token: SecretStr | None = Field(default=None, sa_type=Text)

    @field_validator("title")
    @classmethod
    def stripped(cls, value: str) -> str:
        return value.strip()


class Things(Resource[Thing]):
    filters = ("name",)
    sort = ("name",)
    soft_delete = "deleted_at"
    server_owned = ("owner_id",)


# Never opened: a declaration is read before anything is asked.
NOWHERE = Database("postgresql://nobody@localhost/nowhere")
NAMES = {"name", "status", "size", "is_active", "code", "price", "exact"}
WRITTEN = NAMES | {"colour", "tags", "extra", "wait", "blob"}
SEEN = {*WRITTEN, "id", "double", "owner_id", "created_at", "updated_at", "deleted_at"}


@pytest.fixture
async def client(database_url):
    db = Database(database_url)
    app = FastAPI()
    connect(app, db)
    app.include_router(Things(db).router(prefix="/things"))
    async with db:
        async with db.engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        async with client_of(app) as client:
            yield client


def properties(schema, **options):
    return schema.model_json_schema(**options)["properties"]


def test_what_the_server_fills_is_seen_and_not_written():
    assert set(Things.create_schema.model_fields) == WRITTEN
    assert set(Things.update_schema.model_fields) == WRITTEN
    assert set(Things.read_schema.model_fields) == SEEN


def test_derived_schemas_are_named_after_the_model_and_made_once():
    names = [s.__name__ for s in (Things.create_schema, Things.update_schema)]

    assert names == ["ThingCreate", "ThingUpdate"]
    assert Things.read_schema is read_schema(Thing)
    assert read_schema(Thing).__name__ == "ThingRead"


def test_columns_give_their_lengths_ranges_and_digits():
    found = properties(create_schema(Thing))

    assert found["name"]["maxLength"] == 5
    assert (found["size"]["minimum"], found["size"]["maximum"]) == (-32768, 32767)
    with pytest.raises(ValidationError):
        create_schema(Thing)(name="a", price="1.001")
    with pytest.raises(ValidationError):
        create_schema(Thing)(name="a", price="10000")


def test_plain_defaults_of_a_column_are_those_of_its_schema():
    made = create_schema(Thing)(name="a")

    assert (made.status, made.size, made.is_active) == ("new", 3, True)
    assert "default" not in properties(create_schema(Thing))["code"]


def test_absent_is_not_null():
    schema = update_schema(Thing)

    assert schema(colour=None).model_dump(exclude_unset=True) == {"colour": None}
    assert schema().model_dump(exclude_unset=True) == {}
    assert not schema.model_json_schema().get("required")
    with pytest.raises(ValidationError):
        schema(name=None)


def test_a_sqlmodel_keeps_what_it_says_of_its_fields():
    title = properties(create_schema(Note))["title"]

    assert (title["minLength"], title["maxLength"]) == (2, 20)
    assert title["description"] == "What it is about"
    assert title["examples"] == ["tea"]
    assert create_schema(Note)(title=" tea ").title == "tea"
    rank = properties(update_schema(Note))["rank"]
    assert (rank["minimum"], rank["maximum"]) == (0, 9)


def test_a_key_that_is_made_is_not_asked_for():
    assert "id" not in create_schema(Note).model_fields
    assert properties(read_schema(Note))["id"]["format"] == "uuid"


def test_secrets_by_column_and_by_type_are_nowhere():
    for derive in (create_schema, update_schema, read_schema):
        assert {"hash", "token"}.isdisjoint(derive(Note).model_fields)


def test_the_schemas_of_a_sqlmodel_fit_the_ones_written_by_hand():
    assert set(create_schema(Item).model_fields) == {
        "name",
        "description",
        "price",
        "tax",
        "is_active",
        "category_id",
    }
    assert properties(read_schema(Item), mode="serialization")["price"]["type"] == (
        "number"
    )


def test_a_secret_that_every_row_needs_asks_for_a_schema():
    with pytest.raises(Misconfigured, match=r"Owner\.pin is secret"):
        create_schema(Owner)


def test_rules_of_a_whole_row_ask_for_a_schema():
    from pydantic import model_validator

    class Pair(SQLModel, table=True):
        id: int | None = Field(default=None, primary_key=True)

        @model_validator(mode="after")
        def alike(self) -> "Pair":
            return self

    with pytest.raises(Misconfigured, match="alike"):
        create_schema(Pair)


class ThingSeen(BaseModel):
    id: int
    password: str | None


class NamedWithId(BaseModel):
    id: int
    name: str


class NamedAtWill(BaseModel):
    name: str
    created_at: dt.datetime | None = None


class WithOwner(BaseModel):
    name: str
    owner_id: int


class Password(BaseModel):
    password: str | None = Constrained(default=None, max_length=9)


class NoteSeen(BaseModel):
    id: uuid.UUID
    token: str | None


class Hushed(BaseModel):
    id: int
    name: SecretStr


class OwnerSeen(BaseModel):
    pin: str


class OwnerNamed(BaseModel):
    id: int


class OwnerHushed(BaseModel):
    id: SecretStr | None


@pytest.mark.parametrize(
    "members",
    [
        {"read_schema": ThingSeen},
        {"read_schema": Hushed},
        {"model": Note, "read_schema": NoteSeen},
        {"model": Note, "filters": ("token",)},
        {"model": Note, "sort": ("token",)},
        {"include": {"owner": OwnerSeen}},
        {"include": {"owner": OwnerHushed}},
        {"include": {"owner": Embed(OwnerNamed, sort=("pin",))}},
        {"read_schema": Owner},
        {"filters": ("password",)},
        {"filters": ("owner__pin",)},
        {"sort": ("password",)},
        {"search": ("password",)},
    ],
    ids=str,
)
def test_a_secret_is_declared_nowhere(members):
    if members.get("read_schema") is Owner:
        members = {"model": Note, "read_schema": Note}

    resource = type("Leaky", (Resource,), {"model": Thing, **members})

    with pytest.raises(Misconfigured, match="secret"):
        resource(NOWHERE)


@pytest.mark.parametrize("schema", [NamedWithId, NamedAtWill, WithOwner])
@pytest.mark.parametrize("use", ["create_schema", "update_schema"])
def test_what_the_server_fills_is_in_no_schema_of_writes(schema, use):
    members = {"model": Thing, "server_owned": ("owner_id",), use: schema}

    with pytest.raises(Misconfigured, match="the server fills"):
        type("Open", (Resource,), members)(NOWHERE)


async def test_a_secret_is_written_by_a_schema_that_names_it(db):
    async with db.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    resource = type("Named", (Things,), {"update_schema": Password})(db)
    created = await resource.create(Things.create_schema(name="a"))

    await resource.update(created.key, Password(password="hush"))

    async with db.transaction() as session:
        assert (await session.get(Thing, created.key)).password == "hush"


async def test_a_derived_resource_answers_its_rows(client):
    created = await client.post("/things/", json={"name": "a", "price": 1.5})

    assert created.status_code == 201, created.text
    row = created.json()
    assert row.keys() == SEEN
    assert (row["status"], row["size"], row["code"]) == ("new", 3, "AB")
    assert (row["price"], row["double"], row["owner_id"]) == (1.5, 6, None)
    place = created.headers["Location"]
    changed = await client.patch(place, json={"price": None, "colour": "blue"})
    assert (changed.json()["price"], changed.json()["colour"]) == (None, "blue")


@pytest.mark.parametrize(
    "change",
    [
        {"name": None},
        {"name": "abcdef"},
        {"size": 32768},
        {"id": 7},
        {"created_at": "2020-01-01T00:00:00Z"},
        {"updated_at": None},
        {"deleted_at": None},
        {"owner_id": 1},
        {"double": 1},
        {"password": "x"},
    ],
    ids=str,
)
async def test_what_may_not_change_is_refused_by_name(change, client):
    place = (await client.post("/things/", json={"name": "a"})).headers["Location"]

    answer = await client.patch(place, json=change)

    assert assert_problem(answer, 422, "invalid")["errors"][0]["field"] in change
    refused = await client.post("/things/", json={"name": "a", **change})
    assert_problem(refused, 422, "invalid")


async def test_a_document_names_the_derived_schemas(client):
    document = (await client.get("/openapi.json")).text

    for name in ("ThingCreate", "ThingUpdate", "ThingRead"):
        assert f"schemas/{name}" in document
    assert "password" not in document
