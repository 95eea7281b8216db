"""A schema as it reads a body: JSON's own kinds of values, and no unknown fields.

Pydantic takes `"1"` and `true` for a number and a number for a moment, which OpenAPI
does not say. A file of CSV has only texts, so the schema itself stays as it is.
"""

import datetime as dt
from collections.abc import Callable
from functools import cache, partial
from inspect import signature
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict, field_validator

from howdah.schemas.parts import parts

__all__ = ("strict",)


@cache
def strict(
    schema: type[BaseModel], *, never_null: frozenset[str] = frozenset()
) -> type[BaseModel]:
    """Return the schema so that it takes from JSON what OpenAPI says, and no more.

    A schema that says itself what becomes of unknown fields does as it says. Where
    `| None` only lets a field be absent, `never_null` names it.
    """
    namespace: dict[str, Any] = {
        f"_strict_{name}": field_validator(name, mode="before")(staticmethod(check))
        for name, info in schema.model_fields.items()
        if (check := _check(info.annotation)) is not None
    }
    config = ConfigDict()
    if "extra" not in schema.model_config:
        config["extra"] = "forbid"
    if never_null:
        refuse = field_validator(*sorted(never_null), mode="before")
        namespace["_strict_never_null"] = refuse(staticmethod(_value))
        config["json_schema_extra"] = partial(_without_null, schema, never_null)
    if config:
        namespace["model_config"] = config
    if not namespace:
        return schema
    namespace |= {"__module__": schema.__module__, "__doc__": schema.__doc__}
    return type(schema.__name__, (schema,), namespace)


def _check(annotation: Any) -> Callable[[Any], Any] | None:
    """Return what refuses values that are of another kind in JSON."""
    found = {_kind(part) for part in parts(annotation)}
    # One type of several may take what the other has to refuse.
    return found.pop() if len(found) == 1 else None


def _kind(part: Any) -> Callable[[Any], Any] | None:
    if get_origin(part) is not list:
        return _KINDS.get(part)
    check = _check(get_args(part)[0])
    return None if check is None else partial(_each, check)


def _each(check: Callable[[Any], Any], values: Any) -> Any:
    return [check(value) for value in values] if isinstance(values, list) else values


def _value(value: Any) -> Any:
    if value is None:
        raise ValueError("has to have a value; leave it out to keep the one it has")
    return value


def _without_null(
    schema: type[BaseModel], names: frozenset[str], described: dict[str, Any]
) -> None:
    """Take null from what is said of these fields, and say what the schema adds."""
    own: Any = schema.model_config.get("json_schema_extra")
    if callable(own):
        own(*(described, schema)[: len(signature(own).parameters)])
    described.update(own if isinstance(own, dict) else {})
    for name, field in described["properties"].items():
        if name in names and "anyOf" in field:
            kinds = [kind for kind in field.pop("anyOf") if kind != {"type": "null"}]
            field.update({"anyOf": kinds} if len(kinds) > 1 else kinds[0])
            field.pop("default", None)


def _number(value: Any) -> Any:
    if isinstance(value, str | bool):
        raise ValueError("has to be a number")  # noqa: TRY004 - Pydantic wants it
    return value


def _boolean(value: Any) -> Any:
    if value is not None and not isinstance(value, bool):
        raise ValueError("has to be true or false")
    return value


def _text(value: Any) -> Any:
    if isinstance(value, int | float):
        raise ValueError("has to be a text")  # noqa: TRY004 - Pydantic wants it
    return value


_KINDS: dict[Any, Callable[[Any], Any]] = {
    int: _number,
    float: _number,
    bool: _boolean,
    **dict.fromkeys((dt.datetime, dt.date, dt.time, dt.timedelta), _text),
}
