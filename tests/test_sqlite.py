"""A Database on a file, or in memory: sessions, transactions, errors, values."""

# ruff: noqa: PT012 - what raises is a whole transaction

import asyncio
import datetime as dt
import enum
import sqlite3
import sys
from decimal import Decimal
from uuid import UUID

import pytest
from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Date,
    DateTime,
    Enum,
    ForeignKey,
    Interval,
    LargeBinary,
    Numeric,
    String,
    Text,
    Time,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlmodel import select

from howdah import Database
from howdah.drivers import translate
from howdah.errors import (
    Contention,
    Duplicate,
    Forbidden,
    HowdahError,
    Invalid,
    Misconfigured,
    MissingReference,
    ReadOnly,
    StillReferenced,
    Timeout,
    Unavailable,
)
from howdah.settings import DatabaseURL, Pool, Timeouts
from howdah.sqlite.connecting import connect_sync

pytestmark = pytest.mark.anyio


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Base(DeclarativeBase):
    pass


class Shelf(Base):
    __tablename__ = "shelves"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20), unique=True)


class Thing(Base):
    __tablename__ = "things"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    name: Mapped[str | None] = mapped_column(Text)
    price: Mapped[Decimal | None] = mapped_column(Numeric(12, 2))
    wide: Mapped[Decimal | None] = mapped_column(Numeric(30, 4), unique=True)
    free: Mapped[Decimal | None] = mapped_column(Numeric)
    seen_at: Mapped[dt.datetime | None] = mapped_column(DateTime(timezone=True))
    naive: Mapped[dt.datetime | None] = mapped_column(DateTime)
    made_at: Mapped[dt.datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now()
    )
    span: Mapped[dt.timedelta | None] = mapped_column(Interval)
    day: Mapped[dt.date | None] = mapped_column(Date)
    hour: Mapped[dt.time | None] = mapped_column(Time)
    ref: Mapped[UUID | None] = mapped_column(Uuid)
    blob: Mapped[bytes | None] = mapped_column(LargeBinary)
    meta: Mapped[dict | None] = mapped_column(JSONB)
    tags: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    prices: Mapped[list[Decimal] | None] = mapped_column(ARRAY(Numeric(12, 2)))
    color: Mapped[Color | None] = mapped_column(Enum(Color))
    shelf_id: Mapped[int | None] = mapped_column(
        ForeignKey("shelves.id", ondelete="RESTRICT")
    )

    __table_args__ = (CheckConstraint("price < 1000000", name="cheap"),)


VALUES = {
    "name": "Emma",
    "price": Decimal("12.30"),
    "wide": Decimal("12345678901234567890.1234"),
    "free": Decimal("0.1234567890123456789"),
    "seen_at": dt.datetime(2024, 2, 29, 12, 0, 0, 120, tzinfo=dt.UTC),
    "naive": dt.datetime(1, 1, 1),  # noqa: DTZ001 - a column without zones
    "span": dt.timedelta(days=-3, microseconds=1),
    "day": dt.date(1815, 12, 23),
    "hour": dt.time(23, 59, 1),
    "ref": UUID(int=7),
    "blob": b"a\0b",
    "meta": {"a": [1, None]},
    "tags": ["a", "b"],
    "prices": [Decimal("1.50"), None],
    "color": Color.BLUE,
}


@pytest.fixture(params=["file", "memory"])
def url(request, tmp_path):
    if request.param == "memory":
        return "sqlite://"
    return f"sqlite+aiosqlite:///{tmp_path}/shop.db"


@pytest.fixture
async def db(url):
    async with Database(url, timeouts=Timeouts(lock=5)) as db:
        async with db.engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        yield db


async def add(db, *rows):
    async with db.transaction() as session:
        session.add_all(rows)


async def names(db, *where):
    statement = select(Thing.name).where(*where).order_by(Thing.name)
    async with db.transaction(read_only=True) as session:
        return list(await session.exec(statement))


async def test_every_value_comes_back_as_it_went_in(db):
    await add(db, Thing(**VALUES))

    async with db.transaction(read_only=True) as session:
        row = (await session.exec(select(Thing))).one()

    assert {name: getattr(row, name) for name in VALUES} == VALUES
    assert str(row.price) == "12.30"
    assert abs(dt.datetime.now(dt.UTC) - row.made_at) < dt.timedelta(minutes=1)


