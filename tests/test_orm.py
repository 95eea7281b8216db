"""The store over the ORM: what a model does itself, and what only objects can show."""

import logging
from json import loads
from typing import Any

import pytest
from catalogue import assert_problem, client_of
from fastapi import FastAPI
from pydantic import (
    BaseModel,
    ConfigDict,
    computed_field,
    field_serializer,
    field_validator,
)
from sqlalchemy import Column, ForeignKey, String, Table, Text, event
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    mapped_column,
    relationship,
    validates,
)
from sqlmodel import SQLModel

from howdah import Database, Resource, connect
from howdah.errors import (
    Duplicate,
    Invalid,
    Misconfigured,
    MissingReference,
    StillReferenced,
)
from howdah.memory import MemoryDatabase
from howdah.orm import OrmStore
from howdah.paging import KeysetPage, OffsetPage
from howdah.query import Query, Show, Sort
from howdah.search import FullText, search_vector
from howdah.settings import DatabaseURL, Settings
from howdah.statements import Embed, Layout

pytestmark = pytest.mark.anyio


class Base(DeclarativeBase):
    pass


WRITTEN = Table(
    "written",
    Base.metadata,
    Column("author_id", ForeignKey("authors.id"), primary_key=True),
    Column("book_id", ForeignKey("books.id"), primary_key=True),
)


class Author(Base):
    __tablename__ = "authors"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20), unique=True)
    slug: Mapped[str | None] = mapped_column(Text)
    version: Mapped[int] = mapped_column()

    books: Mapped[list["Book"]] = relationship(back_populates="author")
    notes: Mapped[list["Note"]] = relationship(cascade="all, delete-orphan")
    others: Mapped[list["Book"]] = relationship(secondary=WRITTEN)

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - as SQLAlchemy has it

    @validates("name")
    def check_name(self, _key, name):
        if name == "nobody":
            raise ValueError("nobody writes no books")
        return name.strip()

    @property
    def initials(self) -> str:
        return self.name[:1]


@event.listens_for(Author, "before_insert")
@event.listens_for(Author, "before_update")
def make_slug(_mapper, _connection, author):
    author.slug = author.name.lower()


class Book(Base):
    __tablename__ = "books"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    is_active: Mapped[bool] = mapped_column(default=True)
    author_id: Mapped[int | None] = mapped_column(ForeignKey("authors.id"))
    sequel_to: Mapped[int | None] = mapped_column(ForeignKey("books.id"))

    author: Mapped[Author | None] = relationship(back_populates="books", lazy="joined")
    sequels: Mapped[list["Book"]] = relationship()


class Note(Base):
    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]
    author_id: Mapped[int] = mapped_column(ForeignKey("authors.id"))


class AuthorWrite(BaseModel):
    name: str


class AuthorRead(BaseModel):
    id: int
    name: str
    slug: str
    initials: str

    @computed_field
    @property
    def shouted(self) -> str:
        return self.name.upper()

    @field_serializer("slug")
    def show_slug(self, slug: str) -> str:
        return f"/{slug}"


