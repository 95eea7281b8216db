"""Rows as objects: every verb, over a session that somebody else commits."""

# ruff: noqa: PT012 - what raises is often the end of the block

import asyncio
from decimal import Decimal
from uuid import uuid4

import pytest
from catalogue import (
    Category,
    Item,
    ItemCreate,
    ItemRepository,
    ItemUpdate,
    create_tables,
)
from databases import emptying
from sqlalchemy import String, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from howdah import Database, Repository, TimestampColumns
from howdah.errors import (
    Conflict,
    Duplicate,
    Invalid,
    Misconfigured,
    MissingReference,
    NotFound,
    StillReferenced,
    Timeout,
)
from howdah.repository import SyncRepository
from howdah.settings import Pool, Timeouts

pytestmark = pytest.mark.anyio


class Base(DeclarativeBase):
    pass


class User(TimestampColumns, Base):
    __tablename__ = "repository_users"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column("mail", String(50), unique=True)


class Categories(Repository[Category]):
    pass


class UserRepository(Repository[User]):
    """As in the seeds: a constructor of its own, and a query of its own."""

    def __init__(self, session):
        super().__init__(session)
        self.calls = 0

    async def get_by_email(self, email: str) -> User | None:
        self.calls += 1
        rows = await self.list(User.email == email)
        return rows[0] if rows else None


@pytest.fixture(scope="module")
def url(server):
    name = f"repository_{uuid4().hex[:12]}"
    server.create_database(name)
    yield server.url(name)
    server.drop_database(name)


@pytest.fixture
async def db(url):
    limits = Timeouts(lock=0.2)
    async with Database(url, pool=Pool(size=6), timeouts=limits) as db:
        await create_tables(db)
        async with db.engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
            tables = [t.__table__ for t in (Category, Item, User)]
            await connection.exec_driver_sql(emptying(tables))
        yield db


@pytest.fixture
async def session(db):
    async with db.transaction() as session:
        yield session


def item(name: str, **values) -> ItemCreate:
    return ItemCreate(name=name, price=Decimal(1), **values)


async def test_a_row_is_created_with_what_the_database_adds(session):
    row = await ItemRepository(session).create(item("a"))

    assert (row.id, row.name, row.updated_at) == (1, "a", None)
    assert row.created_at.tzinfo is not None


async def test_values_may_be_a_mapping(session):
    row = await Categories(session).create({"name": "Rock"})

    assert (row.id, row.name) == (1, "Rock")


async def test_a_row_is_got_and_found(session):
    items = ItemRepository(session)
    row = await items.create(item("a"))

    assert await items.get(1) is row
    assert await items.find(1) is row
    assert await items.find(2) is None
    assert await items.find(2**31) is None
    assert await items.find(-(2**70)) is None
    with pytest.raises(NotFound, match=r"^Item ID 2 not found$") as caught:
        await items.get(2)
    assert (caught.value.model, caught.value.key) == ("Item", 2)


async def test_many_rows_are_got_in_the_order_given(session):
    items = ItemRepository(session)
    one, two, three = await items.create_many([item("a"), item("b"), item("c")])

    assert await items.get_each([3, 1, 2]) == [three, one, two]
    assert await items.get_each((2, 2)) == [two, two]
    assert await items.get_each([]) == []
    with pytest.raises(NotFound, match=r"^Item ID 4 not found$"):
        await items.get_each(range(1, 40_000), lock=True)
    for missing in (4, -(2**70)):
        with pytest.raises(NotFound, match=rf"^Item ID {missing} not found$"):
            await items.get_each([1, missing, 5])


async def test_many_rows_are_got_without_await(db):
    class SyncItems(SyncRepository[Item]):
        pass

    async with db.transaction() as session:
        await ItemRepository(session).create_many([item("a"), item("b")])

    with db.sync_session() as session:
        rows = SyncItems(session).get_each([2, 1], lock=True)
        with pytest.raises(NotFound):
            SyncItems(session).get_each([3])

    assert [row.name for row in rows] == ["b", "a"]


