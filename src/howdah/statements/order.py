"""Sort into ORDER BY, and a position into the condition of what lies behind it.

NULLs have a place in every order, so a walk over a column with NULLs meets each row
once; the primary key breaks all ties.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Enum,
    String,
    and_,
    false,
    or_,
    tuple_,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from howdah.query import Query
from howdah.statements.layout import Layout
from howdah.statements.places import NAMED, Places

__all__ = ("Part", "behind", "order", "order_columns", "position_name")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """One column of an order, and where its NULLs stand."""

    column: Column[Any]
    descending: bool = False
    nulls_first: bool = False

    def clause(self, *, backward: bool) -> ColumnElement[Any]:
        """Return the column's part of ORDER BY."""
        down = self.descending is not backward
        place = _place(self.column)
        clause: ColumnElement[Any] = place.desc() if down else place.asc()
        if not self.column.nullable:
            # Said for nothing, it would keep PostgreSQL from using an index.
            return clause
        first = self.nulls_first is not backward
        return clause.nulls_first() if first else clause.nulls_last()

    def at(self, value: object, place: Any) -> ColumnElement[bool]:
        """Return the condition of rows that stand with the position in this column."""
        return self.column.is_(None) if value is None else self.column == place

    def behind(
        self, value: object, place: Any, *, backward: bool
    ) -> ColumnElement[bool]:
        """Return the condition of rows that stand behind the position."""
        nulls_behind = self.column.nullable and self.nulls_first is backward
        if value is None:
            return false() if nulls_behind else self.column.is_not(None)
        down = self.descending is not backward
        here, there = _place(self.column), _place(place)
        beyond = here < there if down else here > there
        return or_(beyond, self.column.is_(None)) if nulls_behind else beyond


def order(layout: Layout, query: Query) -> list[Part]:
    """Return the order that was asked for; the key always breaks ties."""
    parts = [
        Part(
            column=layout.fields[part.field],
            descending=part.descending,
            nulls_first=part.nulls_first,
        )
        for part in query.sort
    ]
    named = [part.column for part in parts]
    rest = [column for column in layout.keys if all(column is not n for n in named)]
    return [*parts, *(Part(column=column) for column in rest)]


def behind(
    parts: Sequence[Part],
    position: Sequence[object],
    *,
    backward: bool,
    places: Places = NAMED,
) -> ColumnElement[bool]:
    """Return the condition of rows behind a position, in the order or against it."""
    here = [
        None if value is None else places.one(position_name(number), part.column.type)
        for number, (part, value) in enumerate(zip(parts, position, strict=True))
    ]
    alike = {(part.descending, part.column.nullable) for part in parts}
    if alike in ({(False, False)}, {(True, False)}):
        # One comparison of rows, which one index serves.
        columns = tuple_(*(_place(part.column) for part in parts))
        placed = tuple_(*(_place(place) for place in here))
        down = parts[0].descending is not backward
        return columns < placed if down else columns > placed
    chain = []
    for number, part in enumerate(parts):
        before = [p.at(position[n], here[n]) for n, p in enumerate(parts[:number])]
        beyond = part.behind(position[number], here[number], backward=backward)
        chain.append(and_(*before, beyond))
    return or_(*chain)


def order_columns(layout: Layout, query: Query) -> list[Column[Any]]:
    """Return the columns whose values make a position: the sort's, then the key."""
    return [part.column for part in order(layout, query)]


class _Declared(FunctionElement[Any]):
    """A value of an enum, in the order in which its values are declared."""

    inherit_cache = True


@compiles(_Declared)
def _as_it_is(element: _Declared, compiler: Any, **options: Any) -> str:
    # PostgreSQL's own enums have this order.
    return str(compiler.process(*element.clauses, **options))


@compiles(_Declared, "sqlite")
def _by_number(element: _Declared, compiler: Any, **options: Any) -> str:
    (value,) = element.clauses
    label: Any = compiler.render_literal_value
    cases = " ".join(
        f"WHEN {label(name, String())} THEN {number}"
        for number, name in enumerate(value.type.enums)  # type: ignore[attr-defined] # an Enum
    )
    return f"CASE {compiler.process(value, **options)} {cases} END"


def _place(value: Any) -> Any:
    """Return what puts a value into its place, which an enum has by its declaration."""
    is_enum = isinstance(value.type, Enum) and value.type.native_enum
    return _Declared(value) if is_enum else value


def position_name(number: int) -> str:
    """Return the name of the parameter of a page's position, counted from 0."""
    return f"__position_{number}"