class BookWrite(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: str
    author_id: int | None = None
    sequel_to: int | None = None


class BookUpdate(BookWrite):
    title: str = ""


class Sequel(BaseModel):
    id: int
    title: str


class BookRead(BaseModel):
    id: int
    title: str
    author: AuthorRead | None
    sequels: list[Sequel]


class Authors(Resource[Author]):
    orm = True
    create_schema = update_schema = AuthorWrite
    read_schema = AuthorRead
    sort = ("name",)


class Books(Resource[Book]):
    orm = True
    create_schema = BookWrite
    update_schema = BookUpdate
    read_schema = BookRead
    soft_delete = "is_active"
    sort = ("title",)


@pytest.fixture(params=["asyncpg", "psycopg", "sqlite"])
async def db(request, database_url, tmp_path):
    url = f"sqlite:///{tmp_path}/orm.db"
    if request.param != "sqlite":
        url = database_url.replace("postgresql:", f"postgresql+{request.param}:")
    async with Database(url) as db:
        assert db.dialect == "sqlite" or db.engine.dialect.driver == request.param
        async with db.engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        yield db


@pytest.fixture
async def client(db):
    app = FastAPI()
    connect(app, db)
    app.include_router(Authors(db).router(prefix="/authors"))
    app.include_router(Books(db).router(prefix="/books"))
    async with client_of(app) as client:
        yield client


async def test_validators_and_events_of_the_model_run(client):
    created = await client.post("/authors/", json={"name": " Jane "})
    changed = await client.patch("/authors/1", json={"name": "Anne"})
    refused = await client.post("/authors/", json={"name": "nobody"})
    kept = await client.patch("/authors/1", json={"name": "nobody"})

    assert created.json() == {
        "id": 1,
        "name": "Jane",
        "slug": "/jane",
        "initials": "J",
        "shouted": "JANE",
    }
    assert changed.json()["slug"] == "/anne"
    assert assert_problem(refused, 422, "invalid")["detail"] == "nobody writes no books"
    assert_problem(kept, 422, "invalid")


async def test_a_batch_runs_them_too(client):
    rows = [{"name": f"A{number}"} for number in range(300)]

    created = (await client.post("/authors/batch", json=rows)).json()

    assert [row["slug"] for row in created] == [f"/a{n}" for n in range(300)]
    assert [row["id"] for row in created] == list(range(1, 301))


async def test_relations_are_shown_as_the_schema_says(client, db, statements):
    await client.post("/authors/", json={"name": "Jane"})
    for title in ("Emma", "Emma II", "Emma III"):
        sequel_to = 1 if title != "Emma" else None
        await client.post(
            "/books/", json={"title": title, "author_id": 1, "sequel_to": sequel_to}
        )
    counted = statements(db)

    books = (await client.get("/books/")).json()

    assert len([s for s in counted.texts if s.startswith("SELECT")]) == 3
    assert [book["author"]["shouted"] for book in books] == ["JANE"] * 3
    assert [len(book["sequels"]) for book in books] == [2, 0, 0]
    assert (await client.get("/books/1")).json() == books[0]


async def test_the_version_that_a_model_counts_is_its_tag_in_a_file(client, db):
    created = await client.post("/authors/", json={"name": "Jane"})
    tag = created.headers["ETag"]
    if db.dialect == "sqlite":
        assert tag == '"1"'

    first = await client.patch(
        "/authors/1", json={"name": "Anne"}, headers={"If-Match": tag}
    )
    second = await client.patch(
        "/authors/1", json={"name": "Emily"}, headers={"If-Match": tag}
    )

    assert first.status_code == 200
    assert first.headers["ETag"] != tag
    assert_problem(second, 412, "stale")
    known = {"If-None-Match": first.headers["ETag"]}
    assert (await client.get("/authors/1", headers=known)).status_code == 304


async def test_a_row_in_use_is_not_deleted_though_a_session_would_let_go(db):
    authors, books = Authors(db).store, Books(db).store
    await authors.create({"name": "Jane"})
    await books.create({"title": "Emma", "author_id": 1})

    with pytest.raises(StillReferenced):
        await authors.delete(1, hard=True)
    with pytest.raises(StillReferenced):
        await authors.delete_many([1], hard=True)

    assert await authors.count(Query()) == 1


async def test_a_key_in_use_is_not_changed(db):
    authors, books = Authors(db).store, Books(db).store
    await authors.create({"name": "Jane"})
    await books.create({"title": "Emma", "author_id": 1})

    with pytest.raises(StillReferenced):
        await authors.update(1, {"id": 9})
    with pytest.raises(MissingReference) as caught:
        await books.update(1, {"author_id": 7})
    assert caught.value.fields == ("author_id",)


class Lonely(Base):
    __tablename__ = "lonely"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(5), unique=True)


class LonelyRead(BaseModel):
    id: int
    name: str


