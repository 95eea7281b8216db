"""Which store keeps a resource's rows, where it is given none."""

from typing import TYPE_CHECKING

from pydantic import BaseModel

from howdah.database import Database
from howdah.errors import Misconfigured
from howdah.fast import FastStore
from howdah.models import is_document
from howdah.resource.declaration import Declaration
from howdah.schemas import inexpressible
from howdah.statements import Layout
from howdah.store import Store

if TYPE_CHECKING:
    from howdah.documents import MongoDatabase
    from howdah.memory import MemoryDatabase

__all__ = ("chosen_store", "only_python")


def chosen_store(
    cls: type[Declaration],
    db: "Database | MemoryDatabase | MongoDatabase",
    layout: Layout,
) -> Store:
    """Return the fast store where PostgreSQL can write the JSON, else the ORM's.

    Raises Misconfigured where `orm = False` and it cannot, or may not.
    """
    if not isinstance(db, Database):
        _refuse_attributes(cls, layout)
        return _other_store(cls, db, layout)
    if is_document(cls.model):
        raise Misconfigured(
            f"{cls.__name__}: {cls.model.__name__} is a document of Beanie's, which "
            "a Database of SQL does not hold; give the resource a MongoDatabase"
        )
    if cls.sync and cls.orm is False:
        raise Misconfigured(
            f"{cls.__name__} has both sync and orm = False, but the fast store is not "
            "for threads; drop one of them"
        )
    if db.dialect != "postgresql" or cls.orm or cls.sync:
        return _orm_store(cls, db, layout)
    if why := only_python(cls, layout):
        if cls.orm is False:
            raise Misconfigured(
                f"{cls.__name__}: {why}, which PostgreSQL cannot write; let the read "
                "schema show what columns hold, or drop orm = False"
            )
        return _orm_store(cls, db, layout)
    return FastStore(db, layout, model=cls.model.__name__)


def _other_store(
    cls: type[Declaration], db: "MemoryDatabase | MongoDatabase", layout: Layout
) -> Store:
    from howdah.memory import MemoryDatabase, MemoryStore

    if isinstance(db, MemoryDatabase):
        return MemoryStore(db, layout, model=cls.model.__name__)
    if not is_document(cls.model):
        raise Misconfigured(
            f"{cls.__name__}: {cls.model.__name__} is no document of Beanie's; a "
            "MongoDatabase holds nothing else"
        )
    if cls.orm or cls.sync:
        raise Misconfigured(
            f"{cls.__name__} has {'orm' if cls.orm else 'sync'} = True, which is for "
            "sessions of SQL; documents have none, so drop it"
        )
    from howdah.documents import DocumentStore

    return DocumentStore(db, layout, model=cls.model.__name__)


def _orm_store(cls: type[Declaration], db: Database, layout: Layout) -> Store:
    # Most apps are served by the fast store alone.
    from howdah.orm import OrmStore

    return OrmStore(db, layout, model=cls.model, sync=cls.sync)


def only_python(cls: type[Declaration], layout: Layout) -> str | None:
    """Return what of the read schema only Python can show: SQL has columns alone."""
    if attributes := _attributes(cls.read_schema, layout):
        return f"{cls.read_schema.__name__}: {', '.join(attributes)} is no column"
    return inexpressible(cls.read_schema, layout.columns)


def _attributes(schema: type[BaseModel], layout: Layout) -> list[str]:
    """Return the names of what is shown and no column."""
    return [
        name
        for name, info in schema.model_fields.items()
        if (info.serialization_alias or name) not in layout.columns
    ]


def _refuse_attributes(cls: type[Declaration], layout: Layout) -> None:
    if attributes := _attributes(cls.read_schema, layout):
        raise Misconfigured(
            f"{cls.__name__}: {cls.read_schema.__name__} shows {attributes[0]}, which "
            "is no column; in memory a row has nothing else, so test on SQLite: "
            'Database("sqlite://")'
        )
