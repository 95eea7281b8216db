"""Which store keeps a resource's rows, where it is given none."""

from pydantic import BaseModel

from howdah.database import Database
from howdah.errors import Misconfigured
from howdah.fast import FastStore
from howdah.memory import MemoryDatabase, MemoryStore
from howdah.orm import OrmStore
from howdah.resource.declaration import Declaration
from howdah.statements import Layout
from howdah.store import Store

__all__ = ("chosen_store",)


def chosen_store(
    cls: type[Declaration], db: Database | MemoryDatabase, layout: Layout
) -> Store:
    """Return the fast store where PostgreSQL can write the JSON, else the ORM's."""
    if isinstance(db, MemoryDatabase):
        _refuse_attributes(cls, layout)
        return MemoryStore(db, layout, model=cls.model.__name__)
    asked = _needs_python(cls.read_schema, layout) if cls.orm is None else cls.orm
    if asked or db.dialect != "postgresql":
        return OrmStore(db, layout, model=cls.model)
    return FastStore(db, layout, model=cls.model.__name__)


def _needs_python(schema: type[BaseModel], layout: Layout) -> bool:
    """Say whether a schema shows what only Python can: SQL has columns alone."""
    decorators = schema.__pydantic_decorators__
    return bool(
        schema.model_computed_fields
        or decorators.field_serializers
        or decorators.model_serializers
        or _attributes(schema, layout)
    )


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
