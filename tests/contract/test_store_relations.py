"""The port: rows beside rows. What only some stores can do, `backends` says."""

import json

import pytest
from contract.models import FullShelves, Readers, Shelf, ShelvedBooks
from pydantic import BaseModel
from sqlalchemy import Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from howdah import Resource
from howdah.errors import MissingReference
from howdah.paging import OffsetPage
from howdah.query import Query, Show
from howdah.search import FullText, search_vector

pytestmark = pytest.mark.anyio


@pytest.fixture
async def books(store_of):
    """Two books of the first of two shelves, and one of none."""
    await store_of(FullShelves).create_many([{"name": "a"}, {"name": "b"}])
    books = store_of(ShelvedBooks)
    rows = [("y", 1), ("x", 1), ("z", None)]
    await books.create_many([{"title": t, "shelf_id": shelf} for t, shelf in rows])
    return books


def read(answer):
    return json.loads(answer.body)


async def test_the_row_that_a_row_refers_to_is_shown_inside(books):
    show = Show(fields=("title",), include=("shelf",))

    found = await books.list(Query(show=show), OffsetPage())

    a = {"id": 1, "name": "a"}
    assert read(found) == [
        {"title": "y", "shelf": a},
        {"title": "x", "shelf": a},
        {"title": "z", "shelf": None},
    ]


async def test_the_rows_that_refer_to_a_row_are_shown_inside(books, store_of):
    shelves = store_of(FullShelves)

    full = read(await shelves.get(1, show=Show(include=("books",))))
    empty = read(await shelves.get(2, show=Show(include=("books",))))

    assert [book["title"] for book in full["books"]] == ["x", "y"]
    assert empty == {"id": 2, "name": "b", "books": []}


async def test_rows_are_related_to_many_and_let_go(books, store_of):
    readers = store_of(Readers)
    await readers.create_many([{"name": "Ada"}, {"name": "Bob"}])

    await readers.relate(1, "books", "set", [3, 1])
    await readers.relate(2, "books", "add", [1])
    await readers.relate(1, "books", "remove", [3])

    assert json.loads(await readers.related(1, "books")) == [1]
    assert json.loads(await readers.related(2, "books")) == [1]
    with pytest.raises(MissingReference):
        await readers.relate(1, "books", "add", [9])


async def test_a_condition_may_ask_another_table(books, book):
    shelved = books.within(book.shelf.has(Shelf.name == "a"))

    found = read(await shelved.list(Query(), OffsetPage()))

    assert [row["title"] for row in found] == ["y", "x"]


class Words(DeclarativeBase):
    pass


@search_vector("title", language="english")
class Poem(Words):
    __tablename__ = "poems"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(Text)


class PoemWrite(BaseModel):
    title: str


class PoemRead(PoemWrite):
    id: int


class Poems(Resource[Poem]):
    create_schema = update_schema = PoemWrite
    read_schema = PoemRead
    search = FullText()


async def test_a_search_by_words_finds_the_best_first(backend, db):
    poems = backend.resource(Poems, db).store
    # Where a store is refused or knows no words, nobody has to make it a table.
    if getattr(db, "dialect", None) == "postgresql":
        async with db.engine.begin() as connection:
            await connection.run_sync(Words.metadata.drop_all)
            await connection.run_sync(Words.metadata.create_all)
    titles = ["A rose", "Roses, a rose is a rose", "No flower", "The rose: roses"]
    await poems.create_many([{"title": title} for title in titles])

    found = await poems.list(Query(search="rose"), OffsetPage())

    assert [row["id"] for row in read(found)] == [2, 4, 1]
