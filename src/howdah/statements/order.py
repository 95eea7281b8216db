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
    and_,
    false,
    or_,
    tuple_,
)
from sqlalchemy.types import TypeEngine

from howdah.query import Query
from howdah.statements.layout import Layout
from howdah.statements.places import NAMED, Places, compared_as

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
        clause = self.column.desc() if down else self.column.asc()
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
        beyond = self.column < place if down else self.column > place
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
        None
        if value is None
        else places.one(position_name(number), compared_as(part.column.type))
        for number, (part, value) in enumerate(zip(parts, position, strict=True))
    ]
    alike = {(part.descending, part.column.nullable) for part in parts}
    if alike in ({(False, False)}, {(True, False)}):
        # One comparison of rows, which one index serves.
        columns = tuple_(*(part.column for part in parts))
        down = parts[0].descending is not backward
        return columns < tuple_(*here) if down else columns > tuple_(*here)
    chain = []
    for number, part in enumerate(parts):
        before = [p.at(position[n], here[n]) for n, p in enumerate(parts[:number])]
        beyond = part.behind(position[number], here[number], backward=backward)
        chain.append(and_(*before, beyond))
    return or_(*chain)


def _type(part: Part) -> TypeEngine[Any]:
    return compared_as(part.column.type)


def order_columns(layout: Layout, query: Query) -> list[Column[Any]]:
    """Return the columns whose values make a position: the sort's, then the key."""
    return [part.column for part in order(layout, query)]


def position_name(number: int) -> str:
    """Return the name of the parameter of a page's position, counted from 0."""
    return f"__position_{number}"
