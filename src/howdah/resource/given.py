"""The schemas of a resource, given or derived, and what they may not name.

Secrets are shown nowhere, and what the server fills is written by nobody else.
"""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from inspect import iscoroutinefunction
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Column

from howdah.errors import Misconfigured
from howdah.models import mapped_columns, python_type
from howdah.schemas import (
    create_fields,
    create_schema,
    holds_secret,
    is_hidden,
    is_made,
    read_schema,
    update_fields,
    update_schema,
)

__all__ = (
    "Derived",
    "check_created",
    "check_stored",
    "check_updated",
    "created",
    "refuse_owned",
    "refuse_secrets",
    "refuse_shown_secrets",
    "shown",
    "updated",
)


class Derived:
    """A schema that is derived when it is first read, where a class gives none.

    Not when the class is made: the model's relations may not be known by then.
    """

    def __init__(
        self,
        derive: Callable[[type[Any]], type[BaseModel]],
        check: Callable[[type[Any]], object],
    ) -> None:
        self.derive = derive
        self.check = check
        """Raises Misconfigured where it cannot be; costs less than to derive it."""

    def __get__(self, resource: object, owner: type[Any]) -> type[BaseModel]:
        """Return the schema for the class that lacks it."""
        if not hasattr(owner, "model"):
            raise Misconfigured(f"{owner.__name__} has no model; declare it")
        return self.derive(owner)


def created(cls: type[Any]) -> type[BaseModel]:
    """Derive the schema of new rows for a resource."""
    return create_schema(cls.model, without=_withheld(cls))


def updated(cls: type[Any]) -> type[BaseModel]:
    """Derive the schema of changes for a resource."""
    return update_schema(cls.model, without=_withheld(cls))


def check_created(cls: type[Any]) -> None:
    """Raise Misconfigured where no schema of new rows can be derived."""
    create_fields(cls.model, without=_withheld(cls))


def check_updated(cls: type[Any]) -> None:
    """Raise Misconfigured where no schema of changes can be derived."""
    update_fields(cls.model, without=_withheld(cls))


def shown(cls: type[Any]) -> type[BaseModel]:
    """Derive the schema of rows as a resource shows them."""
    return read_schema(cls.model)


def _withheld(cls: type[Any]) -> frozenset[str]:
    """Return the fields that people never write: the owner's, a mark of deletion."""
    mark: str | None = cls.soft_delete
    moment = mark is not None and not _is_boolean(cls.model, mark)
    return frozenset((*cls.server_owned, *((mark,) if moment and mark else ())))


def _is_boolean(model: type[Any], name: str) -> bool:
    column = mapped_columns(model).get(name)
    return column is not None and python_type(column.type) is bool


def refuse_secrets(
    cls: type[Any], where: str, names: Iterable[str], model: type[Any]
) -> None:
    """Raise Misconfigured where a declaration lets people read what is secret."""
    fields = mapped_columns(model)
    _refuse(
        cls, where, [n for n in names if n in fields and is_hidden(model, n, fields[n])]
    )


def refuse_shown_secrets(
    cls: type[Any], schema: type[BaseModel], model: type[Any]
) -> None:
    """Raise Misconfigured where a schema shows what is secret, there or in the model.

    PostgreSQL would write plainly what a SecretStr hides.
    """
    refuse_secrets(cls, schema.__name__, schema.model_fields, model)
    fields = schema.model_fields.items()
    _refuse(
        cls, schema.__name__, [n for n, it in fields if holds_secret(it.annotation)]
    )


def _refuse(cls: type[Any], where: str, secrets: Sequence[str]) -> None:
    if secrets:
        raise Misconfigured(
            f"{cls.__name__}: {where} names {', '.join(secrets)}, which is secret and "
            "can be read, filtered and sorted by nowhere; leave it out"
        )


def check_stored(cls: type[Any], fields: Mapping[str, Column[Any]]) -> None:
    """Raise Misconfigured for a `stored_as` that nobody could write by."""
    schemas = (cls.create_schema, cls.update_schema) if cls.stored_as else ()
    named = {name for schema in schemas for name in schema.model_fields}
    for name, said in cls.stored_as.items():
        fault = None
        if name in fields:
            fault = f"a column of {cls.model.__name__} itself"
        elif name not in named:
            fault = "in no schema that people write by"
        else:
            fault = _unstorable(cls, said, fields, named)
        if fault is not None:
            raise Misconfigured(f"{cls.__name__}: stored_as names {name}, {fault}")


def _unstorable(
    cls: type[Any], said: Any, fields: Container[str], named: Container[str]
) -> str | None:
    """Return why a value cannot be stored so, or None."""
    if not isinstance(said, tuple) or len(said) != len(("column", "function")):
        return "for which it has to say (column, function)"
    column, make = said
    if not callable(make) or iscoroutinefunction(make):
        return "for which it has to say (column, function), a plain function"
    if column not in fields:
        return f"stored as {column}, which {cls.model.__name__} has not"
    if column in named:
        return f"stored as {column}, which a schema takes from people as well"
    return None


def refuse_owned(
    cls: type[Any], schema: type[BaseModel], fields: Mapping[str, Column[Any]]
) -> None:
    """Raise Misconfigured where a schema lets people write what the server fills."""
    withheld = _withheld(cls)
    owned = [
        name
        for name in schema.model_fields
        if name in withheld or (name in fields and is_made(fields[name]))
    ]
    if owned:
        raise Misconfigured(
            f"{cls.__name__}: {schema.__name__} names {', '.join(owned)}, which the "
            "server fills; leave it out of the schema, or, where people give it, take "
            "the default, onupdate or autoincrement from the column"
        )
