"""What is asked of a resource: filters, sort, search; parameters into a query, no SQL.

A `Language` is what one resource understands. It reads the parameters of a request
into a `Query`, or says what is wrong with each, and describes itself for OpenAPI.
"""

import datetime as dt
import difflib
import enum
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    TypeAdapter,
    ValidationError,
)

from howdah.errors import FieldError, InvalidQuery

__all__ = (
    "OPERATORS",
    "Field",
    "Filter",
    "Language",
    "Operator",
    "Query",
    "Sort",
    "nearest",
)

Operator = Literal[
    "eq",
    "ne",
    "lt",
    "lte",
    "gt",
    "gte",
    "in",
    "not_in",
    "isnull",
    "contains",
    "icontains",
    "startswith",
    "istartswith",
    "endswith",
    "iendswith",
    "between",
]
OPERATORS: tuple[Operator, ...] = get_args(Operator)
Count = Literal["exact"]

_LISTS = frozenset({"in", "not_in", "between"})
_ORDER: tuple[Operator, ...] = ("lt", "lte", "gt", "gte", "between")
_TEXT = (
    "contains",
    "icontains",
    "startswith",
    "istartswith",
    "endswith",
    "iendswith",
)
_ALWAYS: tuple[Operator, ...] = ("eq", "ne", "in", "not_in", "isnull")
_ORDERED = (
    int,
    float,
    Decimal,
    dt.date,
    dt.time,
    dt.timedelta,
)


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
class Query:
    """Which rows, in which order; whether deleted ones, and whether to count them."""

    filters: tuple[Filter, ...] = ()
    sort: tuple[Sort, ...] = ()
    search: str | None = None
    active_only: bool = True
    count: Count | None = None

    @property
    def shape(self) -> tuple[object, ...]:
        """What the query's SQL depends on: everything but the values."""
        return (
            tuple(_shape(filter_) for filter_ in self.filters),
            self.sort,
            self.search is None,
            self.active_only,
            self.count,
        )


def _shape(filter_: Filter) -> tuple[object, ...]:
    # IS NULL and IS NOT NULL are two texts; every other value is a parameter.
    value = filter_.value if filter_.operator == "isnull" else None
    return (filter_.field, filter_.operator, value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A field that may be filtered by: its name in the URL, and its Python type."""

    name: str
    annotation: Any

    @property
    def operators(self) -> tuple[Operator, ...]:
        """The operators that make sense for the type."""
        kind = self.annotation
        plain = isinstance(kind, type)
        if plain and issubclass(kind, bool):
            return ("eq", "ne", "isnull")
        if plain and issubclass(kind, enum.Enum):
            return _ALWAYS
        if plain and issubclass(kind, str):
            return OPERATORS
        if plain and issubclass(kind, _ORDERED):
            return (*_ALWAYS[:2], *_ORDER[:4], *_ALWAYS[2:], "between")
        return _ALWAYS


@dataclass(frozen=True, slots=True)
class _Reader:
    """One parameter that is a filter: how its text becomes the value."""

    name: str
    field: str
    operator: Operator
    adapter: TypeAdapter[Any]

    @property
    def takes_many(self) -> bool:
        return self.operator in _LISTS


class Language:
    """What one resource lets people ask."""

    def __init__(
        self,
        *,
        filters: Sequence[Field] = (),
        sort: Sequence[str] = (),
        soft_delete: bool = False,
        longest_list: int = 100,
    ) -> None:
        self._filters = tuple(filters)
        self._sort = tuple(sort)
        self._soft_delete = soft_delete
        self._longest_list = longest_list
        self._readers = {r.name: r for f in filters for r in _readers(f)}

    def __repr__(self) -> str:
        return f"Language({', '.join(self.names)})"

    @property
    def names(self) -> tuple[str, ...]:
        """Every parameter that is understood."""
        return (
            *(("sort",) if self._sort else ()),
            *(("active_only",) if self._soft_delete else ()),
            "count",
            *self._readers,
        )

    def read(
        self, given: Mapping[str, Sequence[str]], *, search: str | None = None
    ) -> Query:
        """Return the query that these parameters ask; raise InvalidQuery with faults.

        Parameters that are not of the language are somebody else's to refuse.
        """
        faults: list[FieldError] = []
        values = {
            name: _collected(self._value, name, texts, faults)
            for name, texts in given.items()
            if name in self.names
        }
        if faults:
            raise InvalidQuery(errors=tuple(faults))
        return Query(
            filters=tuple(
                Filter(field=reader.field, operator=reader.operator, value=values[name])
                for name, reader in self._readers.items()
                if name in values
            ),
            sort=values.get("sort", ()),
            search=search,
            active_only=values.get("active_only", self._soft_delete),
            count=values.get("count"),
        )

    def parameters(self) -> list[dict[str, Any]]:
        """Return the parameters as OpenAPI describes them."""
        described = [
            _described(reader, self._longest_list) for reader in self._readers.values()
        ]
        if self._sort:
            described.append(_plain("sort", _sort_schema(self._sort), _SORT_HELP))
        if self._soft_delete:
            schema = {"type": "boolean", "default": True}
            described.append(_plain("active_only", schema, "Leave deleted rows out"))
        counts = {"type": "string", "enum": list(get_args(Count))}
        described.append(_plain("count", counts, "Tell the total in X-Total-Count"))
        return described

    def _value(self, name: str, texts: Sequence[str]) -> Any:
        reader = self._readers.get(name)
        if reader is not None:
            return self._filter_value(reader, texts)
        text = _only(texts)
        if name == "sort":
            return self._sorted(text)
        return (_BOOLEAN if name == "active_only" else _COUNT).validate_strings(text)

    def _filter_value(self, reader: _Reader, texts: Sequence[str]) -> Any:
        if not reader.takes_many:
            return reader.adapter.validate_strings(_only(texts))
        if reader.operator == "between" and len(texts) != _PAIR:
            raise ValueError("takes two values: give the parameter twice")
        if len(texts) > self._longest_list:
            raise ValueError(f"takes at most {self._longest_list} values")
        return tuple(reader.adapter.validate_strings(text) for text in texts)

    def _sorted(self, text: str) -> tuple[Sort, ...]:
        order = Sort.read(text)
        fields = [part.field for part in order]
        for name in fields:
            if name not in self._sort:
                raise ValueError(f"cannot sort by {name!r}{nearest(name, self._sort)}")
        if len(set(fields)) != len(fields):
            raise ValueError("names a field twice")
        return order


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint at the names that may have been meant, or nothing."""
    close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(close)}?" if close else ""


