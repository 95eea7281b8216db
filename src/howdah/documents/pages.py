"""A query and a page as the stages of an aggregation.

MongoDB puts what is null before all else, and an enum in the order of its texts. Where
a query wants it otherwise, a stage computes the place first.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, Enum

from howdah.documents.codec import encoded
from howdah.documents.matching import (
    Match,
    active,
    filtered,
    joined,
    matching,
    searched,
)
from howdah.meaning import asked
from howdah.paging import OffsetPage, Page
from howdah.query import Filter, Query
from howdah.rendering import read_position
from howdah.statements import Layout, Part, Target, order

__all__ = ("found", "sliced", "target_of")

Stages = list[dict[str, Any]]


def found(layout: Layout, query: Query) -> Match:
    """Return what meets a query, but for what it asks about related documents."""
    targets = [(target_of(layout, each), each) for each in query.filters]
    parts = [filtered(it.column, each) for it, each in targets if it.via is None]
    if layout.scope is not None:
        parts.append(matching(layout.scope.condition))
    if query.active_only:
        parts.append(active(layout.soft_delete))
    if query.search is not None:
        parts.append(searched(layout.search, query.search))
    return joined(parts)


def sliced(layout: Layout, query: Query, page: Page) -> Stages:
    """Return the stages that give a page's rows and one more, from near to far."""
    backward = not isinstance(page, OffsetPage) and page.direction == "prev"
    parts = [_Place(n, part) for n, part in enumerate(order(layout, query))]
    computed = {name: how for part in parts for name, how in part.computed.items()}
    stages: Stages = [{"$set": computed}] if computed else []
    if isinstance(page, OffsetPage):
        skipped: Stages = [{"$skip": page.skip}] if page.skip else []
    else:
        skipped = []
        if page.position is not None:
            columns = [part.column for part in parts]
            position = read_position(columns, page.position)
            stages.append({"$match": _behind(parts, position, backward=backward)})
    keys = {n: d for part in parts for n, d in part.keys(backward=backward).items()}
    return [*stages, {"$sort": keys}, *skipped, {"$limit": page.limit + 1}]


def target_of(layout: Layout, filter_: Filter) -> Target:
    """Return what a filter compares."""
    known = layout.filters.get(filter_.field)
    return Target(column=layout.fields[filter_.field]) if known is None else known


class _Place:
    """One part of an order: by which fields MongoDB sorts, and what lies behind."""

    def __init__(self, number: int, part: Part) -> None:
        self.column: Column[Any] = part.column
        self._part = part
        self._path: str = self.column.info["path"]
        self._by = f"__place_{number}" if self._is_enum else self._path
        self._null = f"__null_{number}"

    @property
    def computed(self) -> dict[str, Any]:
        """What has to be computed before."""
        found: dict[str, Any] = {}
        if self._is_enum:
            found[self._by] = self._rank
        if self._moves_nulls:
            found[self._null] = {"$cond": [self._is_null, 1, 0]}
        return found

    def keys(self, *, backward: bool) -> dict[str, int]:
        """Return the fields to sort by, and in which direction."""
        down = self._part.descending is not backward
        keys = {self._by: -1 if down else 1}
        if not self._moves_nulls:
            return keys
        first = self._part.nulls_first is not backward
        return {self._null: -1 if first else 1, **keys}

    def at(self, value: Any) -> Match:
        """Return what stands with a position here."""
        return {self._path: None if value is None else self._encoded(value)}

    def beyond(self, value: Any, *, backward: bool) -> Match | None:
        """Return what stands behind a position here; None where nothing does."""
        part = self._part
        nulls_behind = part.nullable and part.nulls_first is backward
        if value is None:
            return None if nulls_behind else {self._path: {"$ne": None}}
        compare = "$lt" if part.descending is not backward else "$gt"
        there = {self._by: {compare: self._placed(value)}}
        return {"$or": [there, {self._path: None}]} if nulls_behind else there

    @property
    def _is_enum(self) -> bool:
        return isinstance(self.column.type, Enum)

    @property
    def _moves_nulls(self) -> bool:
        # By itself null is the smallest of all values.
        return self._part.nullable and self._part.descending is self._part.nulls_first

    @property
    def _is_null(self) -> Any:
        return {"$eq": [{"$ifNull": [f"${self._path}", None]}, None]}

    @property
    def _rank(self) -> Any:
        """Where the members of an enum stand, as they are declared."""
        there = {"$indexOfArray": [{"$literal": self._members}, f"${self._path}"]}
        return {"$cond": [self._is_null, None, there]}

    @property
    def _members(self) -> Sequence[Any]:
        members: Any = self.column.type.enum_class  # type: ignore[attr-defined] # an Enum
        return [member.value for member in members]

    def _encoded(self, value: Any) -> Any:
        return encoded(self.column, asked(self.column.type, value))

    def _placed(self, value: Any) -> Any:
        given = self._encoded(value)
        return self._members.index(given) if self._is_enum else given


def _behind(
    parts: Sequence[_Place], position: Sequence[Any], *, backward: bool
) -> Match:
    """Return what lies behind a position: with it in some parts, beyond it in one."""
    steps = []
    before: list[Match] = []
    for part, value in zip(parts, position, strict=True):
        beyond = part.beyond(value, backward=backward)
        if beyond is not None:
            steps.append(joined([*before, beyond]))
        before.append(part.at(value))
    return {"$or": steps}
