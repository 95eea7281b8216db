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
    Label,
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
)
from howdah.statements.shown import json_of, shown

__all__ = (
    "create",
    "hard_delete",
    "inserted",
    "marked",
    "placed",
    "restore",
    "soft_delete",
    "update_row",
)


def create(layout: Layout, names: Iterable[str]) -> ClauseElement:
    """Insert a row from the `value_name` of each column: its JSON, tag and key."""
    return inserted(layout, insert(layout.table).values(placed(layout, names)))


def inserted(layout: Layout, write: Insert, *more: Label[Any]) -> ClauseElement:
    """Return the JSON, the tag, what more is asked, and the key of a new row."""
    written = _written(layout, write, *more)
    asked = (_TAG, *(column.name for column in more))
    columns = (written.c[name] for name in asked)
    return select(_json(layout, written), *columns, *_keys_of(layout, written))


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


# No column has such a name; one named like a table would stand for it in `f(table)`.
_TAG, _WRITTEN = "__tag", "__written"


def placed(
    layout: Layout, names: Iterable[str]
) -> dict[Column[Any], BindParameter[Any]]:
    """Return the parameters of a row's values, by the columns that they go into."""
    columns = {name: layout.fields[name] for name in names}
    return {
        column: bindparam(value_name(name), type_=column.type)
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
        written = _written(layout, change)
        return select(_json(layout, written), written.c[_TAG])
    written = _written(layout, change.where(is_match()))
    one: ColumnElement[int] = literal_column("1")
    there = select(one).select_from(layout.table).where(*known).exists()
    asked = select(there.label("there")).subquery("__asked")
    # No row at all would have a JSON as well, made of nulls; its tag is none.
    row = case((written.c[_TAG].is_not(None), _json(layout, written)))
    return select(row, written.c[_TAG], asked.c.there).select_from(
        asked.outerjoin(written, true())
    )


def _written(layout: Layout, write: Insert | Update | Delete, *more: Label[Any]) -> CTE:
    return write.returning(*shown(layout), tag().label(_TAG), *more).cte(_WRITTEN)


def _json(layout: Layout, written: CTE) -> ColumnElement[str]:
    return json_of((written.c[name] for name in layout.columns), written)


def _keys_of(layout: Layout, written: CTE) -> Iterable[ColumnElement[Any]]:
    """Yield the new row's key, NULL where the resource does not show it."""
    names = {column: name for name, column in layout.columns.items()}
    for column in layout.keys:
        yield written.c[names[column]] if column in names else null()