_PAIR = 2
_BOOLEAN: TypeAdapter[bool] = TypeAdapter(bool)
_COUNT: TypeAdapter[Count] = TypeAdapter(Count)
_SORT_HELP = (
    "Fields, separated by commas; - before one turns its order round, :nullsfirst "
    "behind it puts rows without a value first"
)


def _readers(field: Field) -> Iterable[_Reader]:
    for operator in field.operators:
        name = field.name if operator == "eq" else f"{field.name}__{operator}"
        kind = bool if operator == "isnull" else _precise(field.annotation)
        yield _Reader(name, field.name, operator, TypeAdapter(kind))


def _precise(annotation: Any) -> Any:
    """Return a type that takes only what PostgreSQL understands in the same way."""
    if annotation is dt.datetime:
        return Annotated[AwareDatetime, AfterValidator(_in_utc)]
    if annotation is int:
        return Annotated[int, BeforeValidator(_whole)]
    return annotation


def _in_utc(value: dt.datetime) -> dt.datetime:
    """Refuse a moment at an end of time that is beyond it in UTC, where drivers go."""
    try:
        return value.astimezone(dt.UTC)
    except OverflowError:
        raise ValueError("is outside of the years 1 to 9999 in UTC") from None


_WHOLE = re.compile(r"-?[0-9]+\Z", re.ASCII)


def _whole(value: object) -> object:
    if isinstance(value, str) and not _WHOLE.match(value):
        raise ValueError("has to be a whole number, digits only")
    return value


def _collected(
    read: Callable[[str, Sequence[str]], Any],
    name: str,
    texts: Sequence[str],
    faults: list[FieldError],
) -> Any:
    """Return the value, or add what is wrong with it to the faults."""
    try:
        return read(name, texts)
    except ValidationError as exc:
        message = exc.errors(include_input=False, include_url=False)[0]["msg"]
    except ValueError as exc:
        message = str(exc)
    message = message.removeprefix("Value error, ")
    faults.append(FieldError(field=name, code=InvalidQuery.code, message=message))
    return None


def _only(texts: Sequence[str]) -> str:
    if len(texts) != 1:
        raise ValueError("is given twice; give it once")
    return texts[0]


def _sort(text: str) -> Sort:
    name, _, placement = text.partition(":")
    if placement not in {"", "nullsfirst", "nullslast"}:
        raise ValueError(f"has :{placement}; only :nullsfirst and :nullslast are known")
    return Sort(
        field=name.removeprefix("-"),
        descending=name.startswith("-"),
        nulls_first=placement == "nullsfirst",
    )


def _described(reader: _Reader, longest_list: int) -> dict[str, Any]:
    schema = reader.adapter.json_schema()
    if reader.takes_many:
        schema = {"type": "array", "items": schema, "maxItems": longest_list}
    if reader.operator == "between":
        schema |= {"minItems": _PAIR, "maxItems": _PAIR}
    return _plain(reader.name, schema)


def _plain(
    name: str, schema: Mapping[str, Any], description: str | None = None
) -> dict[str, Any]:
    parameter = {"name": name, "in": "query", "required": False, "schema": schema}
    return (
        parameter if description is None else {**parameter, "description": description}
    )


def _sort_schema(names: Sequence[str]) -> dict[str, Any]:
    one = f"-?({'|'.join(names)})(:nulls(first|last))?"
    return {"type": "string", "pattern": f"^{one}(,{one})*$"}