async def test_rows_that_are_locked_are_as_they_are_now(db):
    async with db.transaction() as session:
        await ItemRepository(session).create(item("a"))

    async with db.transaction() as session:
        items = ItemRepository(session)
        row = await items.get(1)
        async with db.transaction() as other:
            await ItemRepository(other).update(1, {"name": "b"})
        assert row.name == "a"

        assert await items.get_each([1], lock=True) == [row]
        assert row.name == "b"


async def test_rows_are_locked_in_the_order_of_keys(db):
    """Else two who give keys in opposite orders would wait for each other for good."""
    async with db.transaction() as session:
        await ItemRepository(session).create_many([item("a"), item("b")])
    attempts = []

    def swap(keys):
        async def work(session):
            attempts.append(keys)
            rows = await ItemRepository(session).get_each(keys, lock=True)
            rows[0].price += 1
            rows[1].price += 1

        return db.run(work)

    await asyncio.gather(*(swap(keys) for keys in ([1, 2], [2, 1]) * 10))

    assert len(attempts) == 20
    async with db.transaction() as session:
        rows = await ItemRepository(session).get_each([1, 2])
        assert [row.price for row in rows] == [21, 21]


async def test_rows_are_listed_in_the_order_of_keys(session):
    items = ItemRepository(session)
    await items.create_many([item(f"n{n}") for n in range(5)])

    assert [row.id for row in await items.list(skip=1, limit=3)] == [2, 3, 4]
    assert [row.id for row in await items.list(Item.id > 2, Item.id < 5)] == [3, 4]
    newest = await items.list(order_by=[Item.price, Item.name.desc()], limit=2)
    assert [row.name for row in newest] == ["n4", "n3"]


async def test_rows_are_counted_and_asked_for(session):
    items = ItemRepository(session)
    assert (await items.count(), await items.exists()) == (0, False)

    await items.create_many([item("a"), item("b")])

    assert (await items.count(), await items.exists()) == (2, True)
    assert await items.count(Item.name == "a") == 1
    assert await items.exists(Item.name == "c") is False


async def test_no_rows_are_created_of_none(session):
    assert await ItemRepository(session).create_many([]) == []


async def test_an_update_changes_what_was_set_and_nothing_else(session):
    items = ItemRepository(session)
    await items.create(item("a", description="kept"))

    row = await items.update(1, ItemUpdate(name="b", tax=None))

    assert (row.name, row.description, row.tax) == ("b", "kept", None)
    assert row.updated_at is not None


async def test_an_update_of_nothing_changes_nothing(session):
    items = ItemRepository(session)
    await items.create(item("a"))

    row = await items.update(1, ItemUpdate())

    assert (row.name, row.updated_at) == ("a", None)


@pytest.mark.parametrize("repository", [Categories, UserRepository])
async def test_an_update_of_what_a_model_has_not_is_refused(session, repository):
    rows = repository(session)
    values = {"name": "a"} if repository is Categories else {"email": "a"}
    await rows.create(values)

    with pytest.raises(Misconfigured, match=r"has no nmae; it has .*id"):
        await rows.update(1, {"nmae": "b"})


async def test_a_row_is_deleted(session):
    items = ItemRepository(session)
    await items.create(item("a"))

    await items.delete(1)

    assert await items.find(1) is None
    with pytest.raises(NotFound):
        await items.delete(1)
    with pytest.raises(NotFound):
        await items.update(1, ItemUpdate(name="x"))


async def test_errors_are_howdahs_and_name_the_fields(db):
    async def refused(cls, work):
        with pytest.raises(cls) as caught:
            await db.run(work)
        return caught.value.fields

    async def twice(session):
        await Categories(session).create_many([{"name": "x"}, {"name": "x"}])

    async def orphan(session):
        await ItemRepository(session).create(item("a", category_id=99))

    async def nameless(session):
        await Categories(session).create({"name": None})

    async def lengthy(session):
        await Categories(session).create({"name": "x" * 51})

    assert await refused(Duplicate, twice) == ("name",)
    assert await refused(MissingReference, orphan) == ("category_id",)
    assert await refused(Invalid, nameless) == ("name",)
    assert await refused(Invalid, lengthy) == ()


async def test_a_row_that_others_refer_to_cannot_be_deleted(db):
    async with db.transaction() as session:
        await Categories(session).create({"name": "Rock"})
        await ItemRepository(session).create(item("a", category_id=1))

    with pytest.raises(StillReferenced):
        async with db.transaction() as session:
            await Categories(session).delete(1)


