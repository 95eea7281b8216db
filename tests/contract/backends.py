"""The stores that the contract is held over. A new store is one more entry here."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import sqlalchemy
from contract import documents, fuzzed_documents
from databases import emptying
from mongo import mongo_server
from sqlalchemy import MetaData

from howdah import Database, Resource
from howdah.documents import MongoDatabase, columns
from howdah.embedded import EmbeddedPostgres
from howdah.memory import MemoryDatabase
from howdah.settings import Pool


@dataclass(frozen=True, kw_only=True)
class Backend:
    """A kind of store, and how tests come to one."""

    name: str
    title: str
    """What docs/explanation/stores.md calls it."""
    prepared: Callable[[EmbeddedPostgres, Path, MetaData], AbstractContextManager[str]]
    """Give the address of a place with these tables, made once for many tests."""
    database: Callable[[str], Any]
    """Give what leads to such a place; one serves many tests, one after the other."""
    opened: Callable[[Any, MetaData], AbstractAsyncContextManager[Any]]
    """Open it, its tables empty and its numbers at 1."""
    resource: Callable[[type[Resource[Any]], Any], Resource[Any]]
    """Make a resource over what was opened."""
    fields: Callable[[type[Any]], Any] = lambda model: model
    """Give what has a model's fields as attributes, for conditions."""
    cannot: Mapping[str, str] = field(default_factory=dict)
    """Why it cannot do what a test wants, by the test's name."""
    paths: frozenset[str] = frozenset()
    """The resources that there are not, by their paths."""
    fuzzed: Callable[[str], Any] | None = None
    """Give what leads there where models are made at random, if something else does."""
    unanswered: Mapping[str, str] = field(default_factory=dict)
    """Why it does not answer then, by what is asked: a column, a step, an operator."""


@contextmanager
def postgres_database(
    server: EmbeddedPostgres, _folder: Path, metadata: MetaData
) -> Iterator[str]:
    name = f"contract_{uuid4().hex[:12]}"
    server.create_database(name)
    engine = sqlalchemy.create_engine(sync_url(server.url(name)))
    metadata.create_all(engine)
    engine.dispose()
    yield server.url(name)
    server.drop_database(name)


def sync_url(url: str) -> str:
    return url.replace("postgresql:", "postgresql+psycopg:")


def fast(url: str) -> Database:
    return Database(url, pool=Pool(size=4))


def by_psycopg(url: str) -> Database:
    return fast(sync_url(url))


@asynccontextmanager
async def emptied(db: Database, metadata: MetaData) -> AsyncIterator[Database]:
    async with db:
        await db.lane.fetchrow(emptying(metadata.sorted_tables))
        yield db


@contextmanager
def file(_server: EmbeddedPostgres, folder: Path, metadata: MetaData) -> Iterator[str]:
    url = f"sqlite:///{folder}/contract.db"
    with Database(url).sync_session() as session:
        metadata.create_all(session.connection())
    yield url


@asynccontextmanager
async def emptied_file(db: Database, metadata: MetaData) -> AsyncIterator[Database]:
    async with db:
        async with db.engine.begin() as connection:
            for table in reversed(metadata.sorted_tables):
                await connection.execute(table.delete())
        yield db


def by_orm(resource: type[Resource[Any]], db: Database) -> Resource[Any]:
    return type(resource.__name__, (resource,), {"orm": True})(db)


def by_threads(resource: type[Resource[Any]], db: Database) -> Resource[Any]:
    return type(resource.__name__, (resource,), {"sync": True})(db)


@contextmanager
def nowhere(
    _server: EmbeddedPostgres, _folder: Path, _metadata: MetaData
) -> Iterator[str]:
    yield ""


def memory(_address: str) -> MemoryDatabase:
    return MemoryDatabase()


@asynccontextmanager
async def cleared(
    db: MemoryDatabase, _metadata: MetaData
) -> AsyncIterator[MemoryDatabase]:
    db.clear()
    yield db


@contextmanager
def mongodb(
    _server: EmbeddedPostgres, folder: Path, _metadata: MetaData
) -> Iterator[str]:
    with mongo_server(folder) as url:
        yield url


def documents_of(address: str) -> MongoDatabase:
    return known_documents(address, documents.TWINS)


def fuzzed_documents_of(address: str) -> MongoDatabase:
    return known_documents(address, fuzzed_documents.twins())


def known_documents(address: str, twins: Mapping[Any, Any]) -> MongoDatabase:
    name = f"contract_{uuid4().hex[:12]}"
    return MongoDatabase(address, documents=list(twins.values()), name=name)


@asynccontextmanager
async def emptied_documents(
    db: MongoDatabase, _metadata: MetaData
) -> AsyncIterator[MongoDatabase]:
    async with db:
        database = await db.prepare()
        for name in await database.list_collection_names():
            await database[name].delete_many({})
        yield db


NO_WORDS = {
    "test_a_search_by_words_finds_the_best_first": "only PostgreSQL looks words up"
}
MEMORY_CANNOT = {
    **NO_WORDS,
    "test_a_condition_may_ask_another_table": "only a database evaluates any SQL",
}
MONGODB_CANNOT = {
    **NO_WORDS,
    "test_a_condition_may_ask_another_table": "a condition speaks of one document",
    "test_rows_are_related_to_many_and_let_go": "many links are a field of a document",
    "test_a_moment_keeps_its_microseconds": "BSON's moments have milliseconds",
    "test_a_key_may_have_two_columns": "a document has one key, _id",
    "test_keys_of_two_columns_name_rows_of_a_batch": "a document has one key, _id",
    "test_a_key_of_two_columns_is_a_path_of_two": "a document has one key, _id",
    "test_what_others_refer_to_stays": "MongoDB holds no references",
    "test_a_row_that_others_refer_to_is_409": "MongoDB holds no references",
    "test_what_belongs_to_a_row_goes_with_it": "MongoDB holds no references",
}
BACKENDS = (
    Backend(
        name="fast",
        title="fast, PostgreSQL",
        prepared=postgres_database,
        database=fast,
        opened=emptied,
        resource=lambda resource, db: resource(db),
    ),
    Backend(
        name="memory",
        title="memory",
        prepared=nowhere,
        database=memory,
        opened=cleared,
        resource=lambda resource, db: resource(db),
        cannot=MEMORY_CANNOT,
    ),
    Backend(
        name="orm-asyncpg",
        title="ORM, asyncpg",
        prepared=postgres_database,
        database=fast,
        opened=emptied,
        resource=by_orm,
    ),
    Backend(
        name="orm-psycopg",
        title="ORM, psycopg",
        prepared=postgres_database,
        database=by_psycopg,
        opened=emptied,
        resource=by_orm,
    ),
    Backend(
        name="orm-sync",
        title="ORM, sync",
        prepared=postgres_database,
        database=fast,
        opened=emptied,
        resource=by_threads,
    ),
    Backend(
        name="sqlite",
        title="SQLite",
        prepared=file,
        database=Database,
        opened=emptied_file,
        resource=lambda resource, db: resource(db),
        cannot=NO_WORDS,
    ),
    Backend(
        name="mongodb",
        title="MongoDB",
        prepared=mongodb,
        database=documents_of,
        opened=emptied_documents,
        resource=lambda resource, db: documents.of_documents(resource)(db),
        fields=lambda model: columns(documents.TWINS[model]),
        cannot=MONGODB_CANNOT,
        paths=frozenset({"/lines"}),
        fuzzed=fuzzed_documents_of,
        unanswered=fuzzed_documents.CANNOT,
    ),
)
