"""What is shown of a row: some of its fields, and its relations, in one statement."""

import datetime as dt
import json
import random

import pytest
from catalogue import assert_problem, client_of
from fastapi import FastAPI
from library import (
    BOOK_TAGS,
    Author,
    Authors,
    Base,
    Book,
    BookRow,
    Books,
    BookTitle,
    Tag,
    Tags,
)
from pydantic import TypeAdapter
from sqlalchemy import insert, select
from sqlalchemy.orm import selectinload

from howdah import Database, Misconfigured, connect
from howdah.paging import KeysetPage
from howdah.query import Query, Show
from howdah.resource import Embed

pytestmark = pytest.mark.anyio

GONE = dt.datetime(2026, 1, 1, tzinfo=dt.UTC).replace(tzinfo=None)


@pytest.fixture
async def library(db):
    """Three authors, one of them deleted; books with and without all relations."""
    async with db.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with db.transaction() as session:
        session.add_all(
            [
                Author(name="Ann"),
                Author(name="Bob", deleted_at=GONE),
                Author(name="Eve"),
                *(Tag(word=w, is_active=w != "old") for w in ("new", "old", "odd")),
            ]
        )
        await session.flush()
        session.add_all(
            Book(title=title, author_id=author, sequel_of=before)
            for title, author, before in BOOKS
        )
        await session.flush()
        await session.exec(
            insert(BOOK_TAGS).values([{"book": b, "tag": t} for b, t in TAGGED])
        )
    return db


BOOKS = [
    ("One", 1, None),
    ("Two", 1, 1),
    ("Three", 2, 1),
    ("Four", None, 2),
    ("Five", 1, None),
    ("Six", 1, None),
]
TAGGED = [(1, 1), (1, 2), (1, 3), (1, 3), (2, 2), (3, 3)]


@pytest.fixture
async def client(library):
    app = FastAPI()
    connect(app, library)
    for prefix, resource in (("/books", Books), ("/authors", Authors), ("/tags", Tags)):
        app.include_router(resource(library).router(prefix=prefix))
    async with client_of(app) as client:
        yield client


async def get(client, path):
    response = await client.get(path)
    assert response.status_code == 200, response.text
    return response.json()


async def test_fields_pick_what_is_shown_in_the_order_of_the_schema(client):
    rows = await get(client, "/books/?fields=author_id,title&limit=2")

    assert [list(row.items()) for row in rows] == [
        [("title", "One"), ("author_id", 1)],
        [("title", "Two"), ("author_id", 1)],
    ]
    assert await get(client, "/books/3?fields=title") == {"title": "Three"}
    assert await get(client, "/books/search?q=Fo&fields=id") == [{"id": 4}]


async def test_what_is_asked_in_another_order_is_no_other_statement(client, library):
    heard = []
    library.listen(heard.append)

    await get(client, "/books/?fields=title,id&include=author,tags")
    await get(client, "/books/?include=tags,author&fields=id,title")

    assert len(heard) == 2
    assert heard[0].statement == heard[1].statement


async def test_ever_new_questions_do_not_pile_up(library, monkeypatch):
    monkeypatch.setattr("howdah.fast.table._MOST_PLANS", 10)
    books, app = Books(library), FastAPI()
    connect(app, library)
    app.include_router(books.router(prefix="/books"))
    questions = {
        f"/books/?fields={fields}&sort={sort}&include={include}"
        for fields in ("id", "title", "id,title")
        for sort in ("title", "-title", "author_id", "title,author_id")
        for include in ("author", "tags", "author,tags")
    }

    async with client_of(app) as client:
        for question in sorted(questions):
            await get(client, question)

    assert len(questions) == 36
    assert len(books.store._plans) == 10


async def test_a_row_in_parts_keeps_its_tag(client):
    whole = await client.get("/books/1")
    part = await client.get("/books/1?fields=title")

    assert part.headers["etag"] == whole.headers["etag"]
    known = {"if-none-match": whole.headers["etag"]}
    again = await client.get("/books/1?fields=title", headers=known)
    assert again.status_code == 304


@pytest.mark.parametrize("known", ["*", "{}", "W/{}"])
async def test_a_tag_says_nothing_of_what_is_embedded(client, known):
    path = "/books/1?include=author"
    tag = (await client.get(path)).headers["etag"]
    await client.patch("/authors/1", json={"name": "Anne"})

    again = await client.get(path, headers={"if-none-match": known.format(tag)})

    assert (again.status_code, again.headers["etag"]) == (200, tag)
    assert again.json()["author"]["name"] == "Anne"


