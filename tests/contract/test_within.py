"""The port within a condition: there are no rows beyond it, and none is made there."""

import json

import pytest
from contract.models import Books
from sqlalchemy import and_, false, or_

from howdah.errors import Forbidden, NotFound, StaleVersion
from howdah.paging import OffsetPage
from howdah.query import Query

pytestmark = pytest.mark.anyio

ALL = Query(active_only=False)


@pytest.fixture
async def books(store_of):
    """Two thin books, 1 and 2, and two thick ones."""
    store = store_of(Books)
    for title, pages in (("a", 1), ("b", 1), ("c", 2), ("d", 2)):
        await store.create({"title": title, "pages": pages})
    return store


async def rows(store):
    return json.loads((await store.list(ALL, OffsetPage())).body)


@pytest.mark.parametrize(
    "condition",
    [
        pytest.param(lambda book: book.pages == 1, id="equal"),
        pytest.param(lambda book: book.pages.in_([1, 7]), id="in"),
        pytest.param(lambda book: and_(book.pages < 2, book.title != "z"), id="and"),
        pytest.param(lambda book: or_(book.pages == 1, book.pages == 9), id="or"),
        pytest.param(lambda book: book.pages.not_in([2]), id="not in"),
    ],
)
async def test_there_are_no_rows_beyond_a_condition(books, book, condition):
    thin = books.within(condition(book))
    before = await rows(books)

    assert [row["title"] for row in await rows(thin)] == ["a", "b"]
    assert await thin.count(ALL) == 2
    for act in (
        lambda: thin.get(3),
        lambda: thin.update(3, {}),
        lambda: thin.update(3, {"pages": 1}),
        lambda: thin.update(3, {"pages": 1}, match=("0",)),
        lambda: thin.delete(3, hard=False),
        lambda: thin.delete(3, hard=True, match=("0",)),
        lambda: thin.restore(3),
    ):
        with pytest.raises(NotFound):
            await act()

    assert await rows(books) == before
    with pytest.raises(StaleVersion):
        await thin.delete(1, hard=True, match=("0",))


@pytest.mark.parametrize(
    "condition",
    [
        pytest.param(lambda book: book.pages == 1, id="equal"),
        pytest.param(lambda book: book.pages < 2, id="less"),
        pytest.param(lambda book: book.pages.in_([1]), id="in"),
    ],
)
async def test_no_row_is_moved_beyond_a_condition(books, book, condition):
    thin = books.within(condition(book))
    before = await rows(books)

    with pytest.raises(Forbidden):
        await thin.update(1, {"pages": 2})
    with pytest.raises(Forbidden):
        await thin.update(1, {"pages": None})

    assert await rows(books) == before
    await thin.update(1, {"title": "e", "pages": 1})


async def test_no_row_is_made_beyond_a_condition(books, book):
    thin = books.within(book.pages < 2)
    before = await rows(books)

    with pytest.raises(Forbidden):
        await thin.create({"title": "e", "pages": 2})
    with pytest.raises(Forbidden):
        await thin.create_many(
            [{"title": "e", "pages": 1}, {"title": "f", "pages": None}]
        )
    with pytest.raises(Forbidden):
        await books.within(false()).create({"title": "e", "pages": 1})

    assert await rows(books) == before


async def test_new_rows_get_what_a_condition_demands(books, book):
    thin = books.within(and_(book.pages == 1, book.lent.is_(False)))

    await thin.create({"title": "e", "pages": 5, "lent": True})
    await thin.create_many([{"title": "f"}, {"title": "g"}])

    made = [row for row in await rows(books) if row["title"] in "efg"]
    assert [(row["pages"], row["lent"]) for row in made] == [(1, False)] * 3


async def test_conditions_inside_each_other_are_both_met(books, book):
    one = books.within(book.pages == 1).within(book.title == "b")

    assert [row["id"] for row in await rows(one)] == [2]
    assert len(await rows(books)) == 4
