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
    filters = ("id", "word", "weight", "is_active")
    sort = filters
    search = ("word",)
    soft_delete = "is_active"
    upsert = ("word",)


class Wholes(Kinds):
    """Kinds with relations; their many filters are asked in parts, below."""

    filters = ("id", "labels__word")
    search = ()
    relations = ("labels",)
    include: ClassVar = {"labels": Labels}


class Numbers(Kinds):
    filters = ("big", "price", "loose", "double", "flag", "level")
    sort = filters
    search = ()
    only = ("list", "query")


class Texts(Numbers):
    filters = ("word", "ref", "blob", "colour", "address", "extra", "tags")
    sort = filters[:5]


class Moments(Numbers):
    filters = ("day", "hour", "moment", "local", "span")
    sort = filters


class Places(Resource[Place]):
    filters = ("name", "note")
    sort = filters
    soft_delete = "deleted_at"
    envelope = True
    require_match = True


class Seats(Resource[Seat]):
    filters = ("hall", "number", "guest")
    sort = filters
    upsert = ("hall", "number")


def make_app(db: Database) -> FastAPI:
    app = FastAPI()
    connect(app, db)
    for cls in (Wholes, Labels, Places, Seats, Numbers, Texts, Moments):
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
