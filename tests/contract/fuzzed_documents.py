"""The random models as documents of Beanie's, as far as MongoDB has what they need."""

import datetime as dt
import sys
import uuid
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from typing import Annotated, Any

from beanie import BackLink, Document, Link
from contract.shapes import Color, Fuzzed
from pydantic import Field
from pymongo import IndexModel

from howdah.models import OnUpdate

CANNOT = {
    "b": "a document has one key, _id",
    "hour": "BSON has no time of day",
    "unique float": "SecantusDB takes some large floats for equal in an index",
    "short": "BSON has no floats of four bytes",
    "moment": "BSON's moments have milliseconds",
    "Orphan": "MongoDB holds no references",
    "icontains": "capitals are what PCRE takes for them",
    "istartswith": "capitals are what PCRE takes for them",
    "iendswith": "capitals are what PCRE takes for them",
    "search": "capitals are what PCRE takes for them",
}
"""Why there is no answer, by what is asked: a column, a step, an operator."""

# What each kind of column is in a document, and what BSON calls it.
KINDS: Mapping[str, tuple[Any, str]] = {
    "word": (Annotated[str, Field(max_length=6)], "string"),
    "prose": (str, "string"),
    "small": (Annotated[int, Field(ge=-(2**15), le=2**15 - 1)], "number"),
    "whole": (Annotated[int, Field(ge=-(2**31), le=2**31 - 1)], "number"),
    "big": (int, "number"),
    "money": (Annotated[Decimal, Field(max_digits=12, decimal_places=2)], "decimal"),
    "ratio": (Annotated[Decimal, Field(max_digits=15, decimal_places=4)], "decimal"),
    "float": (float, "double"),
    "flag": (bool, "bool"),
    "day": (dt.date, "date"),
    "color": (Color, "string"),
    # In the other stores it is a text that is checked.
    "tone": (str, "string"),
    "ref": (uuid.UUID, "binData"),
}
ALIVE = {"is_active": True, "deleted_at": {"$type": "null"}}


@cache
def twins() -> Mapping[type[Any], type[Document]]:
    """Return the documents of all models that there are; one for each that can be."""
    found = {}
    for mapper in Fuzzed.registry.mappers:
        table = mapper.local_table
        if "parent_id" in table.columns and CANNOT.keys().isdisjoint(table.c.keys()):
            there = mapper.relationships["parent"].mapper
            parent = _parent(there.local_table.name, mapper.class_.__name__)
            found[there.class_] = parent
            found[mapper.class_] = _thing(mapper.class_, parent)
    return found


def _parent(name: str, thing: str) -> type[Document]:
    things = Field(default=[], json_schema_extra={"original_field": "parent"})
    fields = {
        "id": (int | None, None),
        "name": (str, ...),
        "things": (list[BackLink[thing]], things),
    }
    return _document(f"{thing}Parent", fields, name=name)


def _thing(model: type[Any], parent: type[Document]) -> type[Document]:
    table = model.__table__
    mark = next((name for name in ALIVE if name in table.columns), None)
    (key,) = table.primary_key
    fields: dict[str, Any] = {"id": (key.type.python_type, ...)}
    for column in table.columns:
        if column.name in KINDS:
            kind, _ = KINDS[column.name]
            given = (kind | None, None) if column.nullable else (kind, ...)
            fields[column.name] = given
    touched = Annotated[dt.datetime | None, OnUpdate(lambda: dt.datetime.now(dt.UTC))]
    fields |= {
        "given": (int | None, 7),
        "touched_at": (touched, None),
        "parent": (Link[parent] | None, None),
    }
    if mark is not None:
        marks = {"is_active": (bool, True), "deleted_at": (dt.datetime | None, None)}
        fields[mark] = marks[mark]
    alive = {} if mark is None else {mark: ALIVE[mark]}
    indexes = [
        IndexModel(
            column.name,
            unique=True,
            partialFilterExpression={
                column.name: {"$type": KINDS[column.name][1]},
                **alive,
            },
        )
        for index in table.indexes
        for column in index.columns
    ]
    return _document(model.__name__, fields, name=table.name, indexes=indexes)


def _document(title: str, fields: Mapping[str, Any], **said: Any) -> type[Document]:
    # By its place pydantic tells that it is no field.
    said["__qualname__"] = f"{title}.Settings"
    members = {
        "__module__": __name__,
        "__qualname__": title,
        "__annotations__": {name: kind for name, (kind, _) in fields.items()},
        **{name: value for name, (_, value) in fields.items()},
        "Settings": type("Settings", (), {**said, "use_revision": True}),
    }
    made = type(title, (Document,), members)
    # What links lead to is looked up by its name.
    setattr(sys.modules[__name__], title, made)
    return made
