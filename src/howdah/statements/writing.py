"""The statements that write: each its own transaction, each answering with JSON."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import (
    CTE,
    BindParameter,
    Boolean,
    ClauseElement,
    Column,
    ColumnElement,
    Delete,
    Insert,
    Update,
    bindparam,
    case,
    delete,
    false,
    func,
    insert,
    literal_column,
    null,
    select,
    true,
    update,
)

from howdah.errors import Misconfigured
from howdah.statements.given import value_name
from howdah.statements.layout import (
    Layout,
    is_key,
    is_match,
    is_readable,
    tag,
    uncut,
)
from howdah.statements.shown import json_of, shown

__all__ = (
    "TAG",
    "WRITTEN",
    "create",
    "hard_delete",
    "json_of_written",
    "key_of_written",
    "marked",
    "placed",
    "restore",
    "soft_delete",
    "update_row",
    "written_by",
)

# No column has such a name; one named like a table would stand for it in `f(table)`.
TAG, WRITTEN = "__tag", "__written"


def create(layout: Layout, names: Iterable[str]) -> ClauseElement:
    """Insert a row from the `value_name` of each column: its JSON, tag and key."""
    values: dict[Any, Any] = {**placed(layout, names), **layout.stamps}
    written = written_by(layout, insert(layout.table).values(values))
    return select(
        json_of_written(layout, written),
        written.c[TAG],
        *key_of_written(layout, written),
    )


def update_row(
    layout: Layout, names: Iterable[str], *, matched: bool = False
) -> ClauseElement:
    """Change a row by its key from the `value_name` of each column; see `_changed`."""
    change = update(layout.table).values(placed(layout, names))
    known = (is_key(layout), *is_readable(layout))
    return _changed(layout, change, known, matched=matched)


def soft_delete(layout: Layout, *, matched: bool = False) -> ClauseElement:
    """Mark a row as deleted by its key; see `_changed`."""
    known = (is_key(layout), *is_readable(layout))
    return _changed(layout, marked(layout), known, matched=matched)


def restore(layout: Layout, *, matched: bool = False) -> ClauseElement:
    """Take back the mark of deletion by its key; see `_changed`."""
    column = _mark(layout)
    back = true() if isinstance(column.type, Boolean) else null()
    change = update(layout.table).values({column: back})
    return _changed(layout, change, (is_key(layout),), matched=matched)


def hard_delete(layout: Layout, *, matched: bool = False) -> ClauseElement:
    """Remove a row by its key; see `_changed`."""
    change = delete(layout.table)
    return _changed(layout, change, (is_key(layout),), matched=matched)


def marked(layout: Layout) -> Update:
    """Return the update that marks rows as deleted, whichever they are."""
    column = _mark(layout)
    gone = false() if isinstance(column.type, Boolean) else func.now()
    return update(layout.table).values({column: gone})


def placed(
    layout: Layout, names: Iterable[str]
) -> dict[Column[Any], BindParameter[Any]]:
    """Return the parameters of a row's values, by the columns that they go into."""
    columns = {name: layout.fields[name] for name in names}
    return {
        column: bindparam(value_name(name), type_=uncut(column.type))
        for name, column in columns.items()
    }


def _mark(layout: Layout) -> Column[Any]:
    if layout.soft_delete is None:
        raise Misconfigured(f"table {layout.table.name!r} has no soft delete")
    return layout.soft_delete


def _changed(
    layout: Layout,
    change: Update | Delete,
    known: Sequence[ColumnElement[bool]],
    *,
    matched: bool,
) -> ClauseElement:
    """Return the JSON and tag of the row that is known by these, where it changed.

    With matched, only a row in one of the versions `MATCH` does, and there is a third
    value: whether there is such a row in any version, to tell 412 from 404.
    """
    change = change.where(*known)
    if not matched:
        written = written_by(layout, change)
        return select(json_of_written(layout, written), written.c[TAG])
    written = written_by(layout, change.where(is_match()))
    one: ColumnElement[int] = literal_column("1")
    there = select(one).select_from(layout.table).where(*known).exists()
    asked = select(there.label("there")).subquery("__asked")
    # No row at all would have a JSON as well, made of nulls; its tag is none.
    row = case((written.c[TAG].is_not(None), json_of_written(layout, written)))
    return select(row, written.c[TAG], asked.c.there).select_from(
        asked.outerjoin(written, true())
    )


def written_by(
    layout: Layout, write: Insert | Update | Delete, *more: ColumnElement[Any]
) -> CTE:
    """Return the rows as they have become: what is shown, their tag, and a check."""
    held = () if isinstance(write, Delete) else layout.held
    more = (*more, *held)
    return write.returning(*shown(layout), tag().label(TAG), *more).cte(WRITTEN)


def json_of_written(layout: Layout, written: CTE) -> ColumnElement[str]:
    """Return the JSON of a row that was written."""
    return json_of((written.c[name] for name in layout.columns), written)


def key_of_written(layout: Layout, written: CTE) -> Iterable[ColumnElement[Any]]:
    """Yield the new row's key, NULL where the resource does not show it."""
    names = {column: name for name, column in layout.columns.items()}
    for column in layout.keys:
        yield written.c[names[column]] if column in names else null()
