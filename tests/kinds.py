"""A model with a column of every type that a resource knows, and an app for it.

Run as a script it serves the app: `kinds.py FD` at the listening socket FD, on the
database that the environment names.
"""

import datetime as dt
import enum
import sys
from typing import Any

import uvicorn
from fastapi import FastAPI
from sqlalchemy import (
    CHAR,
    REAL,
    BigInteger,
    Boolean,
    Column,
    Computed,
    Date,
    DateTime,
    Double,
    Enum,
    ForeignKey,
    Integer,
    Interval,
    LargeBinary,
    Numeric,
    SmallInteger,
    String,
    Table,
    Text,
    Time,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, INET, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from howdah import Database, Resource, connect
from howdah.models import SECRET


class Base(DeclarativeBase):
    pass


class Colour(enum.Enum):
    RED = "red"
    BLUE = "it's blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 10


KIND_LABELS = Table(
    "kind_labels",
    Base.metadata,
    Column("kind_id", ForeignKey("kinds.id"), primary_key=True),
    Column("label_id", ForeignKey("labels.id"), primary_key=True, index=True),
)


class Label(Base):
    """Of what people call things, known by its word."""

    __tablename__ = "labels"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    word: Mapped[str] = mapped_column(String(20), unique=True)
    weight: Mapped[int | None] = mapped_column(SmallInteger)
    is_active: Mapped[bool] = mapped_column(Boolean, default=True)


class Kind(Base):
    __tablename__ = "kinds"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    small: Mapped[int | None] = mapped_column(SmallInteger)
    whole: Mapped[int | None] = mapped_column(Integer)
    big: Mapped[int | None] = mapped_column(BigInteger)
    price: Mapped[Any] = mapped_column(Numeric(8, 2), nullable=True)
    exact: Mapped[Any] = mapped_column(Numeric(30, 10), nullable=True)
    loose: Mapped[Any] = mapped_column(Numeric, nullable=True)
    double: Mapped[float | None] = mapped_column(Double)
    real: Mapped[float | None] = mapped_column(REAL)
    flag: Mapped[bool | None] = mapped_column(Boolean)
    word: Mapped[str | None] = mapped_column(String(20))
    fixed: Mapped[str | None] = mapped_column(CHAR(3))
    prose: Mapped[str | None] = mapped_column(Text)
    ref: Mapped[Any] = mapped_column(Uuid, nullable=True)
    day: Mapped[dt.date | None] = mapped_column(Date)
    hour: Mapped[dt.time | None] = mapped_column(Time)
    moment: Mapped[dt.datetime | None] = mapped_column(DateTime(timezone=True))
    local: Mapped[dt.datetime | None] = mapped_column(DateTime)
    span: Mapped[dt.timedelta | None] = mapped_column(Interval)
    blob: Mapped[bytes | None] = mapped_column(LargeBinary)
    colour: Mapped[Colour | None] = mapped_column(Enum(Colour, name="colour"))
    level: Mapped[Level | None] = mapped_column(Enum(Level, name="level"))
    plain: Mapped[str | None] = mapped_column(Enum("a", "b", name="plain"))
    address: Mapped[Any] = mapped_column(INET, nullable=True)
    extra: Mapped[Any] = mapped_column(JSONB, nullable=True)
    tags: Mapped[Any] = mapped_column(ARRAY(String(9)), nullable=True)
    numbers: Mapped[Any] = mapped_column(ARRAY(Integer), nullable=True)
    sums: Mapped[Any] = mapped_column(ARRAY(Numeric(8, 2)), nullable=True)
    moments: Mapped[Any] = mapped_column(ARRAY(DateTime(timezone=True)), nullable=True)
    colours: Mapped[Any] = mapped_column(
        ARRAY(Enum(Colour, name="colour")), nullable=True
    )
    doubled: Mapped[int | None] = mapped_column(Computed("small * 2"))
    served: Mapped[str] = mapped_column(Text, server_default=func.upper("ab"))
    given: Mapped[int] = mapped_column(Integer, server_default=text("7"))
    secret: Mapped[str | None] = mapped_column(Text, info=SECRET)
    created_at: Mapped[dt.datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now()
    )

    labels: Mapped[list[Label]] = relationship(secondary=KIND_LABELS)


COLUMNS = tuple(Kind.__table__.columns.keys())
SORTED = tuple(
    name
    for name in COLUMNS
    if name not in {"extra", "secret", "tags", "numbers", "sums", "moments", "colours"}
)


class Kinds(Resource[Kind]):
    filters = tuple(name for name in COLUMNS if name != "secret")
    sort = SORTED
    search = ("word", "prose")


class Place(Base):
    """A key that people give, and one that is not a word of an address."""

    __tablename__ = "places"

    name: Mapped[str] = mapped_column(String(20), primary_key=True)
    note: Mapped[str | None] = mapped_column(Text)
    deleted_at: Mapped[dt.datetime | None] = mapped_column(DateTime(timezone=True))


class Places(Resource[Place]):
    filters = ("name",)
    soft_delete = "deleted_at"


async def create_tables(db: Database) -> None:
    async with db.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)


def make_app(db: Database) -> FastAPI:
    app = FastAPI()
    connect(app, db)
    app.include_router(Kinds(db).router(prefix="/kinds", tags=["kinds"]))
    app.include_router(Places(db).router(prefix="/places"))
    return app


if __name__ == "__main__":
    server = uvicorn.Server(uvicorn.Config(make_app(Database()), log_level="warning"))
    server.config.fd = int(sys.argv[1])
    server.run()
