"""Which rows of a batch break a rule: asked where the database has refused them.

PostgreSQL names the rule, never the row. The rule stands in the metadata, so it is
asked of each row what the row would have become. Where that cannot be said, a trigger
or a number of the server's own making, nothing is asked.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy
from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    ClauseElement,
    Column,
    ColumnElement,
    Computed,
    Dialect,
    ForeignKeyConstraint,
    FromClause,
    Identity,
    Index,
    PrimaryKeyConstraint,
    Select,
    Subquery,
    Table,
    UniqueConstraint,
    and_,
    case,
    cast,
    collate,
    func,
    literal_column,
    select,
    tuple_,
    union,
)
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql import CITEXT

from howdah.models import constraint_named, unique_where
from howdah.statements.forms import quoted
from howdah.statements.given import POSITION, Given
from howdah.statements.layout import Layout
from howdah.statements.many import default_of
from howdah.statements.upserting import change_name

__all__ = ("Becoming", "alike", "culprits", "without_value")

_ROWS = "__becoming"
_DIALECT: Dialect = registry.load("postgresql")()


class Becoming:
    """What the rows of a batch would have become, column by column, as far as known."""

    def __init__(
        self,
        layout: Layout,
        values: Mapping[Column[Any], ColumnElement[Any]],
        source: Select[Any],
        *,
        told_by: Sequence[Column[Any]] = (),
    ) -> None:
        self.table = layout.table
        self.told_by = tuple(told_by)
        """What tells a row of the table that the batch writes anew, if any."""
        self.known = {column.name for column in values}
        labels = (_as(c, value).label(c.name) for c, value in values.items())
        self.rows = source.add_columns(*labels).cte(_ROWS)

    @classmethod
    def new(cls, given: Given) -> "Becoming":
        """Take the rows for new ones."""
        source = select(given.position).select_from(given.rows)
        return cls(given.layout, _new_values(given), source)

    @classmethod
    def changed(cls, given: Given) -> "Becoming":
        """Take the rows for changes of those with their keys, or for their removal."""
        layout = given.layout
        values: dict[Column[Any], ColumnElement[Any]] = {
            column: column for column in layout.table.columns if _is_plain(column)
        }
        for name in given.names:
            column = layout.fields[name]
            values[column] = given.value_or(name, column)
        source = select(given.position).join_from(
            given.rows, layout.table, given.is_key()
        )
        return cls(layout, values, source, told_by=layout.keys)

    @classmethod
    def put(
        cls,
        given: Given,
        on: Sequence[str],
        changing: Sequence[str],
        seldom: Iterable[str],
    ) -> "Becoming":
        """Take the rows for new ones, or for changes of those that are known."""
        layout = given.layout
        columns = [layout.fields[name] for name in on]
        names = {column: name for name, column in layout.fields.items()}
        new, rare = _new_values(given), frozenset(seldom)
        there = layout.keys[0].is_not(None)

        def value(column: Column[Any]) -> ColumnElement[Any]:
            name, kept = names.get(column, ""), column
            if name in changing:
                if name not in rare:
                    return new[column]
                sent = given.rows.c[change_name(name)]
                return case((and_(there, ~sent), kept), else_=new[column])
            return case((there, kept), else_=new[column])

        same = and_(*(column == new[column] for column in columns))
        where = unique_where(layout.table, columns)
        known = same if where is None else and_(same, where)
        source = select(given.position).select_from(
            given.rows.outerjoin(layout.table, known)
        )
        values = {column: value(column) for column in new}
        return cls(layout, values, source, told_by=columns)


def _as(column: Column[Any], value: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return a value that is compared as its column is: texts may differ in case."""
    if isinstance(column.type, CITEXT):
        return cast(value, CITEXT)
    collation = getattr(column.type, "collation", None)
    return value if collation is None else collate(value, collation)


def culprits(becoming: Becoming, name: str, *, removed: bool) -> ClauseElement | None:
    """Return the statement for the rows that break the rule with this name, if any can.

    One value: their positions. With removed, the rule is that of rows that refer to
    those that are removed.
    """
    if removed:
        return _told(becoming, _still_referred(becoming, name))
    rule = constraint_named(name, becoming.table)
    for kind, find in _FINDERS.items():
        if isinstance(rule, kind):
            return _told(becoming, find(becoming, rule))
    return None