async def test_the_same_values_by_the_sync_door(db):
    with db.sync_session() as session:
        session.add(Thing(**VALUES))
    with db.sync_session() as session:
        row = session.exec(select(Thing)).one()

        assert {name: getattr(row, name) for name in VALUES} == VALUES
    assert await names(db) == ["Emma"]


@pytest.mark.parametrize("column", ["price", "wide", "free"])
async def test_decimals_are_compared_and_ordered_as_numbers(db, column):
    prices = ["-2.50", "0.10", "9.00", "10.00", "999999.99"]
    mapped = getattr(Thing, column)
    await add(db, *(Thing(**{column: Decimal(price)}) for price in reversed(prices)))

    async with db.transaction(read_only=True) as session:
        ordered = list(await session.exec(select(mapped).order_by(mapped)))
        above = await session.exec(select(func.count()).where(mapped > Decimal("9.00")))
        among = await session.exec(
            select(func.count()).where(mapped.in_([Decimal("0.1"), Decimal(10)]))
        )

    assert ordered == [Decimal(price) for price in prices]
    assert (above.one(), among.one()) == (2, 2)


async def test_digits_beyond_those_of_a_double_are_told_apart(db):
    one, other = (Decimal(f"12345678901234567890.123{n}") for n in (4, 5))
    await add(db, Thing(name="one", wide=one), Thing(name="other", wide=other))

    assert await names(db, Thing.wide < other) == ["one"]
    with pytest.raises(Duplicate) as caught:
        await add(db, Thing(wide=one))
    assert caught.value.fields == ("wide",)


async def test_money_is_rounded_to_the_places_of_its_column(db):
    await add(db, *(Thing(name=n, price=Decimal(n)) for n in ("0.005", "1.004999")))

    async with db.transaction(read_only=True) as session:
        prices = list(await session.exec(select(Thing.price).order_by(Thing.name)))
        total = (await session.exec(select(func.sum(Thing.price)))).one()

    assert prices == [Decimal("0.01"), Decimal("1.00")]
    assert total == Decimal("1.01")


@pytest.mark.parametrize("number", ["NaN", "Infinity"])
async def test_what_is_no_number_is_invalid(db, number):
    with pytest.raises(Invalid):
        await add(db, Thing(price=Decimal(number)))


async def test_a_moment_is_the_same_in_every_zone(db):
    east = dt.timezone(dt.timedelta(hours=5))
    noon = dt.datetime(2024, 1, 1, 12, tzinfo=dt.UTC)
    await add(db, Thing(name="noon", seen_at=noon.astimezone(east)))
    later = dt.datetime(2024, 1, 1, 12, 0, 0, 1, tzinfo=dt.UTC)
    await add(db, Thing(name="then", seen_at=later))

    assert await names(db, Thing.seen_at == noon) == ["noon"]
    assert await names(db, Thing.seen_at > noon.astimezone(east)) == ["then"]
    with pytest.raises(Invalid):
        await add(db, Thing(seen_at=noon.replace(tzinfo=None)))
    with pytest.raises(Invalid):
        await add(db, Thing(naive=noon))


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        (Thing.name.like("a%"), ["a_b", "ab"]),
        (Thing.name.like("A%"), ["Axb"]),
        (Thing.name.like("a\\_b"), ["a_b"]),
        (Thing.name.like("a!_b", escape="!"), ["a_b"]),
        (Thing.name.like("_\nb%"), ["x\nbc"]),
        (Thing.name.ilike("a_b"), ["Axb", "a_b"]),
        (Thing.name.ilike("%ÄP%"), ["Äpfel"]),
        (Thing.name.contains("_", autoescape=True), ["a_b"]),
        (func.lower(Thing.name) == "äpfel", ["Äpfel"]),
        (func.upper(Thing.name) == "ÄPFEL", ["Äpfel"]),
    ],
)
async def test_text_is_matched_as_on_postgresql(db, condition, found):
    texts = ("a_b", "ab", "Axb", "x\nbc", "Äpfel", None)
    await add(db, *(Thing(name=text_) for text_ in texts))

    assert await names(db, condition) == found


