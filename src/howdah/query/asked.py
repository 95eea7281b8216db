"""A query, parsed and checked: which rows, in which order, and what of them."""

from dataclasses import dataclass, field
from typing import Any, Literal

from howdah.query.fields import Operator

__all__ = ("SHOW_ALL", "Count", "Filter", "Query", "Show", "Sort")

Count = Literal["exact", "estimated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """A condition on one field; `value` is a tuple for `in`, `not_in`, `between`.

    NULL meets no condition but `isnull`, as in SQL: `price__ne=5` leaves out rows
    without a price.
    """

    field: str
    operator: Operator
    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Sort:
    """One field of an order; rows without a value come last unless asked first."""

    field: str
    descending: bool = False
    nulls_first: bool = False

    def __str__(self) -> str:
        sign = "-" if self.descending else ""
        return f"{sign}{self.field}{':nullsfirst' if self.nulls_first else ''}"

    @classmethod
    def read(cls, text: str) -> tuple["Sort", ...]:
        """Return an order as a URL has it, `-price,name`; raises ValueError."""
        return tuple(_sort(part.strip()) for part in text.split(","))


@dataclass(frozen=True, slots=True, kw_only=True)
class Show:
    """What is shown of a row: all of its fields or some, and relations beside them."""

    fields: tuple[str, ...] | None = None
    """Names as JSON has them; None stands for all."""
    include: tuple[str, ...] = ()
    """Declared relations, whose rows are embedded under their names."""


SHOW_ALL = Show()
"""Every field of the read schema, and nothing beside them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which rows, in which order; whether deleted ones, and whether to count them."""

    filters: tuple[Filter, ...] = ()
    sort: tuple[Sort, ...] = ()
    search: str | None = None
    active_only: bool = True
    count: Count | None = None
    show: Show = SHOW_ALL
    shape: tuple[object, ...] = field(init=False, repr=False, compare=False)
    """What the query's SQL depends on: everything but the values."""

    def __post_init__(self) -> None:
        # Of plain tuples, which are looked up several times as fast as our own.
        shape = (
            tuple(_shape(filter_) for filter_ in self.filters),
            tuple((it.field, it.descending, it.nulls_first) for it in self.sort),
            self.search is None,
            self.active_only,
            self.count,
            (self.show.fields, self.show.include),
        )
        object.__setattr__(self, "shape", shape)


def _shape(filter_: Filter) -> tuple[object, ...]:
    # IS NULL and IS NOT NULL are two texts; every other value is a parameter.
    value = filter_.value if filter_.operator == "isnull" else None
    return (filter_.field, filter_.operator, value)


def _sort(text: str) -> Sort:
    name, _, placement = text.partition(":")
    if placement not in {"", "nullsfirst", "nullslast"}:
        raise ValueError(f"has :{placement}; only :nullsfirst and :nullslast are known")
    return Sort(
        field=name.removeprefix("-"),
        descending=name.startswith("-"),
        nulls_first=placement == "nullsfirst",
    )
