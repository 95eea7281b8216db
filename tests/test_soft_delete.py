"""Values that are unique among the rows that are there, however rows are marked."""

from datetime import datetime

import pytest
from catalogue import assert_problem, client_of
from fastapi import FastAPI
from pydantic import BaseModel
from sqlalchemy import MetaData
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlmodel import Field, SQLModel

from howdah import (
    DeletedAtColumns,
    DeletedAtFields,
    Misconfigured,
    Resource,
    SoftDeleteColumns,
    SoftDeleteFields,
    TimestampFields,
    connect,
)
from howdah.models import unique_while_active

pytestmark = pytest.mark.anyio


class Base(DeclarativeBase):
    pass


class Pen(SoftDeleteFields, TimestampFields, table=True):
    __tablename__ = "pens"
    __table_args__ = (unique_while_active("name"),)
    metadata = MetaData()

    id: int | None = Field(default=None, primary_key=True)
    name: str


class Ink(DeletedAtFields, TimestampFields, table=True):
    __tablename__ = "inks"
    __table_args__ = (unique_while_active("name", soft_delete="deleted_at"),)
    metadata = MetaData()

    id: int | None = Field(default=None, primary_key=True)
    name: str


class Nib(SoftDeleteColumns, Base):
    __tablename__ = "nibs"
    __table_args__ = (unique_while_active("name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    updated_at: Mapped[datetime | None] = mapped_column(onupdate=datetime.now)


class Cap(DeletedAtColumns, Base):
    __tablename__ = "caps"
    __table_args__ = (unique_while_active("name", soft_delete="deleted_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    updated_at: Mapped[datetime | None] = mapped_column(onupdate=datetime.now)


class Write(BaseModel):
    name: str


class Read(BaseModel):
    id: int
    name: str
    updated_at: datetime | None


MODELS = {"is_active": (Pen, Nib), "deleted_at": (Ink, Cap)}


@pytest.fixture(params=[(m, k) for m, pair in MODELS.items() for k in pair], ids=str)
async def client(request, db):
    """A client of rows that are marked in one of the ways, with the row a."""
    mark, model = request.param
    members = {"create_schema": Write, "update_schema": Write, "read_schema": Read}
    resource = type(
        "Rows", (Resource,), {"model": model, "soft_delete": mark, **members}
    )
    async with db.engine.begin() as connection:
        await connection.run_sync(model.__table__.create)
    app = FastAPI()
    connect(app, db)
    app.include_router(resource(db).router(prefix="/rows"))
    async with client_of(app) as client:
        await client.post("/rows/", json={"name": "a"})
        yield client


async def create(client):
    return await client.post("/rows/", json={"name": "a"})


async def test_a_value_is_free_again_once_its_row_is_deleted(client):
    taken = await create(client)
    await client.delete("/rows/1")
    free = await create(client)

    members = assert_problem(taken, 409, "duplicate")
    assert [error["field"] for error in members["errors"]] == ["name"]
    assert free.status_code == 201
    assert (await client.get("/rows/count")).json() == {"total": 1}


async def test_several_deleted_rows_may_have_one_value(client):
    for _ in range(3):
        row = (await create(client)).json() if _ else {"id": 1}
        assert (await client.delete(f"/rows/{row['id']}")).status_code == 204

    assert (await client.get("/rows/count")).json() == {"total": 0}


async def test_a_row_is_not_restored_into_a_value_that_is_taken(client):
    await client.delete("/rows/1")
    kept = (await create(client)).json()

    refused = await client.post("/rows/1/restore")

    members = assert_problem(refused, 409, "duplicate")
    assert [error["field"] for error in members["errors"]] == ["name"]
    assert [row["id"] for row in (await client.get("/rows/")).json()] == [kept["id"]]
    await client.delete(f"/rows/{kept['id']}")
    assert (await client.post("/rows/1/restore")).status_code == 200


async def test_deleting_and_restoring_say_when_the_row_changed(client):
    await client.delete("/rows/1")
    restored = (await client.post("/rows/1/restore")).json()
    await client.request("DELETE", "/rows/batch", json=[1])
    again = (await client.post("/rows/1/restore")).json()

    assert restored["updated_at"] is not None
    assert again["updated_at"] > restored["updated_at"]


def test_a_mark_that_is_not_there_is_refused():
    with pytest.raises(Misconfigured, match="table 'odd' has no column 'is_active'"):

        class Odd(SQLModel, table=True):
            __tablename__ = "odd"
            __table_args__ = (unique_while_active("name"),)
            metadata = MetaData()

            id: int | None = Field(default=None, primary_key=True)
            name: str
