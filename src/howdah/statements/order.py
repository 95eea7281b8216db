"""Sort into ORDER BY, and a position into the condition of what lies behind it.

NULLs have a place in every order, so a walk over a column with NULLs meets each row
once; the primary key breaks all ties.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Enum,
    String,
    and_,
    false,
    or_,
    true,
    tuple_,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

from howdah.query import Query
from howdah.statements.conditions import rank
from howdah.statements.layout import Layout
from howdah.statements.places import NAMED, Places, compared_as

__all__ = (
    "Part",
    "Stretch",
    "behind",
    "is_ranked",
    "order",
    "order_columns",
    "position_name",
    "stretches",
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """One column of an order, and where its NULLs stand."""

    column: Any
    """A column, or the rank of a row in a search."""
    descending: bool = False
    nulls_first: bool = False

    @property
    def nullable(self) -> bool:
        """Whether there may be rows without a value."""
        return bool(getattr(self.column, "nullable", False))

    def clause(self, *, backward: bool) -> ColumnElement[Any]:
        """Return the column's part of ORDER BY."""
        return self.named(self.column, backward=backward)

    def named(self, column: Any, *, backward: bool) -> ColumnElement[Any]:
        """Return its part of ORDER BY under the name that it has there."""
        clause = self.plain(column, down=self.descending is not backward)
        if not self.nullable:
            # Said for nothing, it would keep PostgreSQL from using an index.
            return clause
        first = self.nulls_first is not backward
        return clause.nulls_first() if first else clause.nulls_last()

    @staticmethod
    def plain(column: Any, *, down: bool) -> ColumnElement[Any]:
        """Return the part of ORDER BY for rows that all have a value, or none has."""
        place = _place(column)
        clause: ColumnElement[Any] = place.desc() if down else place.asc()
        return clause

    def at(self, value: object, place: Any) -> ColumnElement[bool]:
        """Return the condition of rows that stand with the position in this column."""
        column: ColumnElement[Any] = self.column
        return column.is_(None) if value is None else column == place

    def beyond(
        self, value: object, place: Any, *, backward: bool
    ) -> tuple[ColumnElement[bool] | None, ColumnElement[bool] | None]:
        """Return the conditions of rows behind: those with a value, those without."""
        nulls_behind = self.nullable and self.nulls_first is backward
        if value is None:
            return (None if nulls_behind else self.column.is_not(None)), None
        down = self.descending is not backward
        here, there = _place(self.column), _place(place)
        beyond = here < there if down else here > there
        return beyond, (self.column.is_(None) if nulls_behind else None)


def order(layout: Layout, query: Query) -> list[Part]:
    """Return the order that was asked for; the key always breaks ties.

    A search by words that asks for no order is in that of its ranks.
    """
    parts = [
        Part(
            column=layout.fields[part.field],
            descending=part.descending,
            nulls_first=part.nulls_first,
        )
        for part in query.sort
    ]
    if layout.full_text is not None and is_ranked(layout, query):
        parts.append(Part(column=rank(layout.full_text), descending=True))
    named = [part.column for part in parts]
    rest = [column for column in layout.keys if all(column is not n for n in named)]
    return [*parts, *(Part(column=column) for column in rest)]


def is_ranked(layout: Layout, query: Query) -> bool:
    """Say whether the order is that of the ranks in a search by words."""
    searched = query.search is not None and layout.full_text is not None
    return searched and not query.sort


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stretch:
    """Rows that stand together in an order, which one range of an index holds."""

    condition: ColumnElement[bool]
    alike: int = 0
    """How many parts of the order, from the first, are the same in all of them."""
    valued: bool = True
    """Whether all have a value in the part behind those."""

    def clauses(
        self, parts: Sequence[Part], *, backward: bool, indexed: int
    ) -> Iterator[ColumnElement[Any]]:
        """Yield the ORDER BY that lets PostgreSQL see that an index has it.

        What is alike may go either way, so it goes that of the part behind it; where
        the index ends with it, it is not said at all.
        """
        first, rest = parts[self.alike], parts[self.alike + 1 :]
        down = first.descending is not backward
        for part in parts[: self.alike] if self.alike < indexed else ():
            yield part.plain(part.column, down=down)
        if self.valued:
            yield first.plain(first.column, down=down)
        else:
            yield first.clause(backward=backward)
        for part in rest:
            yield part.clause(backward=backward)


