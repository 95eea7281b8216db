"""The statements that insert a row, or change the one that is in its way.

Rows are known by columns that are unique together, perhaps under a condition. What is
sent for a known row changes it, as far as it may be changed; `updated_at` and its like
are filled in, a mark of deletion is taken back, and everything else stays.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    CTE,
    Boolean,
    ClauseElement,
    Column,
    ColumnElement,
    Dialect,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    null,
    select,
    true,
    tuple_,
)
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql import Insert, insert

from howdah.models import unique_where
from howdah.statements.given import Given, given_rows
from howdah.statements.layout import Layout
from howdah.statements.many import new_rows
from howdah.statements.shown import ROW, json_list, shown
from howdah.statements.writing import (
    TAG,
    WRITTEN,
    json_of_written,
    key_of_written,
    placed,
    written_by,
)

__all__ = ("change_name", "touch_name", "upsert", "upsert_many")

_CREATED = "__created"
_DIALECT: Dialect = registry.load("postgresql")()


def upsert(
    layout: Layout,
    names: Iterable[str],
    *,
    on: Sequence[str],
    changing: Collection[str],
) -> ClauseElement:
    """Insert a row, or change in the known one the fields that are `changing`.

    Four values: its JSON, its tag, whether it is new, and its key; no row at all where
    one is in the way that may not be touched. Parameters: the `value_name` of each
    column, and the `touch_name` of each field that Python fills in on updates.
    """
    values: dict[Any, Any] = {**placed(layout, names), **layout.stamps}
    write = insert(layout.table).values(values)
    sets = {name: write.excluded[layout.fields[name].key] for name in changing}
    created = _is_new().label(_CREATED)
    written = written_by(layout, _known(layout, write, on, sets), created)
    return select(
        json_of_written(layout, written),
        written.c[TAG],
        written.c[_CREATED],
        *key_of_written(layout, written),
    )


def upsert_many(
    layout: Layout,
    names: Sequence[str],
    *,
    partly: Collection[str] = (),
    texts: Sequence[str] = (),
    same: Sequence[str] = (),
    on: Sequence[str],
    changing: Sequence[str],
    seldom: Collection[str] = (),
) -> ClauseElement:
    """Insert rows, or change the known ones, from the arrays of `given_rows`.

    A JSON list in the order given. The fields that are `seldom` among the changing ones
    change where the row's `change_name` says so.
    """
    flags = [change_name(name) for name in changing if name in seldom]
    given = given_rows(
        layout, names, partly=partly, flags=flags, texts=texts, same=same
    )
    columns, rows = new_rows(given)
    write = insert(layout.table).from_select(columns, rows)
    sets = {
        name: _where_sent(given, write, on, name)
        if name in seldom
        else write.excluded[layout.fields[name].key]
        for name in changing
    }
    write = _known(layout, write, on, sets)
    written = write.returning(*shown(layout), *layout.held).cte(WRITTEN)
    # One row comes out for each that goes in, in the same order.
    row = select(*(written.c[name] for name in layout.columns)).subquery(ROW)
    return select(json_list(row), *_all_of(given, written))


def touch_name(field: str) -> str:
    """Return the name of the parameter of what Python fills in on an update."""
    return f"__touch_{field}"


def change_name(field: str) -> str:
    """Return the name of the parameter that says which known rows a field changes."""
    return f"__change_{field}"


def _known(
    layout: Layout,
    write: Insert,
    on: Sequence[str],
    sets: Mapping[str, ColumnElement[Any]],
) -> Insert:
    """Return the insertion that changes rows in its way."""
    columns = [layout.fields[name] for name in on]
    changes: dict[Any, Any] = {layout.fields[n]: value for n, value in sets.items()}
    touched = {**_touched(layout), **_restored(layout)} if sets else _restored(layout)
    # Without any change there would be no row to answer with.
    changes = {**touched, **changes} or {columns[0]: write.excluded[columns[0].key]}
    return write.on_conflict_do_update(
        index_elements=columns,
        index_where=_condition(layout, columns),
        set_=changes,
        where=and_(true(), *layout.within) if layout.within else None,
    )


def _all_of(given: Given, written: CTE) -> Iterable[ColumnElement[Any]]:
    """Yield what fails, and undoes everything, where a row is not written.

    Only those are that have a row in their way which is out of scope.
    """
    if given.layout.scope is None:
        return
    counts = (select(func.count()).select_from(rows) for rows in (given.rows, written))
    sent, stored = (count.scalar_subquery() for count in counts)
    one: ColumnElement[int] = literal_column("1")
    zero: ColumnElement[int] = literal_column("0")
    # 2201E, which nothing else is likely to raise; errors.py makes Duplicate of it.
    yield func.ln(case((sent == stored, one), else_=zero))


def _condition(
    layout: Layout, columns: Sequence[Column[Any]]
) -> ColumnElement[bool] | None:
    """Return the condition of a partial index as its DDL has it, without parameters."""
    where = unique_where(layout.table, columns)
    if where is None:
        return None
    options = {"literal_binds": True, "include_table": False}
    text = where.compile(dialect=_DIALECT, compile_kwargs=options)
    return literal_column(str(text), Boolean)


def _touched(layout: Layout) -> dict[Column[Any], Any]:
    """Return what updates fill in by themselves."""
    touched: dict[Column[Any], Any] = {}
    for name, column in layout.fields.items():
        default: Any = column.onupdate
        if getattr(default, "is_clause_element", False):
            touched[column] = default.arg
        elif default is not None:
            touched[column] = bindparam(touch_name(name), type_=column.type)
    return touched


def _restored(layout: Layout) -> dict[Column[Any], Any]:
    """Return what makes a deleted row one that is there."""
    mark = layout.soft_delete
    if mark is None:
        return {}
    return {mark: true() if isinstance(mark.type, Boolean) else null()}


def _where_sent(
    given: Given, write: Insert, on: Sequence[str], name: str
) -> ColumnElement[Any]:
    """Return what a known row gets in a field that only some rows of a batch send.

    Only what is inserted can be seen from here, not the row that it comes from, so that
    is found again by what it is known by. The subquery is hashed once.
    """
    column = given.layout.fields[name]
    # What a scope gives to all rows, whatever they send, tells none from another.
    told = [n for n in on if n in given.names and n not in given.layout.stamped]
    known = tuple_(*(write.excluded[given.layout.fields[n].key] for n in told))
    sent = given.rows.c[change_name(name)]
    rows = select(*(given.value(n) for n in told)).where(sent)
    return case((known.in_(rows), write.excluded[column.key]), else_=column)


def _is_new() -> ColumnElement[bool]:
    # PostgreSQL locks a row that is in the way before it changes it, and the lock's
    # holder stays in xmax; a row that was inserted this moment was never locked.
    return literal_column("xmax") == literal_column("0")