class Lonelies(Resource[Lonely]):
    orm = True
    create_schema = update_schema = AuthorWrite
    read_schema = LonelyRead


async def test_events_of_a_deletion_run_where_nothing_is_let_go(db):
    gone: list[Any] = []
    event.listen(Lonely, "before_delete", lambda _m, _c, row: gone.append(row.name))
    store = Lonelies(db).store
    await store.create({"name": "a"})

    await store.delete(1, hard=True)

    assert gone == ["a"]


async def test_a_tag_is_of_what_is_shown_where_no_version_is_counted(db):
    store = Lonelies(db).store
    created = await store.create({"name": "a"})

    changed = await store.update(1, {"name": "b"}, match=(created.tag,))

    assert changed.tag != created.tag
    assert (await store.get(1)).tag == changed.tag
    again = await store.update(1, {"name": "b"})
    # PostgreSQL has written the row once more; a file shows what it showed.
    assert (again.tag == changed.tag) is (db.dialect == "sqlite")


async def test_a_batch_that_breaks_a_rule_leaves_nothing(db):
    store = Lonelies(db).store

    with pytest.raises(Duplicate) as caught:
        await store.create_many([{"name": "a"}, {"name": "a"}])
    with pytest.raises(Invalid):
        await store.create_many([{"name": "b"}, {"name": "too long"}])

    assert caught.value.fields == ("name",)
    assert await store.count(Query()) == 0


def layout_of(model, schema, **options):
    fields = {column.key: column for column in model.__table__.columns}
    columns = {name: fields[name] for name in schema.model_fields if name in fields}
    return Layout(
        table=model.__table__, columns=columns, fields=fields, schema=schema, **options
    )


async def test_related_rows_of_a_page_are_one_query_a_relation(db, statements):
    there = layout_of(Book, Sequel, soft_delete=Book.__table__.c.is_active)
    sort = (Sort(field="title", descending=True),)
    embeds = {
        "books": Embed(
            relation=Author.books, layout=there, many=True, limit=2, sort=sort
        ),
        "others": Embed(relation=Author.others, layout=there, many=True),
    }
    store = OrmStore(db, layout_of(Author, AuthorRead, embeds=embeds), model=Author)
    nested = {"sequels": Embed(relation=Book.sequels, layout=there, many=True)}
    nested["author"] = Embed(
        relation=Book.author, layout=layout_of(Author, AuthorWrite), many=False
    )
    books = OrmStore(db, layout_of(Book, Sequel, embeds=nested), model=Book)
    async with db.transaction() as session:
        jane = Author(name="Jane")
        jane.books = [Book(title=title) for title in "abcd"]
        jane.books[3].is_active = False
        anne = Author(name="Anne", others=[jane.books[0]])
        jane.books[1].sequels = [jane.books[0]]
        session.add_all([jane, anne])
    counted = statements(db)

    shown = await store.list(
        Query(show=Show(fields=("name",), include=("books", "others"))), OffsetPage()
    )
    queries = [text for text in counted.texts if text.startswith("SELECT")]
    book = await books.get(jane.books[1].id, show=Show(include=("sequels", "author")))

    assert len(queries) == 3
    ids = {book.title: book.id for book in jane.books}
    by_name = {row["name"]: row for row in loads(shown.body)}
    assert by_name["Jane"] == {
        "name": "Jane",
        "books": [{"id": ids["c"], "title": "c"}, {"id": ids["b"], "title": "b"}],
        "others": [],
    }
    assert by_name["Anne"]["others"] == [{"id": ids["a"], "title": "a"}]
    assert loads(book.body)["sequels"] == [{"id": ids["a"], "title": "a"}]
    assert loads(book.body)["author"] == {"name": "Jane"}


