"""What may be filtered by: a name, a type, and the operators that the type has."""

import datetime as dt
import enum
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, JsonValue

__all__ = ("OPERATORS", "Field", "Operator", "precise")

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

_ORDER: tuple[Operator, ...] = ("lt", "lte", "gt", "gte", "between")
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
class Field:
    """A field that may be filtered by: its name in the URL, and its Python type."""

    name: str
    annotation: Any

    @property
    def operators(self) -> tuple[Operator, ...]:
        """The operators that make sense for the type."""
        kind = _bare(self.annotation)
        if get_origin(kind) is list or kind in _NO_VALUES:
            return ("isnull",)
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


def precise(annotation: Any, *, json: bool = False) -> Any:
    """Return a type that takes only what PostgreSQL understands in the same way.

    Of JSON's own numbers there is nothing to refuse, and their digits to keep.
    """
    if annotation is dt.datetime:
        return Annotated[AwareDatetime, AfterValidator(_in_utc)]
    if _bare(annotation) is int:
        return Annotated[annotation, BeforeValidator(_whole)]
    if _bare(annotation) in {float, Decimal} and not json:
        return Annotated[annotation, BeforeValidator(_number)]
    return annotation


def _bare(annotation: Any) -> Any:
    """Return a type without its limits."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    return annotation


# Nothing that a text of an address could be compared to.
_NO_VALUES = (list, dict, object, JsonValue)


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
    # In JSON 1.0 is as whole as 1, and some writers know no other form.
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _number(value: object) -> object:
    """Refuse what Python takes for a number as well: `1_0`, ` 1`, others' digits."""
    if isinstance(value, str) and _ODD.search(value):
        raise ValueError("has to be a number, digits and a point only")
    return value


_ODD = re.compile(r"[_\s]|[^\x00-\x7f]")
