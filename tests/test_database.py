"""A Database: lanes in one budget, sessions that commit or do not, health."""

# ruff: noqa: PT012 - what raises is often the end of the block

import asyncio
import logging
import threading
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from catalogue import Category, Item, create_tables
from databases import emptying
from sqlalchemy import String, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlmodel import select

from howdah import Database, Repository, Settings
from howdah.embedded import EmbeddedPostgres
from howdah.errors import (
    Contention,
    Duplicate,
    Misconfigured,
    MissingReference,
    PoolExhausted,
    TransactionAborted,
    Unavailable,
)
from howdah.events import PoolExhausted as PoolExhaustedEvent
from howdah.events import Retried, StatementFinished
from howdah.settings import DatabaseURL, Pool, Retry, Timeouts

pytestmark = pytest.mark.anyio

COUNT = select(Category)


@pytest.fixture(scope="module")
def url(server):
    name = f"database_{uuid4().hex[:12]}"
    server.create_database(name)
    yield server.url(name)
    server.drop_database(name)


@pytest.fixture
async def db(url):
    """An open Database with empty tables, on a database that this module shares."""
    async with Database(url, pool=Pool(size=6, timeout=1)) as db:
        await create_tables(db)
        await db.lane.fetchrow(emptying([Category.__table__, Item.__table__]))
        yield db


async def names(db: Database) -> list[str]:
    async with db.transaction() as session:
        return sorted(row.name for row in await session.exec(COUNT))


async def test_a_database_that_is_not_open_does_nothing(url):
    db = Database(url)

    assert repr(db) == f"Database({str(db.url)!r}, closed)"
    assert db.busy == 0
    for attribute in ("engine", "lane"):
        with pytest.raises(Misconfigured, match="not open; use `async with db:`"):
            getattr(db, attribute)
    health = await db.health()
    assert (health.ok, health.busy) == (False, 0)


async def test_opened_twice_it_is_open_and_closed_twice_it_is_closed(url):
    db = Database(url)
    await db.open()
    engine = db.engine

    await db.open()
    assert db.engine is engine
    await db.close()
    await db.close()

    assert "closed" in repr(db)
    async with db:
        assert await db.lane.fetchval("SELECT 1") == 1


async def test_a_url_may_be_text_or_parsed_or_of_settings(url):
    given = (url, DatabaseURL.parse(url), Settings(database_url=url))

    assert {str(Database(one).url) for one in given} == {str(DatabaseURL.parse(url))}


async def test_the_repr_says_how_busy_it_is_and_no_password(db):
    secret = Database("postgresql://app:hunter2@db/shop")

    assert repr(secret) == "Database('postgresql://app:***@db/shop', closed)"
    async with db.transaction() as session, db.lane.connection():
        await session.exec(COUNT)
        assert "2/6 busy" in repr(db)
        assert db.busy == 2


@pytest.mark.slow
async def test_without_settings_the_embedded_server_of_the_project_serves(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    db = Database()
    assert repr(db) == "Database('embedded', closed)"
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(Misconfigured, match="open the Database first"):
        _ = db.url

    async with db:
        assert await db.lane.fetchval("SELECT 1") == 1
        assert EmbeddedPostgres(Path(".howdah/postgres")).running

    assert not EmbeddedPostgres(Path(".howdah/postgres")).running
    with db.sync_session() as session:
        assert session.exec(text("SELECT 1")).one() == (1,)
    await db.close()
    assert not EmbeddedPostgres(Path(".howdah/postgres")).running


@pytest.mark.parametrize(("size", "overflow"), [(2, 0), (3, 2)])
async def test_both_lanes_together_stay_in_the_budget(url, size, overflow):
    name = f"budget_{uuid4().hex[:8]}"
    pool = Pool(size=size, overflow=overflow, timeout=20)
    most = 0

    async def session_work(db: Database) -> None:
        async with db.transaction() as session:
            await session.exec(text("SELECT pg_sleep(.01)"))

    async def look(db: Database) -> None:
        nonlocal most
        count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1"
        most = max(most, await db.lane.fetchval(count, [name]))

    async with Database(f"{url}&application_name={name}", pool=pool) as db:
        work = [job(db) for _ in range(30) for job in (session_work, look)]
        await asyncio.gather(*work)
        assert db.busy == 0
        # Each lane keeps what it has opened.
        await look(db)

    assert 2 <= most <= size + overflow


async def test_a_clean_end_commits_and_an_exception_rolls_back(db):
    async with db.transaction() as session:
        session.add(Category(name="kept"))
    with pytest.raises(ZeroDivisionError):
        async with db.transaction() as session:
            session.add(Category(name="lost"))
            await session.flush()
            _ = 1 / 0

    assert await names(db) == ["kept"]


async def test_the_session_is_a_dependency_that_commits(db):
    dependency = db.session()
    session = await anext(dependency)
    session.add(Category(name="kept"))

    await anext(dependency, None)

    assert await names(db) == ["kept"]


async def test_rows_can_be_read_after_the_commit(db):
    async with db.transaction() as session:
        row = Category(name="Rock")
        session.add(row)

    assert (row.name, row.id is not None) == ("Rock", True)


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "SERIALIZABLE"])
async def test_the_isolation_is_that_of_the_transaction_alone(db, isolation):
    level = text("SHOW transaction_isolation")

    async with db.transaction(isolation=isolation) as session:
        assert (await session.exec(level)).scalar() == isolation.lower()
    async with db.transaction() as session:
        assert (await session.exec(level)).scalar() == "read committed"