async def test_what_is_chosen_where_nothing_is_said(database_url):
    class Plain(Resource[Lonely]):
        create_schema = update_schema = AuthorWrite
        read_schema = LonelyRead

    stores = [
        type(resource(Database(url)).store).__name__
        for resource, url in (
            (Plain, database_url),
            (Plain, "sqlite://"),
            (Lonelies, DatabaseURL.parse(database_url)),
        )
    ]

    assert stores == ["FastStore", "OrmStore", "OrmStore"]


class Shout(LonelyRead):
    @computed_field
    @property
    def loud(self) -> str:
        return self.name.upper()


class Serialized(LonelyRead):
    @field_serializer("name")
    def show(self, name: str) -> str:
        return name[::-1]


class Upside(LonelyRead):
    upside: str


Lonely.upside = property(lambda self: self.name[::-1])


class Stripped(LonelyRead):
    @field_validator("name")
    @classmethod
    def strip(cls, name: str) -> str:
        return name.strip("-")


NEEDS_PYTHON = [
    (Shout, r"computed fields \(loud\), which PostgreSQL cannot write"),
    (Serialized, r"serializers \(show\)"),
    (Stripped, r"validators \(strip\)"),
    (Upside, "names upside"),
]


@pytest.mark.parametrize(("schema", "reason"), NEEDS_PYTHON)
def test_the_orm_serves_what_sql_cannot_write(schema, reason):
    class Asked(Resource[Lonely]):
        create_schema = update_schema = AuthorWrite
        read_schema = schema

    db = Database("postgresql://nowhere/x")

    assert isinstance(Asked(db).store, OrmStore)
    Asked.orm = False
    with pytest.raises(Misconfigured, match=reason):
        Asked(db)


def test_the_way_through_the_orm_is_said_while_developing(caplog):
    class Asked(Resource[Lonely]):
        create_schema = update_schema = AuthorWrite
        read_schema = Shout

    settings = Settings(howdah_dev=True, database_url="postgresql://nowhere/x")
    with caplog.at_level(logging.WARNING, "howdah.resource"):
        Asked(Database(settings)).router()
        Asked.orm = True
        Asked(Database(settings)).router()

    (said,) = caplog.messages
    assert said == (
        "Asked: rows go through the ORM, at several round trips each, because Shout: "
        "has computed fields (loud); say orm = True where that is meant"
    )


def test_a_dictionary_has_no_properties():
    class Asked(Resource[Lonely]):
        create_schema = update_schema = AuthorWrite
        read_schema = Upside

    with pytest.raises(Misconfigured, match="shows upside, which is no column"):
        Asked(MemoryDatabase())


class Words(DeclarativeBase):
    """Tables that PostgreSQL alone can have."""


@search_vector("title", language="english")
class Poem(Words):
    __tablename__ = "poems"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]


class PoemRead(BaseModel):
    id: int
    title: str


class Poems(Resource[Poem]):
    orm = True
    read_schema = PoemRead
    search = FullText()


async def test_a_search_by_words_is_ranked_on_postgresql_alone(db):
    if db.dialect == "sqlite":
        with pytest.raises(Misconfigured, match="by words, which PostgreSQL alone"):
            Poems(db)
        return
    async with db.engine.begin() as connection:
        await connection.run_sync(Words.metadata.create_all)
    store = Poems(db).store
    titles = ["A rose", "Roses, a rose is a rose", "No flower", "The rose: roses"]
    await store.create_many([{"title": title} for title in titles])
    query = Query(search="rose")

    found, page = [], KeysetPage(limit=1)
    while (met := await store.list(query, page)).more or not found:
        found.append(loads(met.body)[0]["id"])
        page = KeysetPage(limit=1, position=tuple(loads(met.last)))
    found.append(loads(met.body)[0]["id"])

    assert found == [2, 4, 1]


async def test_a_read_schema_may_be_a_sqlmodel(db):
    class BookShown(SQLModel):
        id: int
        title: str

    class Shown(Resource[Book]):
        read_schema = BookShown
        orm = True

    created = await Shown(db).store.create({"title": "Emma"})

    assert loads(created.body)["title"] == "Emma"
