"""The port's batches by key: all rows or none, in the order given, errors by index."""

import json

import pytest
from contract.models import Books, Countries, Lines

from howdah.errors import Duplicate, Invalid, NotFound
from howdah.paging import OffsetPage
from howdah.query import Query

pytestmark = pytest.mark.anyio


@pytest.fixture
async def books(store_of):
    """Three books; the second cannot be told by its number of pages."""
    store = store_of(Books)
    await store.create_many(
        [{"title": t, "pages": p} for t, p in [("Emma", 1), ("Kim", None), ("She", 3)]]
    )
    return store


async def all_of(store):
    found = await store.list(Query(active_only=False), OffsetPage())
    return json.loads(found.body)


def blame(caught):
    return [(e.field, e.index, e.code) for e in caught.value.errors]


async def test_each_row_of_a_batch_changes_what_it_gives(books):
    before = await all_of(books)
    tag = (await books.get(2)).tag

    body = await books.update_many(
        [{"id": 3, "pages": None}, {"id": 2}, {"id": 1, "title": "E.", "pages": 9}]
    )

    rows = json.loads(body)
    assert [(r["id"], r["title"], r["pages"]) for r in rows] == [
        (3, "She", None),
        (2, "Kim", None),
        (1, "E.", 9),
    ]
    assert [row["updated_at"] is None for row in rows] == [False, True, False]
    assert rows[1] == before[1]
    assert (await books.get(2)).tag == tag


async def test_a_batch_that_names_an_absent_row_changes_nothing(books):
    before = await all_of(books)

    with pytest.raises(NotFound, match="Book ID 8 and 1 more not found") as changed:
        await books.update_many([{"id": n, "pages": 5} for n in (1, 8, 9)])
    with pytest.raises(NotFound, match="Book ID 8 not found") as deleted:
        await books.delete_many([1, 2, 8], hard=True)
    with pytest.raises(NotFound) as large:
        await books.delete_many([1, 2**80], hard=True)

    assert blame(changed) == [("id", 1, "not_found"), ("id", 2, "not_found")]
    assert blame(deleted) == [("id", 2, "not_found")]
    assert blame(large) == [("id", 1, "not_found")]
    assert await all_of(books) == before


async def test_a_batch_that_names_a_row_twice_changes_nothing(books):
    before = await all_of(books)

    with pytest.raises(Invalid) as changed:
        await books.update_many([{"id": n, "pages": 5} for n in (1, 2, 1)])
    with pytest.raises(Invalid) as deleted:
        await books.delete_many([3, 3], hard=False)

    assert blame(changed) == [("id", 2, "invalid")]
    assert blame(deleted) == [("id", 1, "invalid")]
    assert await all_of(books) == before


async def test_a_batch_that_takes_a_value_changes_nothing(store_of):
    countries = store_of(Countries)
    await countries.create_many([{"id": c, "name": c} for c in ("AT", "BE", "CH")])

    with pytest.raises(Duplicate):
        await countries.update_many(
            [{"id": "BE", "name": "B"}, {"id": "CH", "name": "AT"}]
        )

    assert [row["name"] for row in await all_of(countries)] == ["AT", "BE", "CH"]


async def test_rows_are_marked_together_and_removed_together(books, store_of):
    await books.delete_many([3, 1], hard=False)
    marked = await all_of(books)
    await books.delete_many([1, 2], hard=True)

    assert [row["is_active"] for row in marked] == [False, True, False]
    assert [row["updated_at"] is None for row in marked] == [False, True, False]
    assert [row["id"] for row in await all_of(books)] == [3]


async def test_rows_with_a_moment_of_deletion_are_gone_for_batches(store_of):
    countries = store_of(Countries)
    await countries.create_many([{"id": c, "name": c} for c in ("AT", "BE", "CH")])
    await countries.delete_many(["AT"], hard=False)

    with pytest.raises(NotFound) as changed:
        await countries.update_many([{"id": "AT", "name": "Austria"}])
    with pytest.raises(NotFound) as deleted:
        await countries.delete_many(["BE", "AT"], hard=False)

    assert blame(changed) == [("id", 0, "not_found")]
    assert blame(deleted) == [("id", 1, "not_found")]
    await countries.delete_many(["BE", "AT"], hard=True)
    assert [row["id"] for row in await all_of(countries)] == ["CH"]


async def test_keys_of_two_columns_name_rows_of_a_batch(books, store_of):
    lines = store_of(Lines)
    await lines.create_many(
        [{"book_id": b, "number": n, "text": "x"} for b in (1, 2) for n in (1, 2)]
    )

    body = await lines.update_many(
        [
            {"book_id": 2, "number": 1, "text": "tea"},
            {"book_id": 1, "number": 2, "text": "jam"},
        ]
    )
    with pytest.raises(NotFound) as caught:
        await lines.delete_many([(1, 1), (3, 1)], hard=True)
    await lines.delete_many([(1, 1), (2, 2)], hard=True)

    assert [row["text"] for row in json.loads(body)] == ["tea", "jam"]
    assert [(e.field, e.index) for e in caught.value.errors] == [
        ("book_id", 1),
        ("number", 1),
    ]
    assert [row["text"] for row in await all_of(lines)] == ["jam", "tea"]


async def test_an_empty_batch_changes_nothing(books):
    assert await books.update_many([]) == b"[]"
    await books.delete_many([], hard=True)

    assert len(await all_of(books)) == 3