async def test_a_savepoint_loses_only_what_stands_inside(db):
    async with db.transaction() as session:
        session.add(Category(name="before"))
        await session.flush()
        with pytest.raises(Exception, match="duplicate"):
            async with session.begin_nested():
                session.add(Category(name="before"))
                await session.flush()
        session.add(Category(name="after"))

    assert await names(db) == ["after", "before"]


async def fail(session) -> None:
    with pytest.raises(Exception, match="division"):
        await session.exec(text("SELECT 1/0"))


async def test_a_failure_that_was_ignored_refuses_the_commit(db):
    with pytest.raises(TransactionAborted):
        async with db.transaction() as session:
            session.add(Category(name="lost"))
            await session.flush()
            await fail(session)

    assert await names(db) == []
    assert db.busy == 0


async def test_a_failure_inside_a_savepoint_is_forgiven(db):
    async with db.transaction() as session:
        session.add(Category(name="kept"))
        await session.flush()
        with pytest.raises(Exception, match="division"):
            async with session.begin_nested():
                await session.exec(text("SELECT 1/0"))

    assert await names(db) == ["kept"]


async def test_a_savepoint_after_a_failure_forgives_nothing(db):
    with pytest.raises(TransactionAborted):
        async with db.transaction() as session:
            session.add(Category(name="lost"))
            await session.flush()
            await fail(session)
            with pytest.raises(Exception, match="aborted"):
                async with session.begin_nested():
                    await session.exec(text("SELECT 1"))

    assert await names(db) == []


async def test_a_rollback_by_hand_forgives(db):
    async with db.transaction() as session:
        await fail(session)
        await session.rollback()
        session.add(Category(name="kept"))

    assert await names(db) == ["kept"]


async def test_a_sync_session_refuses_to_commit_a_failure_as_well(db):
    def work() -> None:
        with db.sync_session() as session:
            session.add(Category(name="lost"))
            session.flush()
            with pytest.raises(Exception, match="division"):
                session.exec(text("SELECT 1/0"))

    with pytest.raises(TransactionAborted):
        await asyncio.to_thread(work)
    assert await names(db) == []


class Base(DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(20), unique=True)


class Notes(Repository[Note]):
    pass


async def test_an_error_names_its_fields(db):
    with pytest.raises(Duplicate) as caught:
        async with db.transaction() as session:
            session.add_all([Category(name="Rock"), Category(name="Rock")])

    assert caught.value.fields == ("name",)
    assert caught.value.table == "categories"


@pytest.mark.parametrize("repository", [False, True])
async def test_an_error_of_a_declarative_model_names_its_fields(db, repository):
    async with db.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)

    async def work(session) -> None:
        if repository:
            await Notes(session).create_many([{"title": "a"}, {"title": "a"}])
        else:
            session.add_all([Note(title="a"), Note(title="a")])

    with pytest.raises(Duplicate) as caught:
        await db.run(work)

    assert caught.value.fields == ("title",)


async def test_an_error_of_a_sync_session_names_its_fields(url):
    db = Database(url)

    with pytest.raises(Duplicate) as caught, db.sync_session() as session:
        Category.__table__.create(session.connection(), checkfirst=True)
        session.add_all([Category(name="Rock"), Category(name="Rock")])

    await db.close()
    assert caught.value.fields == ("name",)