@pytest.mark.parametrize("shown", ["fields=title", "include=tags", "fields=id"])
@pytest.mark.parametrize("order", ["", "&sort=-author_id,title", "&sort=title"])
async def test_a_walk_needs_no_key_among_the_fields(client, shown, order):
    whole = await get(client, f"/books/?{shown}{order}")

    walked, page = [], await client.get(f"/books/?{shown}{order}&limit=2")
    walked += page.json()
    while "next" in page.links:
        page = await client.get(page.links["next"]["url"])
        walked += page.json()
    back = await client.get(page.links["prev"]["url"])

    assert walked == whole
    assert back.json() == whole[2:4]


async def test_a_relation_to_one_is_an_object_or_null(client):
    rows = await get(client, "/books/?include=author")

    ann = {"id": 1, "name": "Ann"}
    assert [row["author"] for row in rows] == [ann, ann, None, None, ann, ann]
    assert rows[0] == {"id": 1, "title": "One", "author_id": 1, "author": ann}
    assert (await get(client, "/books/4?include=author"))["author"] is None


async def test_a_relation_to_many_is_a_list(client):
    rows = await get(client, "/books/?include=tags&fields=title")

    new, odd = {"id": 1, "word": "new"}, {"id": 3, "word": "odd"}
    assert [row["tags"] for row in rows] == [[new, odd], [], [odd], [], [], []]


async def test_related_rows_have_their_own_order_and_limit(client):
    authors = await get(client, "/authors/?include=books")

    titles = [[book["title"] for book in author["books"]] for author in authors]
    assert titles == [["Two", "Six", "One"], []]


async def test_a_relation_may_lead_to_the_table_itself(client):
    rows = await get(client, "/books/?include=before,after&fields=title")

    assert [row["before"] and row["before"]["title"] for row in rows] == [
        None,
        "One",
        "One",
        "Two",
        None,
        None,
    ]
    assert rows[0]["after"] == [{"title": "Two"}, {"title": "Three"}]
    assert list(rows[1]["before"]) == list(BookRow.model_fields)


async def test_a_marked_row_is_embedded_where_its_own_path_shows_it(client):
    assert_problem(await client.get("/authors/2"), 404, "not_found")
    assert (await get(client, "/books/3?include=author"))["author"] is None
    assert (await get(client, "/tags/2"))["word"] == "old"
    tags = (await get(client, "/books/2?include=tags"))["tags"]
    assert tags == []


@pytest.mark.parametrize(
    "path",
    [
        "/books/search?q=One&include=author,tags",
        "/books/?title=One&include=author,tags",
        "/books/?tags__word=new&include=tags,author&sort=title&skip=0",
    ],
)
async def test_every_read_embeds(client, path):
    (row,) = await get(client, path)

    assert row["author"]["name"] == "Ann"
    assert [tag["word"] for tag in row["tags"]] == ["new", "odd"]


@pytest.mark.parametrize(
    ("query", "field", "said"),
    [
        ("include=authr", "include", "did you mean author"),
        ("include=author,author", "include", "twice"),
        ("include=", "include", "there is no ''"),
        ("include=author&include=tags", "include", "given twice"),
        ("fields=titel", "fields", "did you mean title?"),
        ("fields=secret", "fields", "there is no 'secret'"),
        ("field=title", "field", "did you mean fields"),
    ],
)
@pytest.mark.parametrize("path", ["/books/", "/books/1"])
async def test_what_cannot_be_shown_is_named_with_its_cure(
    client, path, query, field, said
):
    members = assert_problem(await client.get(f"{path}?{query}"), 422, "invalid")

    assert [error["field"] for error in members["errors"]] == [field]
    assert said in members["errors"][0]["message"]
    assert field in members["detail"]


