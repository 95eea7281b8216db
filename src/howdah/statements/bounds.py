"""How many rows of a page, and behind how many: in the statement, or as parameters.

A number that PostgreSQL does not know is planned for anew each time, which takes half
as long as reading a page does. So the numbers that people ask for stand in statements,
but not where another value decides which plan is a good one: a plan that is kept for a
filter's usual values may be a bad one for a rare value.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple, Self

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Integer,
    Select,
    bindparam,
    literal_column,
)

from howdah.paging import OffsetPage, Page
from howdah.query import Query
from howdah.statements.layout import Layout, Target
from howdah.statements.order import order

__all__ = ("Bounds",)


class Bounds(NamedTuple):
    """The number of a page's rows, None where it is a parameter, and if it skips."""

    limit: int | None
    skips: bool

    @classmethod
    def of(cls, layout: Layout, query: Query, page: Page) -> Self:
        """Return the bounds of a page, which are a part of its statement's shape."""
        known = _is_usual(page.limit) and _has_one_plan(layout, query)
        skips = isinstance(page, OffsetPage) and page.skip > 0
        return cls(limit=page.limit if known else None, skips=skips)

    def most(self, *, times: int = 1, more: int = 0) -> ColumnElement[int]:
        """Return the number of rows, so many times, and so many more."""
        if self.limit is not None:
            return literal_column(str(self.limit * times + more), Integer)
        limit: ColumnElement[int] = _number("limit")
        limit = limit * literal_column(str(times)) if times > 1 else limit
        return limit + literal_column(str(more)) if more else limit

    def cut(
        self, rows: Select[Any], clauses: Iterable[ColumnElement[Any]]
    ) -> Select[Any]:
        """Cut a page, and one row more, out of rows in an order."""
        rows = rows.order_by(*clauses).limit(self.most(more=1))
        return rows.offset(_number("skip")) if self.skips else rows


def _is_usual(limit: int) -> bool:
    return limit <= _SMALL or limit % _SMALL == 0


# What people show at once is up to a hundred rows; what programs read is hundreds.
_SMALL = 100


def _has_one_plan(layout: Layout, query: Query) -> bool:
    """Say whether one plan is the best one for all values that are asked for.

    It is where there are none, and where they bound what the order goes by.
    """
    if layout.scopes or query.search is not None:
        return False
    if not query.filters:
        return True
    first = order(layout, query)[0].column
    return query.count is None and all(
        _is_of(layout.filters[each.field], first) and each.operator in _BOUNDS
        for each in query.filters
    )


def _is_of(target: Target, column: ColumnElement[Any]) -> bool:
    return target.column is column and target.via is None


_BOUNDS = frozenset(("eq", "lt", "lte", "gt", "gte", "between"))


def _number(name: str) -> BindParameter[int]:
    return bindparam(name, type_=Integer)