async def test_a_deferred_constraint_fails_at_the_commit(db):
    table = f"deferred_{uuid4().hex[:8]}"
    reference = "REFERENCES categories DEFERRABLE INITIALLY DEFERRED"
    await db.lane.fetchrow(f"CREATE TABLE {table} (id int, c int {reference})")

    with pytest.raises(MissingReference):
        async with db.transaction() as session:
            await session.exec(text(f"INSERT INTO {table} VALUES (1, 99)"))

    await db.lane.fetchrow(f"DROP TABLE {table}")


async def test_run_gives_the_result(db):
    async def work(session):
        return (await session.exec(text("SELECT 42"))).scalar()

    assert await db.run(work) == 42


@pytest.mark.parametrize("code", ["40001", "40P01"])
async def test_run_begins_again_where_a_race_was_lost(db, code):
    heard, runs = [], []
    db.listen(heard.append)

    async def work(session):
        runs.append(session)
        session.add(Category(name=f"run {len(runs)}"))
        await session.flush()
        if len(runs) < 3:
            raise_it = f"DO $$BEGIN RAISE EXCEPTION USING ERRCODE = '{code}'; END$$"
            await session.exec(text(raise_it))
        return len(runs)

    assert await db.run(work) == 3
    assert await names(db) == ["run 3"]
    assert len({id(session) for session in runs}) == 3
    retried = [event for event in heard if isinstance(event, Retried)]
    assert [(event.reason, event.attempt) for event in retried] == [
        ("contention", 1),
        ("contention", 2),
    ]