def stretches(
    parts: Sequence[Part],
    position: Sequence[object] | None,
    *,
    backward: bool,
    indexed: int,
    places: Places = NAMED,
) -> list[Stretch]:
    """Return the rows behind a position, or all of them, from near to far.

    Together they are what `behind` says in one condition, for which PostgreSQL would
    read an index from its beginning. The index has so many parts of the order.
    """
    if position is None:
        return _everything(parts[0], backward=backward)
    steps = _steps(parts, position, backward=backward, places=places)
    ranges = [step for step in steps if step.start < indexed]
    last, deeper = ranges[-1], steps[len(ranges) :]
    found = list(_near(last, _either(deeper)))
    for step in reversed(ranges[:-1]):
        found += _near(step, None)
    return found


def behind(
    parts: Sequence[Part],
    position: Sequence[object],
    *,
    backward: bool,
    places: Places = NAMED,
) -> ColumnElement[bool]:
    """Return the condition of rows behind a position, in the order or against it."""
    found = _either(_steps(parts, position, backward=backward, places=places))
    return false() if found is None else found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Step:
    """One part of an order, or several that one comparison of rows serves."""

    start: int
    before: ColumnElement[bool]
    """What the parts before it have to be for it to matter."""
    at: ColumnElement[bool]
    beyond: ColumnElement[bool] | None
    """Rows behind the position that have a value here."""
    empty: ColumnElement[bool] | None
    """Rows behind the position that have none."""
    bound: ColumnElement[bool] | None
    """What is true both of `at` and of `beyond`, where both have a value."""


def _near(step: _Step, deeper: ColumnElement[bool] | None) -> Iterator[Stretch]:
    """Yield the rows behind a position that a step tells from it, or a deeper one."""
    start, before = step.start, step.before
    beyond = step.beyond
    if deeper is not None and step.bound is not None and beyond is not None:
        beyond = and_(step.bound, or_(beyond, and_(step.at, deeper)))
    elif deeper is not None:
        condition = and_(before, step.at, deeper)
        yield Stretch(condition=condition, alike=start + 1, valued=False)
    if beyond is not None:
        yield Stretch(condition=and_(before, beyond), alike=start)
    if step.empty is not None:
        condition = and_(before, step.empty)
        yield Stretch(condition=condition, alike=start + 1, valued=False)


def _either(steps: Sequence[_Step]) -> ColumnElement[bool] | None:
    """Return the condition of rows that some step tells to be behind."""
    chain = [
        and_(step.before, condition)
        for step in steps
        for condition in (step.beyond, step.empty)
        if condition is not None
    ]
    return or_(*chain) if chain else None


def _steps(
    parts: Sequence[Part],
    position: Sequence[object],
    *,
    backward: bool,
    places: Places,
) -> list[_Step]:
    here = _here(parts, position, places)
    found = []
    for group in _groups(parts):
        start = group[0]
        before = [parts[n].at(position[n], here[n]) for n in range(start)]
        at = [parts[n].at(position[n], here[n]) for n in group]
        down = parts[start].descending is not backward
        if len(group) > 1:
            columns: Any = tuple_(*(_place(parts[number].column) for number in group))
            value: Any = tuple_(*(_place(here[number]) for number in group))
            beyond, empty = (columns < value if down else columns > value), None
        else:
            columns, value = parts[start].column, here[start]
            given = (position[start], value)
            beyond, empty = parts[start].beyond(*given, backward=backward)
        bound = None
        if value is not None:
            column, place = (
                (columns, value) if len(group) > 1 else map(_place, (columns, value))
            )
            bound = column <= place if down else column >= place
        found.append(
            _Step(
                start=start,
                before=and_(true(), *before),
                at=and_(*at),
                beyond=beyond,
                empty=empty,
                bound=bound,
            )
        )
    return found


def _everything(first: Part, *, backward: bool) -> list[Stretch]:
    """Return the rows with a value and those without, in their order."""
    valued = Stretch(condition=first.column.is_not(None))
    empty = Stretch(condition=first.column.is_(None), alike=1, valued=False)
    return [empty, valued] if first.nulls_first is not backward else [valued, empty]


def _here(
    parts: Sequence[Part], position: Sequence[object], places: Places
) -> list[Any]:
    return [
        None if value is None else places.one(position_name(number), _type(part))
        for number, (part, value) in enumerate(zip(parts, position, strict=True))
    ]


def _groups(parts: Sequence[Part]) -> list[list[int]]:
    """Return the parts' numbers, those together that one comparison of rows serves."""

    def alike(number: int) -> object:
        part = parts[number]
        return (part.descending, number if part.nullable else None)

    return [list(group) for _, group in groupby(range(len(parts)), alike)]


def _type(part: Part) -> TypeEngine[Any]:
    return compared_as(part.column.type)


def order_columns(layout: Layout, query: Query) -> list[Any]:
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