def alike(becoming: Becoming, columns: Sequence[Column[Any]]) -> ClauseElement:
    """Return the statement for the rows whose values an earlier one has as well."""
    rows = becoming.rows
    values = [rows.c[column.name].label(_part(n)) for n, column in enumerate(columns)]
    found = _twice(select(rows.c[POSITION], *values).subquery("__mine"), len(values))
    positions = found.subquery("__alike").c[POSITION]
    return select(func.array_agg(positions, type_=ARRAY(BigInteger)))


def without_value(becoming: Becoming, column: str) -> ClauseElement | None:
    """Return the statement for the rows that have no value in a column."""
    if column not in becoming.known:
        return None
    rows = becoming.rows
    empty = select(rows.c[POSITION]).where(rows.c[column].is_(None))
    return _told(becoming, empty)


def _new_values(given: Given) -> dict[Column[Any], ColumnElement[Any]]:
    layout = given.layout
    names = {column: name for name, column in layout.fields.items()}
    values: dict[Column[Any], ColumnElement[Any]] = {}
    for column in layout.table.columns:
        name = names.get(column)
        if name in given.names and name is not None:
            values[column] = given.value_or(name, default_of(column))
        elif _is_plain(column) and not _is_numbered(column):
            values[column] = default_of(column)
    values |= layout.stamps
    return values


def _is_plain(column: Column[Any]) -> bool:
    return not isinstance(column.server_default, Computed)


def _is_numbered(column: Column[Any]) -> bool:
    automatic = column.table.autoincrement_column is column
    return automatic or isinstance(column.server_default, Identity)


def _told(becoming: Becoming, found: Select[Any] | None) -> ClauseElement | None:
    """Return the positions of what was found; none where a trigger changes rows."""
    if found is None:
        return None
    rows = found.subquery("__culprits")
    numbers = func.array_agg(rows.c[POSITION].distinct(), type_=ARRAY(BigInteger))
    name = _DIALECT.identifier_preparer.format_table(becoming.table)
    triggers = select(_ONE).where(
        _TRIGGERS.c.tgrelid == func.to_regclass(quoted(name)),
        ~_TRIGGERS.c.tgisinternal,
        # For each row, before it is written.
        literal_column("tgtype & 3 = 3", sqlalchemy.Boolean),
    )
    return select(numbers).where(~triggers.exists())


_ONE: ColumnElement[int] = literal_column("1")
_TRIGGERS = sqlalchemy.table(
    "pg_trigger",
    sqlalchemy.column("tgrelid"),
    sqlalchemy.column("tgisinternal", sqlalchemy.Boolean),
    schema="pg_catalog",
)


def _taken(becoming: Becoming, rule: Any) -> Select[Any] | None:
    """Find rows whose unique value another row has, of the table or of the batch."""
    where = None
    parts: Sequence[Any] = tuple(getattr(rule, "columns", ()))
    if isinstance(rule, Index):
        if not rule.unique:
            return None
        parts = tuple(rule.expressions)
        where = rule.dialect_options["postgresql"]["where"]
    texts = [_text(part) for part in parts]
    condition = None if where is None else _text(where)
    if not _is_known(becoming, [*texts, *([condition] if condition else [])]):
        return None
    mine = _parted(becoming.rows.alias(becoming.table.name), texts, condition, "__mine")
    theirs = _parted(
        becoming.table, texts, condition, "__theirs", also=becoming.told_by
    )
    pairs = [mine.c[_part(n)] == theirs.c[_part(n)] for n, _ in enumerate(texts)]
    outside = select(mine.c[POSITION]).join_from(mine, theirs, and_(*pairs))
    if becoming.told_by:
        told = [column.name for column in becoming.told_by]
        written = select(*(becoming.rows.c[name] for name in told))
        known = tuple_(*(theirs.c[_told_by(name)] for name in told))
        outside = outside.where(known.not_in(written))
    return select(union(outside, _twice(mine, len(texts))).subquery("__both"))


