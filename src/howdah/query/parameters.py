"""One parameter of a query: what its text or JSON means, and what OpenAPI says of it.

A parameter of an address is text, given once or several times. A member of a body is
JSON, and strictly of its type: no number is written as a string there.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Protocol, get_args

from pydantic import TypeAdapter

from howdah.query.asked import Count, Sort
from howdah.query.faults import nearest
from howdah.query.fields import Field, Operator, precise

__all__ = (
    "Choice",
    "FilterParameter",
    "Names",
    "Order",
    "Parameter",
    "active_only",
    "count",
    "filter_parameters",
    "only",
)

_LISTS = frozenset({"in", "not_in", "between"})
_PAIR = 2


class Parameter(Protocol):
    """What a query may be given, in an address or in a body."""

    @property
    def name(self) -> str:
        """What it is called in both."""

    def from_texts(self, texts: Sequence[str]) -> Any:
        """Return the value that an address gives; raises ValueError."""

    def from_json(self, value: Any) -> Any:
        """Return the value that a body gives; raises ValueError."""

    def described(self) -> dict[str, Any]:
        """Return what OpenAPI says of it in an address, but for name and place."""

    def schema(self) -> dict[str, Any]:
        """Return what OpenAPI says of it in a body."""


@dataclass(frozen=True)
class FilterParameter:
    """A filter: `price`, `price__lt`, `price__in`."""

    name: str
    field: str
    operator: Operator
    kind: Any
    json_kind: Any
    longest_texts: int
    longest_json: int

    def from_texts(self, texts: Sequence[str]) -> Any:
        """Return the value, or the values of an operator that takes several."""
        if not self._takes_many:
            return self._one.validate_strings(only(texts))
        if self.operator == "between" and len(texts) != _PAIR:
            raise ValueError("takes two values: give the parameter twice")
        _check_length(texts, self.longest_texts)
        return tuple(self._one.validate_strings(text) for text in texts)

    def from_json(self, value: Any) -> Any:
        """Return the value, or the values of a list."""
        if not self._takes_many:
            return self._one_of_json.validate_json(_text(value), strict=True)
        if not isinstance(value, list):
            raise ValueError("has to be a list")  # noqa: TRY004 - the client's fault
        if self.operator == "between" and len(value) != _PAIR:
            raise ValueError("takes two values")
        _check_length(value, self.longest_json)
        texts = ",".join(_text(each) for each in value)
        return tuple(self._many.validate_json(f"[{texts}]", strict=True))

    def described(self) -> dict[str, Any]:
        """Return its schema; a list is a parameter that is repeated."""
        return {"schema": self._schema(self.longest_texts)}

    def schema(self) -> dict[str, Any]:
        """Return its schema as a member of a body."""
        return self._schema(self.longest_json)

    def _schema(self, longest: int) -> dict[str, Any]:
        schema = dict(_reading(self.kind).schema)
        if self._takes_many:
            schema = {"type": "array", "items": schema, "maxItems": longest}
        if self.operator == "between":
            schema |= {"minItems": _PAIR, "maxItems": _PAIR}
        return schema

    @property
    def _takes_many(self) -> bool:
        return self.operator in _LISTS

    @cached_property
    def _one(self) -> TypeAdapter[Any]:
        return _reading(self.kind).one

    @cached_property
    def _one_of_json(self) -> TypeAdapter[Any]:
        return _reading(self.json_kind).one

    @cached_property
    def _many(self) -> TypeAdapter[Any]:
        return _reading(self.json_kind).many


class _Reading:
    """How values of a type are read, and what OpenAPI says of them."""

    def __init__(self, kind: Any) -> None:
        self._kind = kind

    @cached_property
    def one(self) -> TypeAdapter[Any]:
        return TypeAdapter(self._kind)

    @cached_property
    def many(self) -> TypeAdapter[Any]:
        return TypeAdapter(list[self._kind])  # type: ignore[name-defined] # a value

    @cached_property
    def schema(self) -> dict[str, Any]:
        return self.one.json_schema()


# A project of fifty models has thousands of parameters and a dozen types of them:
# reading and describing each anew took a third of its start-up.
_shared_reading = lru_cache(maxsize=1024)(_Reading)


def _reading(kind: Any) -> _Reading:
    try:
        return _shared_reading(kind)
    except TypeError:
        # A limit without a hash; nobody else has it.
        return _Reading(kind)


@dataclass(frozen=True, slots=True)
class Choice:
    """One value of a few."""

    name: str
    adapter: TypeAdapter[Any]
    values: Mapping[str, Any]
    help: str

    def from_texts(self, texts: Sequence[str]) -> Any:
        """Return the value."""
        return self.adapter.validate_strings(only(texts))

    def from_json(self, value: Any) -> Any:
        """Return the value."""
        return self.adapter.validate_python(value, strict=True)

    def described(self) -> dict[str, Any]:
        """Return its schema."""
        return {"schema": dict(self.values), "description": self.help}

    def schema(self) -> dict[str, Any]:
        """Return its schema, the same in a body."""
        return {**self.values, "description": self.help}


@dataclass(frozen=True, slots=True)
class Names:
    """Some of a few names: separated by commas, or a list in a body."""

    name: str
    known: tuple[str, ...]
    help: str

    def from_texts(self, texts: Sequence[str]) -> tuple[str, ...]:
        """Return the names; raises ValueError for an unknown one."""
        return self._checked([part.strip() for part in only(texts).split(",")])

    def from_json(self, value: Any) -> tuple[str, ...]:
        """Return the names; raises ValueError for an unknown one."""
        return self._checked(listed(value))

    def described(self) -> dict[str, Any]:
        """Return its schema: a list that an address separates by commas."""
        form = {"style": "form", "explode": False}
        return {**form, "schema": self._schema(), "description": self.help}

    def schema(self) -> dict[str, Any]:
        """Return its schema as a member of a body."""
        return {**self._schema(), "description": self.help}

    def _schema(self) -> dict[str, Any]:
        names = {"type": "string", "enum": list(self.known)}
        return {"type": "array", "items": names, "minItems": 1, "uniqueItems": True}

    def _checked(self, names: Sequence[str]) -> tuple[str, ...]:
        for name in names:
            if name not in self.known:
                raise ValueError(f"there is no {name!r}{nearest(name, self.known)}")
        if len(set(names)) != len(names):
            raise ValueError("has a name twice")
        # In one order: what is asked in another is no other statement.
        return tuple(name for name in self.known if name in names)


@dataclass(frozen=True, slots=True)
class Order:
    """The order of a list: `-price,name`, or a list of such parts in a body."""

    name: str
    known: tuple[str, ...]

    def from_texts(self, texts: Sequence[str]) -> tuple[Sort, ...]:
        """Return the order; raises ValueError for an unknown field."""
        return self._checked(Sort.read(only(texts)))

    def from_json(self, value: Any) -> tuple[Sort, ...]:
        """Return the order; raises ValueError for an unknown field."""
        return self._checked(Sort.read(",".join(listed(value))))

    def described(self) -> dict[str, Any]:
        """Return its schema: parts separated by commas."""
        pattern = f"^{self._part}(,{self._part})*$"
        return {"schema": {"type": "string", "pattern": pattern}, "description": _SORT}

    def schema(self) -> dict[str, Any]:
        """Return its schema as a member of a body: a list of parts."""
        parts = {"type": "string", "pattern": f"^{self._part}$"}
        schema = {"type": "array", "items": parts, "minItems": 1}
        return {**schema, "description": _SORT}

    @property
    def _part(self) -> str:
        return f"-?({'|'.join(self.known)})(:nulls(first|last))?"

    def _checked(self, order: tuple[Sort, ...]) -> tuple[Sort, ...]:
        fields = [part.field for part in order]
        for name in fields:
            if name not in self.known:
                raise ValueError(f"cannot sort by {name!r}{nearest(name, self.known)}")
        if len(set(fields)) != len(fields):
            raise ValueError("names a field twice")
        return order


_SORT = (
    "Fields, separated by commas; - before one turns its order round, :nullsfirst "
    "behind it puts rows without a value first"
)


def filter_parameters(
    field: Field, *, reserved: Iterable[str], longest_texts: int, longest_json: int
) -> Iterable[FilterParameter]:
    """Yield the parameters that a field can be filtered by.

    A field that is named like another parameter is asked for by `count__eq`.
    """
    for operator in field.operators:
        plain = operator == "eq" and field.name not in reserved
        yield FilterParameter(
            name=field.name if plain else f"{field.name}__{operator}",
            field=field.name,
            operator=operator,
            kind=_kind(field, operator),
            json_kind=_kind(field, operator, json=True),
            longest_texts=longest_texts,
            longest_json=longest_json,
        )


def _kind(field: Field, operator: Operator, *, json: bool = False) -> Any:
    return bool if operator == "isnull" else precise(field.annotation, json=json)


def active_only() -> Choice:
    """Return the parameter that shows deleted rows as well."""
    schema = {"type": "boolean", "default": True}
    return Choice("active_only", _reading(bool).one, schema, "Leave deleted rows out")


def count() -> Choice:
    """Return the parameter that asks for a total."""
    schema = {"type": "string", "enum": list(get_args(Count))}
    text = "Tell the total in X-Total-Count: counted, or as the planner estimates it"
    return Choice("count", _reading(Count).one, schema, text)


def only(texts: Sequence[str]) -> str:
    """Return the one text; raises ValueError where there are several."""
    if len(texts) != 1:
        raise ValueError("is given twice; give it once")
    return texts[0]


def listed(value: Any) -> list[str]:
    """Return a JSON list of texts; raises ValueError for anything else."""
    good = isinstance(value, list) and all(isinstance(each, str) for each in value)
    if not good or not value:
        raise ValueError("has to be a list of names")
    return list(value)


def _check_length(values: Sequence[object], longest: int) -> None:
    if len(values) > longest:
        raise ValueError(f"takes at most {longest} values")


def _text(value: Any) -> str:
    """Return a value as JSON again; a fraction says itself with all of its digits."""
    return str(value) if isinstance(value, float) else json.dumps(value)