FAULTS = {
    "unique": ("INSERT INTO shelves (name) VALUES ('a')", Duplicate, ("name",)),
    "primary key": (
        "INSERT INTO shelves (id, name) VALUES (1, 'b')",
        Duplicate,
        ("id",),
    ),
    "not null": ("INSERT INTO shelves (id) VALUES (2)", Invalid, ("name",)),
    "check": ("INSERT INTO things (price) VALUES (1000000)", Invalid, ()),
    "no shelf": ("INSERT INTO things (shelf_id) VALUES (9)", MissingReference, ()),
    "no new shelf": ("UPDATE things SET shelf_id = 9", MissingReference, ()),
    "in use": ("DELETE FROM shelves", StillReferenced, ()),
    "rule": ("INSERT INTO ruled VALUES (1)", Invalid, ()),
    "no table": ("SELECT * FROM nowhere", HowdahError, ()),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("sync", [False, True])
async def test_a_fault_is_the_error_that_it_is_on_postgresql(db, fault, sync):
    statement, cls, fields = FAULTS[fault]
    rule = "BEFORE INSERT ON ruled BEGIN SELECT RAISE(ABORT, 'secret'); END"
    async with db.transaction() as session:
        connection = await session.connection()
        await connection.exec_driver_sql("CREATE TABLE ruled (id int)")
        await connection.exec_driver_sql(f"CREATE TRIGGER ruled {rule}")
    await add(db, Shelf(name="a"))
    await add(db, Thing(shelf_id=1))

    with pytest.raises(HowdahError) as caught:
        if sync:
            with db.sync_session() as session:
                session.connection().exec_driver_sql(statement)
        else:
            async with db.transaction() as session:
                await (await session.connection()).exec_driver_sql(statement)

    error = caught.value
    assert (type(error), error.fields) == (cls, fields)
    assert "secret" not in str(error)
    assert error.constraint == ("cheap" if fault == "check" else None)


@pytest.mark.parametrize(
    ("code", "cls"),
    [
        (sqlite3.SQLITE_BUSY, Timeout),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, Contention),
        (sqlite3.SQLITE_LOCKED, Timeout),
        (sqlite3.SQLITE_INTERRUPT, Timeout),
        (sqlite3.SQLITE_READONLY, ReadOnly),
        (sqlite3.SQLITE_FULL, Unavailable),
        (sqlite3.SQLITE_IOERR_FSYNC, Unavailable),
        (sqlite3.SQLITE_CANTOPEN, Unavailable),
        (sqlite3.SQLITE_PERM, Forbidden),
        (sqlite3.SQLITE_TOOBIG, Invalid),
        (sqlite3.SQLITE_MISMATCH, Invalid),
        (sqlite3.SQLITE_CORRUPT, HowdahError),
        (sqlite3.SQLITE_ERROR, HowdahError),
    ],
)
def test_a_code_of_sqlite_is_translated(code, cls):
    exc = sqlite3.OperationalError("something")
    exc.sqlite_errorcode = code

    assert type(translate(exc)) is cls


async def test_writers_take_turns_and_lose_nothing(db):
    await add(db, Thing(free=Decimal(0)))

    async def count_up():
        async with db.transaction() as session:
            row = (await session.exec(select(Thing))).one()
            row.free += 1

    await asyncio.gather(*(count_up() for _ in range(30)))

    async with db.transaction(read_only=True) as session:
        assert (await session.exec(select(Thing.free))).one() == 30


async def test_who_waits_too_long_for_the_file_is_told(url):
    db = Database(url, timeouts=Timeouts(lock=0.05))
    async with db, db.transaction() as session:
        await session.connection()
        with pytest.raises(Timeout, match="Another transaction holds"):
            async with db.transaction() as other:
                await other.connection()


async def test_a_reader_does_not_wait_for_a_writer(tmp_path):
    async with Database(f"sqlite:///{tmp_path}/shop.db") as db:
        async with db.engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        async with db.transaction() as session:
            session.add(Thing(name="a"))
            await session.flush()

            assert await names(db) == []
        assert await names(db) == ["a"]


