"""An app with every action that a resource can have, on columns of every type.

Run as a script it serves the app: `everything.py FD` at the listening socket FD, on
the database that the environment names, with its tables made anew.
"""

import asyncio
import socket
import sys
from typing import ClassVar

import uvicorn
from fastapi import FastAPI
from kinds import Base, Kinds, Label, Place, create_tables
from sqlalchemy import Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from howdah import Database, Resource, connect
from howdah.models import idempotency_table

idempotency_table(Base.metadata)


class Seat(Base):
    """A key of several columns."""

    __tablename__ = "seats"

    hall: Mapped[str] = mapped_column(String(5), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    guest: Mapped[str | None] = mapped_column(String(20), unique=True)


class Labels(Resource[Label]):
    filters = ("is_active",)
    sort = ("id", "word", "weight")
    search = ("word",)
    soft_delete = "is_active"
    upsert = ("word",)


class Wholes(Kinds):
    """Rows with every column, written and read; batches are what Labels have."""

    filters = ("labels__is_active",)
    search = ()
    relations = ("labels",)
    include: ClassVar = {"labels": Labels}
    without = ("create_many", "update_many", "patch", "count")


class Asked(Kinds):
    """Filters on every column in the body of a search, each of its JSON's type."""

    only = ("query",)


class Numbers(Kinds):
    """Filters in an address, by the kinds of texts that they are read from."""

    filters = ("big", "price", "double", "level")
    sort = filters
    search = ()
    only = ("list",)
    without = ("count", "query")


class Texts(Numbers):
    filters = ("word", "ref", "blob", "colour", "address")
    sort = filters


class Moments(Numbers):
    filters = ("moment", "local", "span")
    sort = filters


class Places(Resource[Place]):
    sort = ("name", "note")
    soft_delete = "deleted_at"
    envelope = True
    require_match = True


class Seats(Resource[Seat]):
    sort = ("hall", "number", "guest")
    upsert = ("hall", "number")


_ALL = (Wholes, Labels, Places, Seats, Asked, Numbers, Texts, Moments)


def make_app(db: Database) -> FastAPI:
    app = FastAPI()
    connect(app, db)
    for cls in _ALL:
        place = cls.__name__.lower()
        app.include_router(cls(db).router(prefix=f"/{place}", tags=[place]))
    return app


async def _make_tables() -> None:
    async with Database() as db:
        await create_tables(db)


if __name__ == "__main__":
    asyncio.run(_make_tables())
    config = uvicorn.Config(make_app(Database()), access_log=False)
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(sys.argv[1]))])
