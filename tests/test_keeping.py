"""What people send and nobody stores: a password, of which a hash is kept."""

import threading
from typing import ClassVar

import pytest
from catalogue import assert_problem, client_of
from fastapi import FastAPI
from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from howdah import Resource, connect
from howdah.errors import Misconfigured
from howdah.memory import MemoryDatabase
from howdah.models import SECRET

pytestmark = pytest.mark.anyio


class Base(DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "keeping_accounts"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    digest: Mapped[str] = mapped_column(info=SECRET)
    hint: Mapped[str | None]


class AccountUpdate(BaseModel):
    password: str | None = Field(default=None, min_length=2)
    clue: str | None = None


class AccountCreate(AccountUpdate):
    name: str
    password: str = Field(min_length=2)


class AccountRead(BaseModel):
    id: int
    name: str
    hint: str | None


def reversed_in_a_thread(text: str) -> str:
    assert threading.current_thread() is not threading.main_thread()
    return text[::-1]


class Accounts(Resource[Account]):
    create_schema = AccountCreate
    update_schema = AccountUpdate
    read_schema = AccountRead
    stored_as: ClassVar = {
        "password": ("digest", reversed_in_a_thread),
        "clue": ("hint", str.upper),
    }
    upsert = ("name",)


class Watched(Accounts):
    seen: ClassVar[list] = []

    def before_write(self, change):
        self.seen.extend(change.values)


@pytest.fixture
async def client(db):
    app = FastAPI()
    connect(app, db)
    app.include_router(Accounts(db).router(prefix="/accounts"))
    app.include_router(Watched(db).router(prefix="/watched"))
    async with db.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with client_of(app) as client:
        yield client


async def digests(db) -> list[str]:
    async with db.transaction() as session:
        found = await session.exec(select(Account.digest).order_by(Account.id))
        return list(found.scalars())


ADA = {"name": "ada", "password": "abc", "clue": "x"}
BOB = {"name": "bob", "password": "def"}


async def test_a_new_row_keeps_what_is_made_of_a_field(client, db):
    made = await client.post("/accounts/", json=ADA)

    assert (made.status_code, made.json()["hint"]) == (201, "X")
    assert await digests(db) == ["cba"]


async def test_a_batch_keeps_it_likewise(client, db):
    made = await client.post("/accounts/batch", json=[ADA, BOB])

    assert [row["hint"] for row in made.json()] == ["X", None]
    assert await digests(db) == ["cba", "fed"]


async def test_a_change_keeps_it_only_where_it_is_sent(client, db):
    await client.post("/accounts/batch", json=[ADA, BOB])

    await client.patch("/accounts/1", json={"password": "xyz"})
    await client.patch("/accounts/1", json={"clue": "y"})
    changed = await client.patch(
        "/accounts/batch", json=[{"id": 2, "password": "123"}, {"id": 1, "clue": None}]
    )

    assert [row["hint"] for row in changed.json()] == [None, None]
    assert await digests(db) == ["zyx", "321"]


async def test_what_is_put_changes_what_is_kept(client, db):
    new = await client.put("/accounts/", json=ADA)
    known = await client.put("/accounts/", json={**ADA, "password": "xyz", "clue": "y"})
    many = await client.put("/accounts/batch", json=[BOB, {**ADA, "password": "new"}])

    assert (new.status_code, known.status_code, many.status_code) == (201, 200, 200)
    assert known.json()["hint"] == "Y"
    assert await digests(db) == ["wen", "fed"]


async def test_null_is_refused_by_the_name_that_people_know(client):
    await client.post("/accounts/", json=ADA)

    refused = await client.patch("/accounts/1", json={"password": None})

    problem = assert_problem(refused, 422, "invalid")
    assert [error["field"] for error in problem["errors"]] == ["password"]
    assert "digest" not in refused.text


async def test_the_column_itself_cannot_be_written(client):
    refused = await client.post("/accounts/", json={**ADA, "digest": "x"})

    assert_problem(refused, 422, "invalid")


async def test_a_hook_sees_what_is_stored_and_nothing_else(client):
    Watched.seen.clear()

    await client.post("/watched/", json=ADA)
    await client.patch("/watched/batch", json=[{"id": 1, "password": "xyz"}])

    assert Watched.seen == [
        {"name": "ada", "digest": "cba", "hint": "X"},
        {"digest": "zyx"},
    ]


async def test_rows_in_memory_keep_it_as_well():
    accounts = Accounts(MemoryDatabase())

    made = await accounts.create(AccountCreate(**ADA))

    assert made.body == b'{"id":1,"name":"ada","hint":"X"}'


async def hashed_elsewhere(password):
    return password


@pytest.mark.parametrize(
    ("stored_as", "fault"),
    [
        ({"name": ("digest", str)}, "name, a column of Account itself"),
        ({"pasword": ("digest", str)}, "pasword, in no schema"),
        ({"password": ("hash", str)}, "stored as hash, which Account has not"),
        ({"password": ("name", str)}, "which a schema takes from people as well"),
        ({"password": str}, r"has to say \(column, function\)"),
        ({"password": ("digest", "str")}, "a plain function"),
        ({"password": ("digest", hashed_elsewhere)}, "a plain function"),
    ],
)
async def test_what_nobody_could_write_by_is_refused_at_the_start(stored_as, fault):
    class Wrong(Accounts):
        pass

    Wrong.stored_as = stored_as

    with pytest.raises(Misconfigured, match=fault):
        Wrong(MemoryDatabase())