async def test_an_error_in_a_savepoint_can_be_survived(db):
    async with db.transaction() as session:
        categories = Categories(session)
        await categories.create({"name": "Rock"})
        with pytest.raises(Conflict):
            async with session.begin_nested():
                await categories.create({"name": "Rock"})
        await categories.create({"name": "Pop"})

    async with db.transaction() as session:
        assert await Categories(session).count() == 2


async def test_a_row_is_created_unless_a_value_is_taken(db):
    async with db.transaction() as session:
        categories = Categories(session)
        made = await categories.create_unless_taken({"name": "Rock"})
        taken = await categories.create_unless_taken({"name": "Rock"})
        other = await categories.create_unless_taken({"name": "Pop"})

    assert taken is None
    assert (made.name, other.name) == ("Rock", "Pop")
    async with db.transaction() as session:
        assert await Categories(session).count() == 2


async def test_only_what_is_taken_is_none(db):
    with pytest.raises(MissingReference):
        async with db.transaction() as session:
            items = ItemRepository(session)
            await items.create_unless_taken(item("a", category_id=99))


async def test_of_many_who_create_the_same_row_one_does(db):
    async def create():
        async with db.transaction() as session:
            return await Categories(session).create_unless_taken({"name": "Rock"})

    made = await asyncio.gather(*(create() for _ in range(6)))

    assert sum(row is not None for row in made) == 1


async def test_a_row_is_created_unless_taken_without_await(db):
    class SyncCategories(SyncRepository[Category]):
        pass

    with db.sync_session() as session:
        made = [
            SyncCategories(session).create_unless_taken({"name": name})
            for name in ("Rock", "Rock", "Pop")
        ]

    assert [row and row.name for row in made] == ["Rock", None, "Pop"]


async def test_a_locked_row_makes_other_writers_wait(db):
    async with db.transaction() as session:
        await Categories(session).create({"name": "Rock"})

    async with db.transaction() as session:
        await Categories(session).get(1, lock=True)
        with pytest.raises(Timeout):
            async with db.transaction() as other:
                await Categories(other).update(1, {"name": "Pop"})


async def test_no_update_is_lost_under_a_lock(db):
    async with db.transaction() as session:
        await ItemRepository(session).create(item("a"))

    async def add(session):
        await session.exec(text("SET LOCAL lock_timeout = 0"))
        items = ItemRepository(session)
        row = await items.get(1, lock=True)
        await items.update(1, {"price": row.price + 1})

    await asyncio.gather(*(db.run(add) for _ in range(8)))

    async with db.transaction() as session:
        assert (await ItemRepository(session).get(1)).price == 9


async def test_several_repositories_make_one_unit_of_work(db):
    with pytest.raises(MissingReference):
        async with db.transaction() as session:
            await Categories(session).create({"name": "Rock"})
            await ItemRepository(session).create(item("a", category_id=7))

    async with db.transaction() as session:
        assert await Categories(session).count() == 0


async def test_a_declarative_model_has_all_the_verbs(session):
    users = UserRepository(session)
    user = await users.create({"email": "a@example.org"})

    assert await users.get_by_email("a@example.org") is user
    assert await users.get_by_email("b@example.org") is None
    changed = await users.update(user.id, {"email": "c@example.org"})
    assert changed.updated_at is not None
    assert users.calls == 2
    assert await users.exists(User.email == "c@example.org")


@pytest.mark.parametrize(("key", "error"), [(2**40, NotFound), ("abc", Invalid)])
async def test_no_row_has_a_key_that_the_column_cannot_hold(db, key, error):
    with pytest.raises(error):
        async with db.transaction() as session:
            await ItemRepository(session).get(key)


def test_a_repository_without_a_model_is_refused():
    class Nameless(Repository):
        pass

    with pytest.raises(Misconfigured, match=r"as class Nameless\(Repository\[Model\]"):
        Nameless(None)


def test_a_repository_of_a_repository_keeps_the_model():
    class Special(UserRepository):
        pass

    assert Special.model is User
    assert repr(Special(None)) == "Special(User)"
