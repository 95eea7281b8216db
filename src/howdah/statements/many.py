"""The statements that write many rows: all of them or none, in one round trip."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import (
    CTE,
    ClauseElement,
    Column,
    ColumnElement,
    Insert,
    Select,
    Update,
    delete,
    insert,
    literal_column,
    null,
    select,
    union_all,
    update,
)
from sqlalchemy.dialects import registry
from sqlalchemy.schema import DefaultClause

from howdah.statements.forms import quoted
from howdah.statements.given import POSITION, Given, absent, given_rows
from howdah.statements.layout import Layout, is_readable
from howdah.statements.shown import ROW, json_list, shown
from howdah.statements.writing import WRITTEN, marked

__all__ = (
    "create_many",
    "default_of",
    "delete_many",
    "in_order",
    "new_rows",
    "update_many",
)

_FOUND, _IDLE = "__found", "__idle"


def create_many(
    layout: Layout,
    names: Sequence[str],
    *,
    partly: Collection[str] = (),
    texts: Sequence[str] = (),
    same: Sequence[str] = (),
) -> ClauseElement:
    """Insert the rows of `given_rows`; a JSON list in the order given."""
    given = given_rows(layout, names, partly=partly, texts=texts, same=same)
    columns, rows = new_rows(given)
    write = insert(layout.table).from_select(columns, rows)
    return select(json_of_new(layout, write))


def json_of_new(layout: Layout, write: Insert) -> ColumnElement[str]:
    """Return the JSON list of the rows that this inserts."""
    written = write.returning(*shown(layout), *layout.held).cte(WRITTEN)
    row = select(*(written.c[name] for name in layout.columns)).subquery(ROW)
    return json_list(row)


def new_rows(given: Given) -> tuple[list[Column[Any]], Select[Any]]:
    """Return the columns of new rows, and what is given for them, in their order."""
    layout = given.layout
    columns = {name: layout.fields[name] for name in given.names}
    values: dict[Any, Any] = {
        column: given.value_or(name, default_of(column))
        for name, column in columns.items()
    }
    values |= layout.stamps
    rows = select(*values.values()).select_from(given.rows)
    return list(values), rows.order_by(given.position)


def update_many(
    layout: Layout,
    names: Sequence[str],
    *,
    partly: Collection[str] = (),
    idle: bool = False,
    texts: Sequence[str] = (),
    same: Sequence[str] = (),
) -> ClauseElement:
    """Change rows by their keys from the arrays of `given_rows`.

    Two values: a JSON list in the order given, and the positions of the rows that are
    not there; where any is not, nothing changes.
    """
    given = given_rows(
        layout, names, partly=partly, keyed=True, idle=idle, texts=texts, same=same
    )
    found = _found(given, is_readable(layout), idle=idle)
    missing = absent(given, found)
    answers = []
    if names:
        change = _assigned(given).where(given.is_key(), missing.is_(None))
        if idle:
            # What sends nothing changes nothing, not even the row's version.
            change = change.where(given.sends_something())
        written = change.returning(*shown(layout), given.position, *layout.held).cte(
            WRITTEN
        )
        answers.append(_answer(layout, written))
    if idle:
        answers.append(_answer(layout, found).where(found.c[_IDLE]))
    return select(in_order(layout, answers), missing)


def delete_many(layout: Layout, *, hard: bool) -> ClauseElement:
    """Mark rows as deleted, or remove them, by their keys from `given_rows`.

    One value: the positions of the rows that are not there; where any is not, nothing
    changes.
    """
    given = given_rows(layout, (), keyed=True)
    found = _found(given, () if hard else is_readable(layout))
    missing = absent(given, found)
    change = delete(layout.table) if hard else marked(layout)
    write = change.where(given.is_key(), missing.is_(None))
    held = () if hard else layout.held
    return select(missing).add_cte(write.returning(given.position, *held).cte(WRITTEN))


def default_of(column: Column[Any]) -> ColumnElement[Any]:
    """Return what the server fills a column with, as far as the metadata says."""
    default = column.server_default
    if not isinstance(default, DefaultClause):
        return null()
    arg: Any = default.arg
    if isinstance(arg, str):
        return quoted(arg)
    # A text can be no column of a subquery, and the same text as a column can.
    # Its own parameters as a part of the text: a plan has none but the request's.
    text = arg.compile(dialect=_POSTGRESQL, compile_kwargs={"literal_binds": True})
    return literal_column(f"({text})", column.type)


_POSTGRESQL: Any = registry.load("postgresql.asyncpg")()


def in_order(layout: Layout, answers: Sequence[Select[Any]]) -> ColumnElement[str]:
    """Return the JSON list of rows with their positions, in the order of those."""
    rows = (union_all(*answers) if len(answers) > 1 else answers[0]).subquery("__rows")
    columns = (rows.c[name] for name in layout.columns)
    ordered = select(*columns).order_by(rows.c[POSITION]).subquery(ROW)
    return select(json_list(ordered)).scalar_subquery()


def _answer(layout: Layout, rows: CTE) -> Select[Any]:
    """Return what is shown of rows, and their positions."""
    return select(*(rows.c[name] for name in layout.columns), rows.c[POSITION])


def _found(
    given: Given, known: Iterable[ColumnElement[bool]], *, idle: bool = False
) -> CTE:
    """Return the given rows that the table has, and keep others from changing them.

    They are locked in the order of their keys: two batches that meet wait for each
    other instead of deadlocking. What was deleted a moment ago is not found.
    """
    layout = given.layout
    kept = [*shown(layout), (~given.sends_something()).label(_IDLE)] if idle else []
    found = select(*kept, given.position)
    return (
        found.select_from(layout.table.join(given.rows, given.is_key()))
        .where(*known)
        .order_by(*layout.keys)
        .with_for_update(of=layout.table)
        .cte(_FOUND)
    )


def _assigned(given: Given) -> Update:
    """Return the update of the fields that each row sends, and of no others."""
    columns = {name: given.layout.fields[name] for name in given.names}
    return update(given.layout.table).values(
        {
            column: given.value_or(name, _unsent(column))
            for name, column in columns.items()
        }
    )


def _unsent(column: Column[Any]) -> ColumnElement[Any]:
    """Return what becomes of a field that a row does not send."""
    default: Any = column.onupdate
    return default.arg if getattr(default, "is_clause_element", False) else column
