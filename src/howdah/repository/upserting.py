"""INSERT ... ON CONFLICT DO UPDATE of a model, for PostgreSQL and SQLite. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Column
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import ReturningInsert

from howdah.errors import Misconfigured
from howdah.models import mapped_columns, unique_where

__all__ = ("upserted",)

_INSERTS: Mapping[str, Any] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}


def upserted(
    model: type[Any], rows: Sequence[Mapping[str, Any]], on: Sequence[str], dialect: str
) -> ReturningInsert[Any]:
    """Return the statement that inserts rows or changes those in their way.

    Only the fields that the rows set change, and columns with an `onupdate`.
    """
    fields = mapped_columns(model)
    names = _same_names(rows)
    _known(model, fields, (*names, *on))
    key = [fields[name] for name in on]
    where = unique_where(model.__table__, key)
    write = _INSERTS[dialect](model).values(list(rows))
    changed = _changed(fields, [name for name in names if name not in on], write)
    changed = changed or {key[0]: write.excluded[key[0].name]}
    statement: ReturningInsert[Any] = write.on_conflict_do_update(
        index_elements=key, index_where=where, set_=_by_name(changed)
    ).returning(model)
    # A row that the session knows already gets its new values.
    return statement.execution_options(populate_existing=True)


def _changed(
    fields: Mapping[str, Column[Any]], names: Sequence[str], write: Any
) -> dict[Column[Any], Any]:
    """Return what changes in the row that is in the way."""
    changed = {fields[name]: write.excluded[fields[name].name] for name in names}
    for column in fields.values():
        default: Any = column.onupdate
        if default is not None and column not in changed:
            changed[column] = default.arg(None) if default.is_callable else default.arg
    return changed


def _by_name(changed: Mapping[Column[Any], Any]) -> dict[str, Any]:
    return {column.name: value for column, value in changed.items()}


def _same_names(rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    names = tuple(rows[0])
    if any(set(row) != set(names) for row in rows):
        raise Misconfigured(
            "the rows of one upsert_many set different fields; call it once for each"
        )
    return names


def _known(
    model: type[Any], fields: Mapping[str, Column[Any]], names: Sequence[str]
) -> None:
    unknown = [name for name in names if name not in fields]
    if unknown:
        raise Misconfigured(
            f"{model.__name__} has no {', '.join(unknown)}; it has {', '.join(fields)}"
        )
