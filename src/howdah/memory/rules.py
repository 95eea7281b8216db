"""What foreign keys say of rows that are written, and of rows that go."""

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import ForeignKeyConstraint, Table

from howdah.errors import MissingReference, StillReferenced
from howdah.meaning import Values, check_row
from howdah.memory.tables import Change, Tables

__all__ = ("check_references",)


def check_references(change: Change) -> None:
    """Follow what foreign keys say of rows that went, and raise where they dangle."""
    for table, old, new in tuple(change.moves()):
        _follow(change, table, old, new)
    for table, values in change.written():
        for key in _references(table):
            if not _leads_somewhere(change, key, values):
                raise MissingReference().naming(_names(key))


def _follow(change: Change, table: Table, old: Values, new: Values | None) -> None:
    """Do with rows that refer to one that went what their foreign keys say."""
    for key in _referring(table):
        theirs = [element.column for element in key.elements]
        gone = tuple(old[column] for column in theirs)
        if None in gone or (new and gone == tuple(new[c] for c in theirs)):
            continue
        if _has(change, table, theirs, gone):
            continue
        for values in _with(change, key, gone):
            _act(change, key, values, new)


def _act(
    change: Change, key: ForeignKeyConstraint, values: Values, new: Values | None
) -> None:
    action = (key.ondelete if new is None else key.onupdate) or ""
    table = key.table
    at = tuple(values[column] for column in table.primary_key.columns)
    if action.upper() == "CASCADE" and new is None:
        change.remove(table, at)
        _follow(change, table, values, None)
        return
    changed: Mapping[Any, Any]
    if action.upper() == "CASCADE" and new is not None:
        changed = {e.parent: new[e.column] for e in key.elements}
    elif action.upper() == "SET NULL":
        changed = dict.fromkeys(key.columns)
    else:
        raise StillReferenced().naming(_names(key))
    written = {**values, **changed}
    check_row(table, written, change.now)
    change.put(table, written, at=at)
    _follow(change, table, values, written)


def _leads_somewhere(tables: Tables, key: ForeignKeyConstraint, values: Values) -> bool:
    given = tuple(values[column] for column in key.columns)
    if None in given:
        return True
    theirs = [element.column for element in key.elements]
    return _has(tables, key.referred_table, theirs, given)


def _has(tables: Tables, table: Table, columns: list[Any], value: Any) -> bool:
    if columns == list(table.primary_key.columns):
        return value in tables.table(table)
    return any(
        tuple(row[column] for column in columns) == value for row in tables.rows(table)
    )


def _with(tables: Tables, key: ForeignKeyConstraint, value: Any) -> list[Values]:
    columns = list(key.columns)
    return [
        row
        for row in tables.rows(key.table)
        if tuple(row[column] for column in columns) == value
    ]


def _references(table: Table) -> Iterator[ForeignKeyConstraint]:
    yield from sorted(table.foreign_key_constraints, key=lambda key: str(key.name))


def _referring(table: Table) -> Iterator[ForeignKeyConstraint]:
    for other in table.metadata.tables.values():
        for key in _references(other):
            if key.referred_table is table:
                yield key


def _names(key: ForeignKeyConstraint) -> tuple[str, ...]:
    return tuple(column.name for column in key.columns)