def _twice(mine: Subquery, parts: int) -> Select[Any]:
    """Find rows whose value an earlier row of the batch has as well."""
    values = [mine.c[_part(number)] for number in range(parts)]
    turn = func.row_number().over(partition_by=values, order_by=mine.c[POSITION])
    full = and_(*(value.is_not(None) for value in values))
    counted = select(mine.c[POSITION], turn.label("__turn")).where(full)
    counted_rows = counted.subquery("__counted")
    return select(counted_rows.c[POSITION]).where(counted_rows.c["__turn"] > _ONE)


def _lost(becoming: Becoming, rule: Any) -> Select[Any] | None:
    """Find rows that refer to none; those of the batch may refer to each other."""
    columns = [element.parent for element in rule.elements]
    referred = [element.column for element in rule.elements]
    if not {column.name for column in columns} <= becoming.known:
        return None
    rows = becoming.rows
    values = [rows.c[column.name] for column in columns]
    there = referred[0].table.alias("__referred")
    same = (
        there.c[column.key] == value
        for column, value in zip(referred, values, strict=True)
    )
    found = select(rows.c[POSITION]).where(
        *(value.is_not(None) for value in values),
        ~select(_ONE).select_from(there).where(*same).exists(),
    )
    names = [column.name for column in referred]
    if referred[0].table is not becoming.table or not set(names) <= becoming.known:
        return found
    others = rows.alias("__others")
    same = (others.c[name] == value for name, value in zip(names, values, strict=True))
    return found.where(~select(_ONE).select_from(others).where(*same).exists())


def _still_referred(becoming: Becoming, name: str) -> Select[Any] | None:
    """Find rows that others refer to."""
    for table in becoming.table.metadata.tables.values():
        rule = constraint_named(name, table)
        if not isinstance(rule, ForeignKeyConstraint):
            continue
        if rule.referred_table is not becoming.table:
            continue
        referring = table.alias("__referring")
        same = (
            referring.c[element.parent.key] == becoming.rows.c[element.column.name]
            for element in rule.elements
        )
        found = select(_ONE).select_from(referring).where(*same)
        if table is becoming.table:
            keys = [column.name for column in becoming.told_by]
            gone = select(*(becoming.rows.c[key] for key in keys))
            own = tuple_(*(referring.c[column.key] for column in becoming.told_by))
            found = found.where(own.not_in(gone))
        return select(becoming.rows.c[POSITION]).where(found.exists())
    return None


def _broken(becoming: Becoming, rule: Any) -> Select[Any] | None:
    """Find rows that a check refuses."""
    text = _text(rule.sqltext)
    if not _is_known(becoming, [text]):
        return None
    rows = becoming.rows.alias(becoming.table.name)
    return select(rows.c[POSITION]).where(literal_column(f"NOT ({text})"))


_FINDERS: Mapping[type[Any], Callable[[Becoming, Any], Select[Any] | None]] = {
    CheckConstraint: _broken,
    ForeignKeyConstraint: _lost,
    Index: _taken,
    PrimaryKeyConstraint: _taken,
    UniqueConstraint: _taken,
}


def _parted(
    source: FromClause,
    texts: Sequence[str],
    where: str | None,
    name: str,
    *,
    also: Sequence[Column[Any]] = (),
) -> Subquery:
    """Return the parts of a rule for each row of a source that it is about."""
    parts: list[ColumnElement[Any]] = [
        literal_column(text).label(_part(number)) for number, text in enumerate(texts)
    ]
    parts += [column.label(_told_by(column.name)) for column in also]
    if isinstance(source, Table):
        found = select(*parts).select_from(source)
    else:
        found = select(source.c[POSITION], *parts).select_from(source)
    if where is not None:
        found = found.where(literal_column(where))
    return found.subquery(name)


def _part(number: int) -> str:
    return f"__part_{number}"


def _told_by(name: str) -> str:
    return f"__told_{name}"


def _text(element: Any) -> str:
    """Return an expression of the metadata as DDL has it, without parameters."""
    options = {"literal_binds": True, "include_table": False}
    return str(element.compile(dialect=_DIALECT, compile_kwargs=options))


def _is_known(becoming: Becoming, texts: Iterable[str]) -> bool:
    """Say whether it is known what becomes of every column that a text names."""
    words = {word for text in texts for word in re.findall(r"\w+", text)}
    columns = {column.name for column in becoming.table.columns}
    return columns & words <= becoming.known
