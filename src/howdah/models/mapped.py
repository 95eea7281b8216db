"""A model's columns and relations: of a mapped class, or as described."""

from collections.abc import Iterable, Mapping
from typing import Any, get_args

import sqlalchemy
from pydantic.fields import FieldInfo
from sqlalchemy import Column, Table
from sqlalchemy.exc import NoInspectionAvailable

from howdah.errors import Misconfigured
from howdah.models.documents import describe, document_rules, is_document

__all__ = (
    "declared_model",
    "field_info",
    "mapped_columns",
    "relation_of",
    "relationships",
    "row_rules",
    "table_of",
)


def declared_model(cls: type) -> type[Any] | None:
    """Return the model that a class is declared with: `class Items(Resource[Item])`."""
    for base in getattr(cls, "__orig_bases__", ()):
        for argument in get_args(base):
            if isinstance(argument, type):
                return argument
    return None


def mapped_columns(model: type[Any]) -> dict[str, Column[Any]]:
    """Return a model's columns by the names of its attributes."""
    if is_document(model):
        return dict(describe(model).columns)
    try:
        mapper = sqlalchemy.inspect(model)
    except NoInspectionAvailable:
        raise Misconfigured(
            f"{model.__name__} is not a mapped class; give it table=True (SQLModel) "
            "or derive it from your declarative base"
        ) from None
    return {
        attribute.key: attribute.columns[0]
        for attribute in mapper.column_attrs
        if isinstance(attribute.columns[0], Column)
    }


def relationships(model: type[Any]) -> dict[str, type[Any]]:
    """Return the models that a model's relations lead to, by their names."""
    if is_document(model):
        return {n: it.property.target for n, it in describe(model).relations.items()}
    mapper = sqlalchemy.inspect(model)
    return {
        name: relation.mapper.class_ for name, relation in mapper.relationships.items()
    }


def relation_of(model: type[Any], name: str) -> Any:
    """Return what a relation is known by: the attribute of a mapped class."""
    return (
        describe(model).relations[name] if is_document(model) else getattr(model, name)
    )


def table_of(model: type[Any]) -> Table:
    """Return the table that a model's rows are in; a document's is only described."""
    table: Table = describe(model).table if is_document(model) else model.__table__
    return table


def field_info(model: type[Any], name: str) -> FieldInfo | None:
    """Return what a SQLModel or a document says of a field, for people to see."""
    if is_document(model):
        return describe(model).infos.get(name)
    fields: Mapping[str, FieldInfo] = getattr(model, "model_fields", {})
    return fields.get(name)


def row_rules(model: type[Any]) -> Iterable[str]:
    """Return the names of a model's own rules of whole rows."""
    decorators = getattr(model, "__pydantic_decorators__", None)
    rules = () if decorators is None else decorators.model_validators
    known = document_rules() if is_document(model) else ()
    return [name for name in rules if name not in known]
