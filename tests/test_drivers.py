"""One border: whatever driver ran a statement, the same fault is the same error."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from uuid import uuid4

import asyncpg
import psycopg
import pytest
import sqlalchemy.exc
import sqlalchemy.orm.exc
from sqlalchemy import bindparam, text
from sqlmodel.main import UTCDateTime

from howdah import Database
from howdah.connection import connect, connect_sync
from howdah.drivers import is_disconnect, sqlstate, translate
from howdah.errors import (
    Conflict,
    Contention,
    Duplicate,
    Forbidden,
    HowdahError,
    Invalid,
    Misconfigured,
    MissingReference,
    NotFound,
    PoolExhausted,
    ReadOnly,
    StaleVersion,
    StillReferenced,
    Timeout,
    Unavailable,
)
from howdah.settings import DatabaseURL, Pool, Timeouts

pytestmark = pytest.mark.anyio

SCHEMA = """
CREATE TABLE parents (id int PRIMARY KEY, name varchar(5) UNIQUE);
CREATE TABLE kept (id int PRIMARY KEY);
CREATE TABLE children (
    id int PRIMARY KEY,
    parent_id int NOT NULL CONSTRAINT children_parent REFERENCES parents,
    kept_id int CONSTRAINT children_kept REFERENCES kept ON DELETE RESTRICT,
    age int CONSTRAINT children_age CHECK (age > 0),
    room int4range,
    CONSTRAINT children_room EXCLUDE USING gist (room WITH &&)
);
CREATE TABLE long (body text);
CREATE INDEX ON long (body);
CREATE VIEW adults AS SELECT id, name FROM parents WHERE id > 100 WITH CHECK OPTION;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN RAISE EXCEPTION 'secret %', NEW.id; END$$;
CREATE TABLE ruled (id int);
CREATE TRIGGER ruled BEFORE INSERT ON ruled FOR EACH ROW EXECUTE FUNCTION refuse();
INSERT INTO parents VALUES (1, 'a'), (2, 'b');
INSERT INTO kept VALUES (1);
INSERT INTO children VALUES (1, 1, 1, 1, '[1,5)');
"""
# A statement, the error that it means, and the constraint that it breaks.
FAULTS = {
    "unique": ("INSERT INTO parents VALUES (3, 'a')", Duplicate, "parents_name_key"),
    "primary key": ("INSERT INTO kept VALUES (1)", Duplicate, "kept_pkey"),
    "no parent": (
        "INSERT INTO children VALUES (2, 99)",
        MissingReference,
        "children_parent",
    ),
    "no new parent": (
        "UPDATE children SET parent_id = 99",
        MissingReference,
        "children_parent",
    ),
    "has children": (
        "DELETE FROM parents WHERE id = 1",
        StillReferenced,
        "children_parent",
    ),
    "key has children": (
        "UPDATE parents SET id = 9 WHERE id = 1",
        StillReferenced,
        "children_parent",
    ),
    "restrict": ("DELETE FROM kept", StillReferenced, "children_kept"),
    "not null": ("INSERT INTO children VALUES (2, NULL)", Invalid, None),
    "check": ("INSERT INTO children VALUES (2, 1, 1, -1)", Invalid, "children_age"),
    "check of a view": ("INSERT INTO adults VALUES (5, 'x')", Invalid, None),
    "exclusion": (
        "INSERT INTO children VALUES (2, 1, 1, 1, '[4,9)')",
        Conflict,
        "children_room",
    ),
    "too long": ("INSERT INTO parents VALUES (3, 'abcdef')", Invalid, None),
    "too large": ("INSERT INTO kept VALUES (2147483647 + 1)", Invalid, None),
    "no number": ("INSERT INTO kept VALUES ('x')", Invalid, None),
    "no row in an index": (
        (
            "INSERT INTO long SELECT string_agg(random()::text, '') "
            "FROM generate_series(1, 9000)"
        ),
        Invalid,
        None,
    ),
    "a rule of a trigger": ("INSERT INTO ruled VALUES (7)", Invalid, None),
    "division": ("SELECT 1 / 0", Invalid, None),
    "statement timeout": ("SELECT pg_sleep(9)", Timeout, None),
    "nobody": ("SET ROLE nobody_at_all", Invalid, None),
    "no table": ("SELECT * FROM nowhere", HowdahError, None),
    "no grammar": ("SELEKT", HowdahError, None),
}


@pytest.fixture(scope="module")
def url(server):
    name = f"drivers_{uuid4().hex[:12]}"
    server.create_database(name)
    with psycopg.connect(server.url(name)) as connection:
        connection.execute(SCHEMA)
    yield server.url(name)
    server.drop_database(name)


@pytest.fixture(scope="module")
async def shared(url):
    """One Database for all tests here, whose statements fail and leave nothing."""
    timeouts = Timeouts(statement=0.3, lock=0.2, idle_in_transaction=5)
    async with Database(url, timeouts=timeouts) as db:
        yield db


async def by_asyncpg(db: Database, statement: str) -> None:
    await db.lane.fetchrow(statement)


async def by_psycopg(db: Database, statement: str) -> None:
    def work() -> None:
        with connect_sync(db.url, db.timeouts) as connection:
            try:
                connection.execute(statement)
            except psycopg.Error as exc:
                raise translate(exc, statement=statement) from exc

    await asyncio.to_thread(work)


async def by_session(db: Database, statement: str) -> None:
    async with db.transaction() as session:
        await (await session.connection()).exec_driver_sql(statement)


async def by_session_on_psycopg(db: Database, statement: str) -> None:
    url = replace(db.url, driver="psycopg")
    other = Database(url, timeouts=db.timeouts)
    await other.open(wait=False)
    try:
        await by_session(other, statement)
    finally:
        await other.close()


async def by_sync_session(db: Database, statement: str) -> None:
    def work() -> None:
        with db.sync_session() as session:
            session.connection().exec_driver_sql(statement)

    await asyncio.to_thread(work)


WAYS = [by_asyncpg, by_psycopg, by_session, by_session_on_psycopg, by_sync_session]
ways = pytest.mark.parametrize("way", WAYS)


@ways
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_is_the_same_error_by_every_driver(shared, way, fault):
    statement, cls, constraint = FAULTS[fault]

    with pytest.raises(HowdahError) as caught:
        await way(shared, statement)

    assert type(caught.value) is cls
    assert caught.value.constraint == constraint
    assert "secret" not in str(caught.value)
    if fault == "not null":
        assert caught.value.fields == ("parent_id",)


async def locked(db: Database, statement: str, way: Callable) -> None:
    """Run a statement while another transaction holds the row."""
    async with db.lane.connection() as holder, holder.transaction():
        await holder.execute("SELECT * FROM parents WHERE id = 2 FOR UPDATE")
        await way(db, statement)


@ways
async def test_a_lock_that_does_not_come_is_a_timeout(shared, way):
    for statement in (
        "SELECT * FROM parents WHERE id = 2 FOR UPDATE",
        "SELECT * FROM parents WHERE id = 2 FOR UPDATE NOWAIT",
    ):
        with pytest.raises(Timeout, match="Another transaction holds the row"):
            await locked(shared, statement, way)


@ways
async def test_a_write_where_nothing_may_be_written_is_read_only(url, way):
    read_only = f"{url}&default_transaction_read_only=on"

    async with Database(read_only) as db:
        with pytest.raises(ReadOnly):
            await way(db, "DELETE FROM long")


@ways
async def test_a_user_without_the_right_is_forbidden(url, server, way):
    role = f"guest_{uuid4().hex[:8]}"
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {role} LOGIN")

    address = DatabaseURL.parse(url)
    guest = f"{url.replace(f'//{address.user}@', f'//{role}@')}"
    try:
        async with Database(guest) as db:
            with pytest.raises(Forbidden):
                await way(db, "SELECT * FROM parents")
    finally:
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute(f"DROP ROLE {role}")


@ways
async def test_a_connection_that_is_ended_is_unavailable(shared, way):
    with pytest.raises(Unavailable) as caught:
        await way(shared, "SELECT pg_terminate_backend(pg_backend_pid())")

    assert type(caught.value) is Unavailable
    # What was idle beside it may be dead as well, and is not handed out.
    assert await shared.lane.fetchval("SELECT 1", read=True) == 1


@pytest.mark.parametrize("sync", [False, True])
async def test_a_lost_race_is_contention(shared, sync):
    def swap(first: int, second: int, meet: threading.Barrier) -> None:
        with shared.sync_session() as session:
            connection = session.connection()
            connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
            connection.exec_driver_sql("SET LOCAL deadlock_timeout = '50ms'")
            lock = "SELECT * FROM parents WHERE id = {} FOR UPDATE"
            connection.exec_driver_sql(lock.format(first))
            meet.wait()
            connection.exec_driver_sql(lock.format(second))

    async def swap_async(first: int, second: int, meet: asyncio.Barrier) -> None:
        async with shared.transaction() as session:
            await session.exec(text("SET LOCAL lock_timeout = 0"))
            await session.exec(text("SET LOCAL statement_timeout = 0"))
            await session.exec(text("SET LOCAL deadlock_timeout = '50ms'"))
            lock = "SELECT * FROM parents WHERE id = {} FOR UPDATE"
            await session.exec(text(lock.format(first)))
            await meet.wait()
            await session.exec(text(lock.format(second)))

    if sync:
        meet = threading.Barrier(2)
        work = [asyncio.to_thread(swap, *pair, meet) for pair in ((1, 2), (2, 1))]
    else:
        both = asyncio.Barrier(2)
        work = [swap_async(*pair, both) for pair in ((1, 2), (2, 1))]
    results = await asyncio.gather(*work, return_exceptions=True)

    losers = [result for result in results if result is not None]
    assert [type(loser) for loser in losers] == [Contention]


@ways
@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"database": "no_such_database"}, id="no database"),
        pytest.param({"hosts": (("127.0.0.1", 1),)}, id="refused"),
        pytest.param({"hosts": (("no-such-host.invalid", 5432),)}, id="no name"),
        pytest.param({"hosts": (("/no/such/folder", 5432),)}, id="no folder"),
        pytest.param({"hosts": (("/" + "long" * 40, 5432),)}, id="too long a folder"),
    ],
)
async def test_a_database_that_is_not_there_is_unavailable(url, way, change):
    address = DatabaseURL.parse(url)
    fields = ("user", "hosts", "database")
    given = {name: getattr(address, name) for name in fields} | change
    # With a password, which nothing that is said may hold.
    nowhere = DatabaseURL(**given, password="hunter2")
    db = Database(nowhere, timeouts=Timeouts(connect=2))
    await db.open(wait=False)

    with pytest.raises(Unavailable) as caught:
        await way(db, "SELECT 1")

    await db.close()
    assert "hunter2" not in said_by(caught.value)


def said_by(error: BaseException | None) -> str:
    """What an exception and its causes say in a log."""
    said = ""
    while error is not None:
        said += f"{error} {error!r}"
        error = error.__cause__ or error.__context__
    return said


async def test_a_url_that_asyncpg_cannot_use_is_told_before_any_waiting(url):
    address = DatabaseURL.parse(f"{url}&sslmode=perhaps")

    with pytest.raises(Misconfigured, match="sslmode"):
        await connect(address, Timeouts())


async def test_a_primary_where_a_standby_is_wanted_is_unavailable(url):
    address = DatabaseURL.parse(f"{url}&target_session_attrs=standby")

    with pytest.raises(Unavailable):
        await connect(address, Timeouts())
    with pytest.raises(Unavailable):
        await asyncio.to_thread(connect_sync, address, Timeouts())


async def test_a_moment_without_a_zone_is_invalid(shared):
    statement = text("SELECT :moment").bindparams(
        bindparam("moment", type_=UTCDateTime())
    )

    with pytest.raises(Invalid):
        async with shared.transaction() as session:
            await session.exec(
                statement,
                params={"moment": datetime(2024, 1, 1)},  # noqa: DTZ001 - the fault
            )


async def test_a_number_too_large_for_its_parameter_is_invalid(shared):
    with pytest.raises(Invalid):
        async with shared.transaction() as session:
            await session.exec(
                text("SELECT * FROM parents WHERE id = :id"), params={"id": 2**40}
            )


async def test_a_migrated_table_is_contention_once(shared):
    name = f"migrated_{uuid4().hex[:8]}"
    async with shared.transaction() as session:
        await session.exec(text(f"CREATE TABLE {name} (id int)"))
    select = text(f"SELECT * FROM {name}")
    one = Database(shared.url, pool=Pool(size=2))

    async with one:
        async with one.transaction() as session:
            await session.exec(select)
        await shared.lane.fetchrow(f"ALTER TABLE {name} ADD COLUMN b int")
        with pytest.raises(Contention, match="has just been changed"):
            async with one.transaction() as session:
                await session.exec(select)
        async with one.transaction() as session:
            await session.exec(select)


async def test_too_many_parameters_do_not_cost_the_connections(shared):
    lost = text("SELECT pg_backend_pid()")
    async with shared.transaction() as session:
        before = (await session.exec(lost)).scalar()
    many = text("SELECT 1 WHERE 1 IN :ids").bindparams(bindparam("ids", expanding=True))

    with pytest.raises(HowdahError) as caught:
        async with shared.transaction() as session:
            await session.exec(many, params={"ids": list(range(40_000))})

    assert not isinstance(caught.value, Unavailable)
    async with shared.transaction() as session:
        assert (await session.exec(lost)).scalar() == before


def test_what_sqlalchemy_says_without_a_driver_is_translated():
    assert type(translate(sqlalchemy.orm.exc.StaleDataError())) is StaleVersion
    assert type(translate(sqlalchemy.exc.NoResultFound())) is NotFound
    assert type(translate(sqlalchemy.exc.TimeoutError())) is PoolExhausted
    assert type(translate(sqlalchemy.exc.InvalidRequestError())) is HowdahError
    assert type(translate(psycopg.DataError())) is Invalid
    assert type(translate(TimeoutError())) is Timeout


def test_what_is_ours_already_passes():
    error = Duplicate()

    assert translate(error) is error


def test_a_code_is_read_where_there_is_one():
    assert sqlstate(asyncpg.UniqueViolationError()) == "23505"
    assert sqlstate(psycopg.errors.UniqueViolation()) == "23505"
    assert sqlstate(psycopg.OperationalError()) is None
    assert sqlstate(ValueError()) is None


@pytest.mark.parametrize(
    ("exc", "lost"),
    [
        (asyncpg.AdminShutdownError(), True),
        (asyncpg.ReadOnlySQLTransactionError(), True),
        (asyncpg.ConnectionDoesNotExistError(), True),
        (asyncpg.InterfaceError("connection is closed"), True),
        (psycopg.errors.DatabaseDropped(), True),
        (ConnectionResetError(), True),
        (TimeoutError(), False),
        (asyncpg.UniqueViolationError(), False),
        (asyncpg.QueryCanceledError(), False),
        (ValueError(), False),
    ],
)
def test_a_connection_is_given_up_after_some_errors(exc, lost):
    assert is_disconnect(exc) is lost


def test_an_open_connection_survives_its_misuse():
    assert is_disconnect(asyncpg.InterfaceError("busy"), closed=False) is False
