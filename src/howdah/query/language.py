"""All that one resource understands: parameters into a query, or what is wrong."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from typing import Any, Self

from howdah.query.asked import Filter, Query, Show
from howdah.query.faults import Faults
from howdah.query.fields import Field
from howdah.query.parameters import (
    FilterParameter,
    Names,
    Order,
    Parameter,
    active_only,
    count,
    filter_parameters,
)

__all__ = ("RESERVED", "Language")

RESERVED = frozenset(
    (
        "sort",
        "active_only",
        "count",
        "fields",
        "include",
        "limit",
        "skip",
        "cursor",
        "q",
    )
)
"""What parameters are called that are no filters."""


class Language:
    """What one resource lets people ask.

    It reads the parameters of a request into a `Query`, or says what is wrong with
    each, and describes itself for OpenAPI.
    """

    def __init__(
        self,
        *,
        filters: Sequence[Field] = (),
        sort: Sequence[str] = (),
        soft_delete: bool = False,
        fields: Sequence[str] = (),
        include: Sequence[str] = (),
        longest_list: int = 100,
        longest_json_list: int = 10_000,
    ) -> None:
        self._soft_delete = soft_delete
        self._filters = tuple(
            parameter
            for field in filters
            for parameter in filter_parameters(
                field,
                reserved=RESERVED,
                longest_texts=longest_list,
                longest_json=longest_json_list,
            )
        )
        parameters: tuple[Parameter | None, ...] = (
            *self._filters,
            Order("sort", tuple(sort)) if sort else None,
            active_only() if soft_delete else None,
            count(),
            Names("fields", tuple(fields), _FIELDS) if fields else None,
            Names("include", tuple(include), _INCLUDE) if include else None,
        )
        self._parameters: Mapping[str, Parameter] = {
            it.name: it for it in parameters if it is not None
        }

    def __repr__(self) -> str:
        return f"Language({', '.join(self.names)})"

    @property
    def names(self) -> tuple[str, ...]:
        """Every parameter that is understood."""
        return tuple(self._parameters)

    @property
    def filters(self) -> tuple[str, ...]:
        """Every parameter that is a filter."""
        return tuple(it.name for it in self._filters)

    def aliased(self, aliases: Mapping[str, str]) -> Self:
        """Return the language that knows filters by these names as well.

        `{"min_price": "price__gte"}`: whoever gives both has to meet both.
        """
        if not aliases:
            return self
        meant = {it.name: it for it in self._filters}
        more = [replace(meant[old], name=name) for name, old in aliases.items()]
        rest = [it for name, it in self._parameters.items() if name not in meant]
        filters = (*self._filters, *more)
        parameters = {it.name: it for it in (*filters, *rest)}
        found = copy(self)
        vars(found).update(_filters=filters, _parameters=parameters)
        return found

    def read(
        self,
        given: Mapping[str, Sequence[str]],
        *,
        search: str | None = None,
        faults: Faults | None = None,
    ) -> Query:
        """Return the query that these parameters ask; raise InvalidQuery with faults.

        Parameters that are not of the language are somebody else's to refuse. Who
        gives faults collects them, and raises them later.
        """
        return self._query(
            given, lambda it, texts: it.from_texts(texts), search, faults
        )

    def read_json(
        self,
        given: Mapping[str, Any],
        *,
        search: str | None = None,
        faults: Faults | None = None,
    ) -> Query:
        """Return the query that these members of a JSON object ask; see `read`."""
        return self._query(given, lambda it, value: it.from_json(value), search, faults)

    def parameters(self, *, without: Collection[str] = ()) -> list[dict[str, Any]]:
        """Return the parameters as OpenAPI describes them."""
        return [
            {"name": name, "in": "query", "required": False, **parameter.described()}
            for name, parameter in self._parameters.items()
            if name not in without
        ]

    def members(self) -> dict[str, dict[str, Any]]:
        """Return the members of a JSON object that asks, as OpenAPI describes them."""
        return {name: it.schema() for name, it in self._parameters.items()}

    def _query(
        self,
        given: Mapping[str, Any],
        read: Callable[[Parameter, Any], Any],
        search: str | None,
        faults: Faults | None,
    ) -> Query:
        found = Faults() if faults is None else faults
        values: dict[str, Any] = {
            name: found.reading(name, partial(read, self._parameters[name], value))
            for name, value in given.items()
            if name in self._parameters
        }
        if faults is None:
            found.check()
        return Query(
            filters=tuple(_filters(self._filters, values)),
            sort=values.get("sort") or (),
            search=search,
            active_only=values.get("active_only", self._soft_delete),
            count=values.get("count"),
            show=Show(fields=values.get("fields"), include=values.get("include") or ()),
        )


_FIELDS = "Fields to show, separated by commas; those left out are absent"
_INCLUDE = "Relations whose rows are embedded, separated by commas"


def _filters(
    parameters: Sequence[FilterParameter], values: Mapping[str, Any]
) -> Iterator[Filter]:
    """Yield the filters in the order in which they are declared."""
    for it in parameters:
        if it.name in values:
            yield Filter(field=it.field, operator=it.operator, value=values[it.name])