async def test_who_only_reads_cannot_write(db):
    with pytest.raises(ReadOnly):
        async with db.transaction(read_only=True) as session:
            session.add(Thing(name="a"))
    await add(db, Thing(name="b"))

    assert await names(db) == ["b"]


async def test_a_savepoint_is_rolled_back_alone(db):
    async with db.transaction() as session:
        session.add(Thing(name="kept"))
        await session.flush()
        with pytest.raises(ValueError, match="undo"):
            async with session.begin_nested():
                session.add(Thing(name="lost"))
                await session.flush()
                raise ValueError("undo")

    assert await names(db) == ["kept"]


async def test_work_is_run_in_one_transaction_whatever_isolation_is_asked(db):
    async def work(session):
        session.add(Thing(name="a"))
        return 7

    assert await db.run(work, isolation="SERIALIZABLE") == 7
    assert await names(db) == ["a"]


async def test_a_cancelled_task_leaves_the_file_free(db):
    async def slow():
        async with db.transaction() as session:
            session.add(Thing(name="never"))
            await session.flush()
            await asyncio.sleep(10)

    task = asyncio.create_task(slow())
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    await add(db, Thing(name="after"))
    assert await names(db) == ["after"]


def test_a_closed_connection_holds_no_lock_for_a_cursor_that_is_left(tmp_path):
    timeouts = Timeouts(lock=0.2)
    url = DatabaseURL.parse(f"sqlite:///{tmp_path}/left.db")
    other = connect_sync(url, timeouts, memory="")
    other.execute("CREATE TABLE rows (number INTEGER)")
    other.execute("INSERT INTO rows VALUES (1), (2)")

    closed = connect_sync(url, timeouts, memory="")
    closed.execute("BEGIN IMMEDIATE")
    closed.execute("INSERT INTO rows VALUES (3)")
    left = closed.execute("SELECT number FROM rows")
    left.fetchone()
    closed.close()
    closed.close()

    # It would wait for the file in vain as long as the cursor is there.
    other.execute("BEGIN IMMEDIATE")
    assert other.execute("SELECT count(*) FROM rows").fetchone() == (2,)
    other.execute("ROLLBACK")
    other.close()
    assert left is not None


async def test_a_file_is_healthy_and_has_no_fast_lane(db):
    health = await db.health()

    assert (health.ok, health.budget, db.dialect) == (True, 10, "sqlite")
    with pytest.raises(Misconfigured, match="has no fast lane"):
        _ = db.lane


async def test_a_folder_that_is_not_there_is_told_at_once(tmp_path):
    db = Database(f"sqlite:///{tmp_path}/nowhere/shop.db")

    with pytest.raises(Unavailable, match="does not exist"):
        await db.open()

    await db.close()


async def test_what_is_no_database_is_told(tmp_path):
    place = tmp_path / "shop.db"
    place.write_text("no database at all, but a text of some length" * 100)
    db = Database(f"sqlite:///{place}")
    await db.open(wait=False)

    assert not (await db.health()).ok
    await db.close()


async def test_a_file_may_be_opened_to_read_alone(tmp_path):
    place = f"sqlite:///{tmp_path}/shop.db"
    async with Database(place) as db:
        async with db.engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        async with Database(f"{place}?mode=ro", pool=Pool(size=2)) as reader:
            assert await names(reader) == []
            with pytest.raises(ReadOnly):
                await add(reader, Thing(name="a"))


async def test_the_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "aiosqlite", None)
    db = Database("sqlite://")

    with pytest.raises(Misconfigured, match=r"pip install 'howdah\[sqlite\]'"):
        await db.open()
    await db.close()


async def test_a_memory_is_each_databases_own_and_gone_when_it_is_closed():
    async with Database("sqlite://") as one, Database("sqlite://") as other:
        async with one.transaction() as session:
            await session.exec(text("CREATE TABLE t (id int)"))
        with pytest.raises(HowdahError):
            async with other.transaction() as session:
                await session.exec(text("SELECT * FROM t"))
    async with one:
        with pytest.raises(HowdahError):
            async with one.transaction() as session:
                await session.exec(text("SELECT * FROM t"))