async def test_run_begins_again_where_the_connection_was_lost(db):
    runs = []

    async def work(session):
        runs.append(session)
        session.add(Category(name=f"run {len(runs)}"))
        await session.flush()
        if len(runs) == 1:
            await session.exec(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        return len(runs)

    assert await db.run(work) == 2
    assert await names(db) == ["run 2"]


async def test_run_does_not_repeat_what_was_lost_at_the_commit(db):
    """Nobody knows then whether it is stored; here it is not."""
    name, runs = f"dying_{uuid4().hex[:8]}", []
    async with db.transaction() as session:
        for statement in (
            f"CREATE TABLE {name} (id int)",
            f"""CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END'""",
            f"""CREATE CONSTRAINT TRIGGER dying AFTER INSERT ON {name} INITIALLY
            DEFERRED FOR EACH ROW EXECUTE FUNCTION {name}()""",
        ):
            await session.exec(text(statement))

    async def work(session):
        runs.append(session)
        await session.exec(text(f"INSERT INTO {name} VALUES (1)"))

    with pytest.raises(Unavailable):
        await db.run(work)
    assert len(runs) == 1


async def test_run_does_not_repeat_what_committed_by_itself(db):
    runs = []

    async def work(session):
        runs.append(session)
        session.add(Category(name=f"run {len(runs)}"))
        await session.commit()
        raise_it = "DO $$BEGIN RAISE EXCEPTION USING ERRCODE = '40001'; END$$"
        await session.exec(text(raise_it))

    with pytest.raises(Contention):
        await db.run(work)
    assert await names(db) == ["run 1"]


async def test_run_does_not_repeat_what_was_lost_behind_a_commit_of_its_own(db):
    runs = []

    async def work(session):
        runs.append(session)
        session.add(Category(name=f"run {len(runs)}"))
        await session.commit()
        await session.exec(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    with pytest.raises(Unavailable):
        await db.run(work)
    assert await names(db) == ["run 1"]


async def test_run_repeats_what_has_ended_a_savepoint(db):
    runs = []

    async def work(session):
        runs.append(session)
        async with session.begin_nested():
            session.add(Category(name=f"run {len(runs)}"))
        if len(runs) == 1:
            await session.exec(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    await db.run(work)

    assert await names(db) == ["run 2"]


@pytest.mark.parametrize("begun", [False, True])
async def test_run_does_not_repeat_what_was_lost_elsewhere(db, begun):
    """On another connection, which may have stored something already."""
    runs = []

    async def work(session):
        runs.append(session)
        if begun:
            await session.exec(text("SELECT 1"))
        await db.lane.fetchrow("INSERT INTO categories (name) VALUES ('Rock')")
        await db.lane.fetchrow("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(Unavailable):
        await db.run(work)
    assert len(runs) == 1


async def test_run_gives_up_after_its_attempts(db):
    runs = []

    async def work(session):
        runs.append(session)
        raise Contention

    with pytest.raises(Contention):
        await db.run(work, attempts=2)
    assert len(runs) == 2


async def test_run_does_not_repeat_what_cannot_be_cured(db):
    runs = []

    async def work(session):
        runs.append(session)
        session.add_all([Category(name="Rock"), Category(name="Rock")])

    with pytest.raises(Duplicate):
        await db.run(work)
    assert len(runs) == 1


async def test_write_skew_is_serialized(db):
    """Each adds a row unless two are there: only in some order may three be asked."""
    meet = asyncio.Barrier(2)
    runs = []

    def worker(name: str):
        async def work(session):
            runs.append(name)
            count = len((await session.exec(COUNT)).all())
            if len(runs) <= 2:
                await meet.wait()
            if count == 0:
                session.add(Category(name=name))

        return db.run(work, isolation="SERIALIZABLE")

    await asyncio.gather(worker("a"), worker("b"))

    assert len(await names(db)) == 1
    assert len(runs) == 3


async def test_a_sync_session_commits_and_rolls_back(db):
    def work() -> None:
        with db.sync_session() as session:
            session.add(Category(name="kept"))
        with pytest.raises(ZeroDivisionError), db.sync_session() as session:
            session.add(Category(name="lost"))
            session.flush()
            _ = 1 / 0

    await asyncio.to_thread(work)

    assert await names(db) == ["kept"]


async def test_threads_that_come_at_once_share_one_sync_pool(url):
    db = Database(url)
    meet, engines = threading.Barrier(4), set()

    def work() -> None:
        meet.wait()
        with db.sync_session() as session:
            session.exec(text("SELECT 1"))
            engines.add(id(session.get_bind()))

    await asyncio.gather(*(asyncio.to_thread(work) for _ in range(4)))
    await db.close()

    assert len(engines) == 1


SETTINGS = {
    "statement_timeout": "7s",
    "lock_timeout": "3s",
    "idle_in_transaction_session_timeout": "9s",
    "TimeZone": "UTC",
    "application_name": "howdah",
}


@pytest.mark.parametrize("setting", SETTINGS)
async def test_every_connection_has_its_limits(url, setting):
    limits = Timeouts(statement=7, lock=3, idle_in_transaction=9)
    show, expected = f"SHOW {setting}", SETTINGS[setting]

    async with Database(f"{url}&application_name=howdah", timeouts=limits) as db:
        fast = await db.lane.fetchval(show)
        async with db.transaction() as session:
            slow = (await session.exec(text(show))).scalar()
        with db.sync_session() as sync:
            door = sync.exec(text(show)).scalar()

    assert [fast, slow, door] == [expected] * 3


async def test_parameters_of_the_url_reach_the_session_by_every_door(url):
    show = "SHOW search_path"

    async with Database(f"{url}&search_path=a,%20b&options=-c%20x.y=1") as db:
        fast = [await db.lane.fetchval(one) for one in (show, "SHOW x.y")]
        with db.sync_session() as sync:
            door = [sync.exec(text(one)).scalar() for one in (show, "SHOW x.y")]

    assert fast == door == ["a, b", "1"]


@pytest.mark.parametrize("overflow", [0, 1])
async def test_behind_a_pooler_both_lanes_work_with_limits(url, overflow):
    address = f"{url}&pgbouncer=true"
    pool = Pool(size=2, overflow=overflow)

    async with Database(address, pool=pool, timeouts=Timeouts(statement=7)) as db:
        assert db.url.pooled
        assert await db.lane.fetchval("SELECT $1::int", [1]) == 1
        for _ in range(3):
            async with db.transaction() as session:
                limit = await session.exec(text("SHOW statement_timeout"))
                assert limit.scalar() == "7s"
        with db.sync_session() as sync:
            assert sync.exec(text("SHOW statement_timeout")).scalar() == "7s"


async def test_health_tells_of_a_database_that_answers(db):
    health = await db.health()

    assert (health.ok, health.reason, health.busy, health.budget) == (True, None, 0, 6)
    assert 0 < health.seconds < 5


async def test_health_tells_of_a_database_that_is_gone():
    db = Database("postgresql://u:hunter2@127.0.0.1:1/d")
    await db.open(wait=False)

    health = await db.health()

    assert (health.ok, health.reason) == (
        False,
        "The database cannot be reached at the moment.",
    )
    await db.close()


async def test_a_full_session_lane_is_told_in_plain_text(url):
    heard = []
    async with Database(url, pool=Pool(size=2, timeout=0.1)) as db:
        db.listen(heard.append)
        async with db.transaction() as first:
            await first.exec(text("SELECT 1"))
            with pytest.raises(PoolExhausted, match="session lane gave no connection"):
                async with db.transaction() as second:
                    await second.exec(text("SELECT 1"))

    assert PoolExhaustedEvent(lane="session", size=1, waited=0.1) in heard


async def test_a_waiting_open_is_served_when_the_server_starts(tmp_path, caplog):
    server = EmbeddedPostgres(tmp_path / "late")
    server.start()
    url = server.url()
    server.stop()
    retry = Retry(attempts=100, delay=0.05, factor=1)
    db = Database(url, retry=retry)
    heard = []
    db.listen(heard.append)

    with caplog.at_level(logging.INFO, "howdah.database"):
        opening = asyncio.create_task(db.open())
        await asyncio.sleep(0.15)
        assert not opening.done()
        await asyncio.to_thread(server.start)
        await opening

    assert await db.lane.fetchval("SELECT 1") == 1
    assert heard[0] == Retried(reason="unavailable", attempt=1, delay=heard[0].delay)
    assert "waiting for postgresql://" in caplog.text
    await db.close()
    server.stop()


async def test_waiting_has_a_limit():
    db = Database("postgresql://127.0.0.1:1/d", retry=Retry(attempts=3, delay=0.01))
    heard = []
    db.listen(heard.append)

    with pytest.raises(Unavailable):
        async with db:
            pass

    assert [event.attempt for event in heard if isinstance(event, Retried)] == [1, 2]
    assert "closed" in repr(db)


async def test_a_database_that_does_not_exist_is_not_waited_for(url):
    db = Database(DatabaseURL.parse(url).with_database("no_such_database"))

    async with asyncio.timeout(0.9):
        with pytest.raises(Unavailable, match="does not exist"):
            await db.open()
    await db.close()


def demand_a_password(admin: psycopg.Connection, role: str) -> None:
    hba = Path(admin.execute("SHOW hba_file").fetchone()[0])
    hba.write_text(f"local all {role} scram-sha-256\n{hba.read_text()}")


@pytest.mark.slow
async def test_a_wrong_password_is_not_waited_for_and_never_shown(tmp_path):
    with EmbeddedPostgres(tmp_path / "strict") as server:
        with psycopg.connect(server.url(), autocommit=True) as admin:
            admin.execute("CREATE ROLE app LOGIN PASSWORD 'right'")
            demand_a_password(admin, "app")
            admin.execute("SELECT pg_reload_conf()")
        address = DatabaseURL.parse(server.url())
        fields = {"user": "app", "hosts": address.hosts, "database": "postgres"}

        async with Database(DatabaseURL(**fields, password="right")):
            pass
        wrong = Database(DatabaseURL(**fields, password="hunter2"))
        async with asyncio.timeout(0.9):
            with pytest.raises(Unavailable, match="refused the connection") as caught:
                await wrong.open()
        await wrong.close()

        assert "hunter2" not in f"{caught.value!r} {caught.value.__cause__!r} {wrong!r}"


async def test_statements_of_all_doors_are_told(db):
    heard = []
    db.listen(heard.append)

    await db.lane.fetchval("SELECT 1")
    async with db.transaction() as session:
        await session.exec(text("SELECT 2"))
        await fail(session)
        await session.rollback()
    with db.sync_session() as sync:
        sync.exec(text("SELECT 3"))

    told = [event for event in heard if isinstance(event, StatementFinished)]
    assert [(event.statement, event.lane, event.failed) for event in told] == [
        ("SELECT 1", "fast", False),
        ("SELECT 2", "session", False),
        ("SELECT 1/0", "session", True),
        ("SELECT 3", "session", False),
    ]
    assert all(event.seconds > 0 for event in told)


async def test_two_that_open_at_once_open_one(url):
    db = Database(url)

    await asyncio.gather(db.open(), db.open())

    await db.close()
    assert db.busy == 0
