"""Sort into ORDER BY, and a position into the condition of what lies behind it.

NULLs have a place in every order, so a walk over a column with NULLs meets each row
once; the primary key breaks all ties.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BindParameter,
    Column,
    ColumnElement,
    and_,
    bindparam,
    false,
    or_,
    tuple_,
)

from howdah.query import Query
from howdah.statements.layout import Layout

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

    def at(self, number: int, value: object) -> ColumnElement[bool]:
        """Return the condition of rows that stand with the position in this column."""
        if value is None:
            return self.column.is_(None)
        return self.column == self.place(number)

    def behind(
        self, number: int, value: object, *, backward: bool
    ) -> ColumnElement[bool]:
        """Return the condition of rows that stand behind the position."""
        nulls_behind = self.column.nullable and self.nulls_first is backward
        if value is None:
            return false() if nulls_behind else self.column.is_not(None)
        down = self.descending is not backward
        place = self.place(number)
        beyond = self.column < place if down else self.column > place
        return or_(beyond, self.column.is_(None)) if nulls_behind else beyond

    def place(self, number: int) -> BindParameter[Any]:
        """Return the parameter of the position's value in this column."""
        return bindparam(position_name(number), type_=self.column.type)


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
    parts: Sequence[Part], position: Sequence[object], *, backward: bool
) -> ColumnElement[bool]:
    """Return the condition of rows behind a position, in the order or against it."""
    alike = {(part.descending, part.column.nullable) for part in parts}
    if alike in ({(False, False)}, {(True, False)}):
        # One comparison of rows, which one index serves.
        columns = tuple_(*(part.column for part in parts))
        places = tuple_(*(part.place(number) for number, part in enumerate(parts)))
        down = parts[0].descending is not backward
        return columns < places if down else columns > places
    chain = []
    for number, part in enumerate(parts):
        before = [p.at(n, position[n]) for n, p in enumerate(parts[:number])]
        here = part.behind(number, position[number], backward=backward)
        chain.append(and_(*before, here))
    return or_(*chain)


def order_columns(layout: Layout, query: Query) -> list[Column[Any]]:
    """Return the columns whose values make a position: the sort's, then the key."""
    return [part.column for part in order(layout, query)]


def position_name(number: int) -> str:
    """Return the name of the parameter of a page's position, counted from 0."""
    return f"__position_{number}"