async def test_openapi_types_what_is_embedded_and_what_may_be_absent(client):
    document = await get(client, "/openapi.json")

    schemas = document["components"]["schemas"]
    answer = document["paths"]["/books/{book_id}"]["get"]["responses"]["200"]
    names = [
        each["$ref"].rpartition("/")[2]
        for each in answer["content"]["application/json"]["schema"]["anyOf"]
    ]
    whole, part = (schemas[name] for name in names)
    assert whole["required"] == ["id", "title", "author_id"]
    assert "required" not in part
    assert whole["properties"]["tags"]["items"]["$ref"].endswith("/TagRow")
    related = whole["properties"]["author"]["anyOf"]
    assert related[0]["$ref"].endswith("/AuthorRow")
    assert part["properties"].keys() == whole["properties"].keys()
    parameters = document["paths"]["/books/"]["get"]["parameters"]
    include = next(each for each in parameters if each["name"] == "include")
    names = ["author", "tags", "before", "after"]
    assert include["schema"]["items"]["enum"] == names
    assert include["explode"] is False


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({"writer": Authors}, "no such relation; it has author"),
        ({"tags": Authors}, "a resource of Author, but the relation leads to Tag"),
        ({"tags": int}, "give a resource or a schema"),
        ({"tags": Embed(Tags, limit=0)}, "it has to be 1 or more"),
        ({"tags": Embed(Tags, sort=("name",))}, "sorted by name"),
        ({"author": BookTitle}, "names title, which Author has not"),
    ],
)
def test_an_include_that_cannot_be_is_refused_at_the_start(declared, said):
    class Wrong(Books):
        include = declared

    with pytest.raises(Misconfigured, match=said):
        Wrong(Database("postgresql:///x"))


async def test_what_is_embedded_is_what_a_session_finds(library):
    """Random rows, every relation: the ORM's loading against the one statement."""
    rand = random.Random(3)
    async with library.transaction() as session:
        session.add_all(
            Book(
                title=f"{rand.random():.4f}",
                author_id=rand.choice([None, 1, 2, 3]),
                sequel_of=rand.choice([None, *range(1, 7)]),
            )
            for _ in range(40)
        )
        await session.flush()
        links = [{"book": rand.randint(1, 46), "tag": rand.randint(1, 3)}] * 2
        links += [
            {"book": rand.randint(1, 46), "tag": rand.randint(1, 3)} for _ in range(60)
        ]
        await session.exec(insert(BOOK_TAGS).values(links))
    relations = (Book.author, Book.tags, Book.before, Book.after)
    books = Books(library)
    async with library.transaction() as session:
        loading = select(Book).options(*map(selectinload, relations)).order_by(Book.id)
        expected = [shown(book) for book in (await session.exec(loading)).scalars()]

    app = FastAPI()
    connect(app, library)
    app.include_router(books.router(prefix="/books"))
    async with client_of(app) as client:
        found = await get(client, "/books/?include=author,tags,before,after&limit=100")
        singles = [
            await get(client, f"/books/{row['id']}?include=author,tags,before,after")
            for row in found[:5]
        ]

    assert found == expected
    assert singles == expected[:5]


def shown(book):
    author = book.author
    return {
        **row(book),
        "author": author
        and (None if author.deleted_at else {"id": author.id, "name": author.name}),
        "tags": [
            {"id": tag.id, "word": tag.word}
            for tag in sorted(set(book.tags), key=lambda tag: tag.id)
            if tag.is_active
        ],
        "before": book.before and row(book.before),
        "after": [
            {"title": each.title} for each in sorted(book.after, key=lambda it: it.id)
        ],
    }


def row(book):
    return TypeAdapter(BookRow).validate_python(book, from_attributes=True).model_dump()


async def test_what_is_embedded_is_found_by_indexes(library):
    """A page of ten among many rows reads few blocks, whatever is embedded."""
    await library.lane.fetchrow(
        "INSERT INTO library_books (title, secret, author_id, sequel_of) "
        "SELECT n::text, '', 1 + n % 3, 1 + n % 6 FROM generate_series(1, 30000) n"
    )
    await library.lane.fetchrow(
        "INSERT INTO library_book_tags (book, tag) "
        "SELECT n, 1 + n % 3 FROM generate_series(1, 30000) n"
    )
    await library.lane.fetchrow("VACUUM ANALYZE library_books")
    await library.lane.fetchrow("VACUUM ANALYZE library_book_tags")
    store, query = Books(library).store, Query(show=Show(include=("author", "tags")))
    page = KeysetPage(limit=10)
    await store.list(query, page)
    (plan,) = store._plans.values()

    explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {plan.statement}"
    (said,) = await library.lane.fetchrow(explain)

    (explained,) = json.loads(said)
    assert explained["Plan"]["Shared Hit Blocks"] < 200
    assert "library_book_tags" not in scanned(explained["Plan"])
    assert "library_books" not in scanned(explained["Plan"])


def scanned(plan):
    """The tables that a plan reads from end to end."""
    own = {plan["Relation Name"]} if plan["Node Type"] == "Seq Scan" else set()
    return own.union(*map(scanned, plan.get("Plans", ())))
