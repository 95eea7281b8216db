"""Transactions in each other's way: `db.run` repeats the whole unit of work."""

import asyncio
from itertools import permutations

import pytest
from catalogue import Category, assert_problem, client_of
from fastapi import FastAPI
from shop import create_shop
from sqlmodel import func, select, text

from howdah import Database, connect
from howdah.errors import Contention, Duplicate
from howdah.events import Retried

pytestmark = pytest.mark.anyio


@pytest.fixture
async def db(database_url):
    create_shop(database_url)
    async with Database(database_url) as db:
        async with db.transaction() as session:
            await session.exec(text("CREATE TABLE ledger (name text, amount int)"))
            await session.exec(text("INSERT INTO ledger VALUES ('a', 10), ('b', 20)"))
        yield db


class Meeting:
    """Where the first attempts wait for each other; later ones pass."""

    def __init__(self, parties):
        self.barrier = asyncio.Barrier(parties)
        self.attempts = 0

    async def wait(self):
        self.attempts += 1
        if self.attempts <= self.barrier.parties:
            await self.barrier.wait()


async def ledger(db):
    async with db.transaction() as session:
        rows = (await session.exec(text("SELECT name, amount FROM ledger"))).all()
    return sorted(tuple(row) for row in rows)


def insert_sum(read, write):
    """Read the sum of one name and store it under another, as one unit of work."""

    async def work(session, meeting=None):
        total = (
            await session.exec(
                text("SELECT sum(amount) FROM ledger WHERE name = :name"),
                params={"name": read},
            )
        ).scalar_one()
        if meeting:
            await meeting.wait()
        await session.exec(
            text("INSERT INTO ledger VALUES (:name, :total)"),
            params={"name": write, "total": total},
        )

    return work


SKEW = [insert_sum("a", "b"), insert_sum("b", "a")]


async def test_write_skew_ends_as_if_one_had_gone_first(db):
    retried = []
    db.listen(retried.append)
    meeting = Meeting(len(SKEW))

    await asyncio.gather(
        *(
            db.run(lambda session, work=work: work(session, meeting), isolation=SERIAL)
            for work in SKEW
        )
    )

    after = await ledger(db)
    assert meeting.attempts > len(SKEW)
    assert any(isinstance(event, Retried) for event in retried)
    assert after in await _serial_outcomes(db)


SERIAL = "SERIALIZABLE"


async def _serial_outcomes(db):
    """Return what each order of the works leaves when nobody is in their way."""
    outcomes = []
    for order in permutations(SKEW):
        async with db.transaction() as session:
            await session.exec(text("TRUNCATE ledger"))
            await session.exec(text("INSERT INTO ledger VALUES ('a', 10), ('b', 20)"))
            for work in order:
                await work(session)
        outcomes.append(await ledger(db))
    return outcomes


async def test_a_deadlock_is_resolved_by_running_the_loser_again(db):
    meeting = Meeting(2)

    def transfer(first, second):
        async def work(session):
            await session.exec(text("SET LOCAL deadlock_timeout = '50ms'"))
            await session.exec(_add(first))
            await meeting.wait()
            await session.exec(_add(second))

        return work

    await asyncio.gather(db.run(transfer("a", "b")), db.run(transfer("b", "a")))

    assert meeting.attempts > 2
    assert await ledger(db) == [("a", 12), ("b", 22)]


def _add(name):
    return text(f"UPDATE ledger SET amount = amount + 1 WHERE name = '{name}'")


async def test_lost_updates_do_not_happen_under_repeatable_read(db):
    async def add_one(session):
        amount = (
            await session.exec(text("SELECT amount FROM ledger WHERE name = 'a'"))
        ).scalar_one()
        await session.exec(
            text("UPDATE ledger SET amount = :amount WHERE name = 'a'"),
            params={"amount": amount + 1},
        )

    await asyncio.gather(
        *(db.run(add_one, isolation="REPEATABLE READ", attempts=50) for _ in range(5))
    )

    assert ("a", 15) in await ledger(db)


LOSE = text("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40001'; END $$")


@pytest.mark.parametrize("attempts", [1, 3])
async def test_who_always_loses_gives_up_with_contention(db, attempts):
    runs = 0

    async def lose(session):
        nonlocal runs
        runs += 1
        session.add(Category(name="Rock"))
        await session.flush()
        await session.exec(LOSE)

    with pytest.raises(Contention):
        await db.run(lose, attempts=attempts)

    assert runs == attempts
    async with db.transaction() as session:
        assert (
            await session.exec(select(func.count()).select_from(Category))
        ).one() == 0
    assert db.busy == 0


async def test_other_failures_are_not_repeated(db):
    runs = 0

    async def insert_twice(session):
        nonlocal runs
        runs += 1
        session.add_all([Category(name="Rock"), Category(name="Rock")])
        await session.flush()

    with pytest.raises(Duplicate) as caught:
        await db.run(insert_twice)

    assert runs == 1
    assert caught.value.fields == ("name",)


async def test_contention_is_503_for_a_client(db):
    app = FastAPI()
    connect(app, db)

    @app.post("/lose")
    async def lose() -> None:
        await db.run(lambda session: session.exec(LOSE), attempts=2)

    async with client_of(app) as client:
        response = await client.post("/lose")

    assert_problem(response, 503, "contention")
    assert response.headers["retry-after"] == "1"


async def test_twenty_racers_for_one_name_make_one_row(db):
    async def take(session):
        session.add(Category(name="Rock"))

    results = await asyncio.gather(
        *(db.run(take) for _ in range(20)), return_exceptions=True
    )

    lost = [result for result in results if isinstance(result, Duplicate)]
    assert len(lost) == 19
    assert results.count(None) == 1
