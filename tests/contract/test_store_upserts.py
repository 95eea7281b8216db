"""The port's upserts: a row is made, or the known one changed."""

import asyncio
import json
from uuid import UUID

import pytest
from contract.models import Books, Countries, Shelves

from howdah.errors import Duplicate, Invalid
from howdah.paging import OffsetPage
from howdah.query import Query

pytestmark = pytest.mark.anyio

EMMA = {"title": "Emma", "isbn": UUID(int=1), "pages": 7, "blurb": "x"}
ON = ("isbn",)


async def all_of(store):
    found = await store.list(Query(active_only=False), OffsetPage())
    return json.loads(found.body)


def read(row):
    return json.loads(row.body)


@pytest.fixture
def books(store_of):
    return store_of(Books)


async def test_what_is_not_known_is_made(books):
    row = await books.upsert(EMMA, on=ON, changing=("title", "pages"))

    assert (row.created, row.key) == (True, 1)
    assert [read(row)[name] for name in ("title", "pages", "blurb")] == ["Emma", 7, "x"]
    assert read(row)["updated_at"] is None
    assert read(row) == read(await books.get(1))
    assert row.tag == (await books.get(1)).tag


async def test_what_is_known_changes_as_far_as_it_may(books):
    made = await books.upsert(EMMA, on=ON, changing=())
    given = {"title": "E.", "isbn": UUID(int=1), "pages": None, "blurb": None}

    row = await books.upsert(given, on=ON, changing=("title", "pages"))

    assert (row.created, row.key) == (False, 1)
    assert read(row) == {
        **read(made),
        "title": "E.",
        "pages": None,
        "updated_at": read(row)["updated_at"],
    }
    assert read(row)["updated_at"] is not None
    assert row.tag == (await books.get(1)).tag != made.tag
    assert len(await all_of(books)) == 1


async def test_what_is_known_may_stay_as_it_is(books):
    made = await books.upsert(EMMA, on=ON, changing=())

    row = await books.upsert({**EMMA, "title": "no"}, on=ON, changing=())

    assert (row.created, read(row)) == (False, read(made))


async def test_what_was_deleted_is_there_again(books):
    await books.upsert(EMMA, on=ON, changing=())
    await books.delete(1, hard=False)

    row = await books.upsert({**EMMA, "pages": 9}, on=ON, changing=("pages",))

    assert (row.created, row.key) == (False, 1)
    assert (read(row)["is_active"], read(row)["pages"]) == (True, 9)


async def test_what_was_deleted_is_not_in_the_way_of_a_partial_index(store_of):
    countries = store_of(Countries)
    await countries.upsert({"id": "AT", "name": "A"}, on=("name",), changing=())
    await countries.delete("AT", hard=False)

    new = await countries.upsert({"id": "AU", "name": "A"}, on=("name",), changing=())
    known = await countries.upsert({"id": "AZ", "name": "A"}, on=("name",), changing=())

    assert (new.created, new.key) == (True, "AU")
    assert (known.created, known.key) == (False, "AU")
    assert [row["id"] for row in await all_of(countries)] == ["AT", "AU"]


async def test_another_value_that_is_taken_is_refused(store_of):
    countries = store_of(Countries)
    await countries.create_many([{"id": c, "name": c} for c in ("AT", "BE")])

    with pytest.raises(Duplicate) as caught:
        await countries.upsert({"id": "AT", "name": "C"}, on=("name",), changing=())

    assert caught.value.fields == ("id",)
    assert [row["name"] for row in await all_of(countries)] == ["AT", "BE"]


async def test_a_batch_makes_and_changes_in_the_order_given(books):
    await books.create_many(
        [{**EMMA, "isbn": UUID(int=n), "title": f"{n}"} for n in (1, 2)]
    )
    rows = [
        {"title": "new", "isbn": UUID(int=3), "pages": 3, "blurb": "n"},
        {"title": "b", "isbn": UUID(int=2), "pages": 5, "blurb": None},
        {"title": "a", "isbn": UUID(int=1), "pages": None, "blurb": "no"},
    ]

    body = await books.upsert_many(
        rows, on=ON, changing=[("title",), ("title", "pages"), ("blurb", "pages")]
    )

    shown = [
        tuple(row[name] for name in ("title", "pages", "blurb"))
        for row in json.loads(body)
    ]
    assert shown == [("new", 3, "n"), ("b", 5, "x"), ("1", None, "no")]
    assert len(await all_of(books)) == 3
    touched = [row["updated_at"] is not None for row in json.loads(body)]
    assert touched == [False, True, True]


async def test_a_batch_that_gives_a_value_twice_changes_nothing(books):
    rows = [{**EMMA, "isbn": UUID(int=n)} for n in (1, 2, 1)]

    with pytest.raises(Invalid) as caught:
        await books.upsert_many(rows, on=ON, changing=[()] * 3)

    assert [(e.field, e.index) for e in caught.value.errors] == [("isbn", 2)]
    assert await all_of(books) == []


async def test_an_empty_batch_of_upserts_does_nothing(books):
    assert await books.upsert_many([], on=ON, changing=[]) == b"[]"


async def test_of_many_at_once_one_makes_the_row(store_of):
    shelves = store_of(Shelves)

    rows = await asyncio.gather(
        *(shelves.upsert({"name": "a"}, on=("name",), changing=()) for _ in range(30))
    )

    assert [row.created for row in rows].count(True) == 1
    assert len({row.key for row in rows}) == 1
