"""Values into new and known rows, as the model itself takes them."""

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import sqlalchemy
from sqlalchemy.orm import RelationshipDirection, RelationshipProperty
from sqlalchemy.orm.attributes import flag_modified

from howdah.errors import Invalid

__all__ = ("changed", "deletes_by_itself", "made", "touched")


def made(model: type[Any], values: Mapping[str, Any]) -> Any:
    """Return a new row; what a validator of the model refuses is Invalid."""
    with _refused():
        if _takes_values(model):
            return model(**values)
        row = model()
    return changed(row, values)


def changed(row: Any, values: Mapping[str, Any]) -> Any:
    """Return the row with these values; refused as in `made`.

    It is written though it had them before, so that what is kept at each update is.
    """
    with _refused():
        for name, value in values.items():
            setattr(row, name, value)
            if not sqlalchemy.inspect(row).attrs[name].history.has_changes():
                flag_modified(row, name)
    return row


def touched(row: Any) -> Any:
    """Return the row, to be written once more with the values that it has."""
    mapper = sqlalchemy.inspect(type(row))
    plain = [a.key for a in mapper.column_attrs if not a.columns[0].primary_key]
    flag_modified(row, plain[0] if plain else mapper.column_attrs.keys()[0])
    return row


def deletes_by_itself(model: type[Any]) -> bool:
    """Say whether the ORM deletes a row as the database would.

    A session makes rows that refer to a deleted one refer to none, unless their
    relation says otherwise; the database refuses the deletion, on every store.
    """
    relations = sqlalchemy.inspect(model).relationships
    return not any(_is_let_go(relation) for relation in relations)


def _is_let_go(relation: RelationshipProperty[Any]) -> bool:
    if relation.direction is RelationshipDirection.MANYTOONE or relation.viewonly:
        return False
    return not (relation.cascade.delete or relation.passive_deletes == "all")


def _takes_values(model: type[Any]) -> bool:
    parameters = inspect.signature(model.__init__).parameters.values()
    return any(p.kind is p.VAR_KEYWORD or p.kind is p.KEYWORD_ONLY for p in parameters)


@contextmanager
def _refused() -> Iterator[None]:
    try:
        yield
    except ValueError as exc:
        raise Invalid(str(exc)) from exc
