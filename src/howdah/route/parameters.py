"""The parameters of a function, from where FastAPI looks for them, by its own fields.

The usual ones, plain values by one name, are looked up here. All others, and whatever
is missing, are left to FastAPI's own function, which knows aliases, lists and models.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from uuid import UUID

from fastapi import Request, params
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import request_params_to_args

__all__ = ("Parameters",)

Faults = list[Any]
Values = dict[str, Any]


class Parameters:
    """What a function takes from the path, the query, headers and cookies."""

    def __init__(self, dependant: Dependant) -> None:
        # In the order in which FastAPI reads them.
        groups = {
            "path_params": dependant.path_params,
            "query_params": dependant.query_params,
            "headers": dependant.header_params,
            "cookies": dependant.cookie_params,
        }
        self.groups = [
            _reader(place, fields) for place, fields in groups.items() if fields
        ]

    def read(self, request: Request, values: Values, faults: Faults) -> None:
        """Add what a request says to the values, and what is wrong to the faults."""
        for read in self.groups:
            read(request, values, faults)


Reader = Callable[[Request, Values, Faults], None]


def _reader(place: str, fields: Sequence[Any]) -> Reader:
    """Return what reads all fields of one place."""

    def read(request: Request, values: Values, faults: Faults) -> None:
        found, wrong = request_params_to_args(fields, getattr(request, place))
        values.update(found)
        faults.extend(wrong)

    if not all(map(_is_plain, fields)):
        return read
    if place == "headers":
        return _quick_headers(fields, read)
    if place == "path_params":
        return _quick_path(fields, read)
    return _quick(place, fields, read)


def _quick_path(fields: Sequence[Any], slow: Reader) -> Reader:
    """Return what reads the parameters of a path, which are all there as a rule."""
    known = [_Field(field) for field in fields]

    def read(request: Request, values: Values, faults: Faults) -> None:
        said: Mapping[str, Any] = request.scope["path_params"]
        for field in known:
            if field.alias not in said:
                slow(request, values, faults)
                return
        for field in known:
            valid, wrong = field.validate(said[field.alias], values, loc=field.place)
            if wrong:
                faults.extend(wrong)
            else:
                values[field.name] = valid

    return read


def _quick(place: str, fields: Sequence[Any], slow: Reader) -> Reader:
    """Return what reads plain values that are all there, or else asks the slow way."""
    known = [_Field(field) for field in fields]

    def read(request: Request, values: Values, faults: Faults) -> None:
        said: Mapping[str, Any] = getattr(request, place)
        found = [said.get(field.alias) for field in known]
        if not _take(known, found, values, faults):
            slow(request, values, faults)

    return read


def _quick_headers(fields: Sequence[Any], slow: Reader) -> Reader:
    known = [_Field(field) for field in fields]
    names = [field.alias.lower().encode("latin-1") for field in known]

    def read(request: Request, values: Values, faults: Faults) -> None:
        # Of a header that comes twice, the first counts.
        said = dict(reversed(request.headers.raw))
        found = [said.get(name) for name in names]
        texts = [it if it is None else it.decode("latin-1") for it in found]
        if not _take(known, texts, values, faults):
            slow(request, values, faults)

    return read


class _Field:
    """A field for one plain value."""

    def __init__(self, field: Any) -> None:
        self.name: str = field.name
        self.alias: str = field.validation_alias or field.alias
        self.place = (field.field_info.in_.value, self.alias)
        self.validate = field.validate
        self.default = _default(field)


def _take(
    fields: Sequence[_Field], found: Sequence[Any], values: Values, faults: Faults
) -> bool:
    """Check what has been found; return False, all undone, where something lacks."""
    for field, value in zip(fields, found, strict=True):
        if value is None and field.default is _NOTHING:
            return False
    for field, value in zip(fields, found, strict=True):
        if value is None:
            values[field.name] = field.default
            continue
        valid, wrong = field.validate(value, values, loc=field.place)
        if wrong:
            faults.extend(wrong)
        else:
            values[field.name] = valid
    return True


_NOTHING = object()
_CONSTANTS = frozenset((NoneType, bool, float, int, str))


def _default(field: Any) -> Any:
    """Return what stands for a value that is not there, `_NOTHING` where it depends."""
    info = field.field_info
    plain = (
        not info.is_required()
        and info.default_factory is None
        and not info.validate_default
        and type(info.default) in _CONSTANTS
    )
    return info.default if plain else _NOTHING


def _is_plain(field: Any) -> bool:
    """Say whether a field takes one value, by one name."""
    info = field.field_info
    alias = info.validation_alias
    return (
        type(info) in _KINDS
        and field.config is None
        and (alias is None or isinstance(alias, str))
        and (field.validation_alias or field.alias).isascii()
        and _is_scalar(info.annotation)
    )


_KINDS = frozenset((params.Cookie, params.Header, params.Path, params.Query))


def _is_scalar(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _is_scalar(get_args(annotation)[0])
    if origin is Union or origin is UnionType:
        return all(map(_is_scalar, get_args(annotation)))
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return not issubclass(annotation, _SEVERAL)
    return origin is Literal or annotation in _SCALARS


_SEVERAL = (deque, dict, frozenset, list, set, tuple)
_SCALARS = (
    Any,
    NoneType,
    UUID,
    Decimal,
    bool,
    date,
    datetime,
    float,
    int,
    str,
    time,
    timedelta,
)
