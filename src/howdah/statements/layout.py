"""What a resource shows of a table, and how its rows are known. No statement yet."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, time
from functools import cached_property
from typing import Any

from pydantic import BaseModel
from sqlalchemy import (
    ARRAY,
    Boolean,
    Column,
    ColumnElement,
    Interval,
    String,
    Table,
    Text,
    and_,
    any_,
    bindparam,
    cast,
    literal_column,
)
from sqlalchemy.types import Enum, TypeDecorator, TypeEngine

from howdah.errors import Misconfigured
from howdah.query import Sort
from howdah.search import FullTextColumn
from howdah.statements.scope import Held, Scope, Within

__all__ = (
    "MATCH",
    "ColumnOfRows",
    "Embed",
    "Layout",
    "Target",
    "active",
    "array_type",
    "is_active",
    "is_key",
    "is_match",
    "is_readable",
    "key_name",
    "key_values",
    "tag",
    "uncut",
)

_NONE: Mapping[str, Any] = {}
MATCH = "__match"
"""The name of the parameter for the versions that a change is meant for."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Layout:
    """What a resource shows of a table, and how its rows are known and deleted."""

    table: Table
    columns: Mapping[str, Column[Any]]
    """The columns that are read, by the name that they have in JSON, in its order."""
    fields: Mapping[str, Column[Any]]
    """All columns, by the name of the model's attribute; values are given by it."""
    search: tuple[Column[Any], ...] = ()
    """The texts that a search looks into, where it is for a part of one."""
    full_text: FullTextColumn | None = None
    """What a search looks into, where it is for words."""
    soft_delete: Column[Any] | None = None
    filters: Mapping[str, "Target"] = field(default_factory=dict)
    """What filters reach, by their names."""
    scope: Scope | None = None
    """Which rows there are for the caller; none stands for all."""
    related: Mapping[str, Scope] = field(default_factory=dict)
    """Which rows there are for the caller where relations of these names lead."""
    kept: Table | None = None
    """Where answers are kept for who sends a request again; see `once`."""
    schema: type[BaseModel] | None = None
    """What a row looks like as JSON, for stores whose database does not write it."""
    embeds: Mapping[str, "Embed"] = field(default_factory=dict)
    """The relations whose rows may be embedded, by their names in JSON."""
    links: Mapping[str, Any] = field(default_factory=dict)
    """The relations that may be written, as `linking.Link`, by their names."""

    @cached_property
    def keys(self) -> tuple[Column[Any], ...]:
        """The columns of the primary key."""
        columns = tuple(self.table.primary_key.columns)
        if not columns:
            raise Misconfigured(
                f"table {self.table.name!r} has no primary key; a resource needs one"
            )
        return columns

    def limited(
        self,
        condition: ColumnElement[bool],
        related: Mapping[str, ColumnElement[bool]] = _NONE,
    ) -> "Layout":
        """Return the layout for the rows that meet a condition as well."""
        scopes = {
            name: _both(self.related.get(name), condition, place=name)
            for name, condition in related.items()
        }
        # As `replace` does it, which costs several times as much: each request comes
        # through here.
        limited = object.__new__(Layout)
        known = vars(limited)
        scope = _both(self.scope, condition)
        known.update(vars(self), scope=scope)
        if scopes:
            known["related"] = {**self.related, **scopes}
            known["embeds"] = {n: _limited(it, scopes) for n, it in self.embeds.items()}
        known["scopes"] = (scope, *limited.related.values())
        return limited

    @cached_property
    def scopes(self) -> tuple[Scope, ...]:
        """The scopes of the rows, and of those that relations lead to."""
        own = () if self.scope is None else (self.scope,)
        return (*own, *self.related.values())

    @property
    def owner(self) -> str:
        """What tells one caller from another: what there is for them.

        But for moments: a scope that ends at the present is another at each request.
        """
        parts = []
        for scope in self.scopes:
            given = scope.values.values()
            parts.append(str(scope.condition))
            parts += [repr(value) for value in given if not isinstance(value, _MOMENT)]
        return json.dumps(parts)

    @property
    def within(self) -> tuple[ColumnElement[bool], ...]:
        """What a row has to meet to be touched; belongs into every WHERE."""
        return () if self.scope is None else (Within(self.scope.condition),)

    @property
    def held(self) -> tuple[ColumnElement[Any], ...]:
        """What undoes all where a written row is out of scope; for every RETURNING."""
        if self.scope is None:
            return ()
        return (Held(self.scope.condition, self.table).label(_HELD),)

    @property
    def stamps(self) -> Mapping[Column[Any], ColumnElement[Any]]:
        """What new rows have in some columns, whatever is sent for them."""
        return {} if self.scope is None else self.scope.stamps(self.table)

    @property
    def stamped(self) -> frozenset[str]:
        """The fields that a scope gives to new rows, whatever is sent for them."""
        if self.scope is None:
            return frozenset()
        given = self.scope.equalities(self.table)
        return frozenset(
            name for name, column in self.fields.items() if column in given
        )


_HELD = "__held"
_MOMENT = (date, time)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Target:
    """A column that a filter compares, perhaps of rows that a relation leads to."""

    column: Column[Any]
    via: Any = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Embed:
    """A relation whose rows may stand inside of the row that they belong to.

    To one, it is the row that `get` would show; to many, those of `list`.
    """

    relation: Any
    """The attribute of the mapped class: `Item.category`."""
    layout: Layout
    """How the related rows are shown, and which may be; it embeds nothing itself."""
    many: bool
    limit: int = 100
    """Most rows of one parent."""
    sort: tuple[Sort, ...] = ()


def _both(
    outer: Scope | None, condition: ColumnElement[bool], *, place: str = ""
) -> Scope:
    both = condition if outer is None else and_(outer.condition, condition)
    return Scope.of(both, place=place)


def _limited(embed: Embed, scopes: Mapping[str, Scope]) -> Embed:
    scope = scopes.get(embed.relation.key)
    if scope is None:
        return embed
    return replace(embed, layout=replace(embed.layout, scope=scope))


class ColumnOfRows(ARRAY[Any]):
    """The values of one column for many rows, as an array parameter."""

    def __init__(self, column_type: TypeEngine[Any]) -> None:
        super().__init__(_element_type(column_type))
        self.column_type = column_type
        """What turns a single value into what the driver takes."""


def is_key(layout: Layout) -> ColumnElement[bool]:
    """Return the condition of the row in scope whose key is in the `key_values`."""
    return and_(
        *layout.within,
        *(
            column == bindparam(key_name(number), type_=column.type)
            for number, column in enumerate(layout.keys)
        ),
    )


def key_values(layout: Layout, key: Any) -> dict[str, Any]:
    """Return the parameters of a key: one value, or a tuple where it has several."""
    if len(layout.keys) == 1:
        return {_ONLY_KEY: key}
    return {key_name(number): value for number, value in enumerate(key)}


def key_name(number: int) -> str:
    """Return the name of the parameter of a key's column, counted from 0."""
    return f"__key_{number}"


_ONLY_KEY = key_name(0)


def active(layout: Layout) -> Iterable[ColumnElement[bool]]:
    """Yield what leaves deleted rows out."""
    if layout.soft_delete is not None:
        yield is_active(layout.soft_delete)


def is_active(mark: Column[Any]) -> ColumnElement[bool]:
    """Return the condition of rows that a column does not mark as deleted."""
    return mark if isinstance(mark.type, Boolean) else mark.is_(None)


def is_readable(layout: Layout) -> Iterable[ColumnElement[bool]]:
    """Yield what keeps a deleted row from being found by its key.

    An inactive row stays readable, to be seen and made active again; one with a
    moment of deletion is gone.
    """
    column = layout.soft_delete
    if column is not None and not isinstance(column.type, Boolean):
        yield column.is_(None)


def tag() -> ColumnElement[str]:
    """Return what tells a row's versions apart: the transaction that wrote it."""
    return cast(literal_column("xmin"), Text)


def is_match() -> ColumnElement[bool]:
    """Return the condition of rows in one of the versions `MATCH`."""
    return tag() == any_(bindparam(MATCH, type_=ARRAY(Text)))


def array_type(type_: TypeEngine[Any]) -> ARRAY[Any] | None:
    """Return the type of a column's arrays, None where it holds none.

    PostgreSQL takes an array of arrays for one of more dimensions, so in an array
    parameter each stands as its text, to be cast to this.
    """
    plain = _plain(type_)
    if not isinstance(plain, ARRAY):
        return None
    return ARRAY(_element_type(plain.item_type), dimensions=plain.dimensions)


def _element_type(type_: TypeEngine[Any]) -> TypeEngine[Any]:
    """Return the type that a column has inside an array parameter."""
    plain = _plain(type_)
    if isinstance(plain, ARRAY) or (
        isinstance(plain, String) and not isinstance(plain, Enum)
    ):
        # The array is cast explicitly, and an explicit cast to VARCHAR(n) cuts the
        # text off in silence; as TEXT it meets the column's own length, and fails.
        return Text()
    return plain


def uncut(type_: TypeEngine[Any]) -> TypeEngine[Any]:
    """Return the type that a value is sent as: a list of texts is cut to no length."""
    plain = _plain(type_)
    if isinstance(plain, ARRAY) and isinstance(_element_type(plain.item_type), Text):
        return ARRAY(Text(), dimensions=plain.dimensions)
    return type_


def _plain(type_: TypeEngine[Any]) -> TypeEngine[Any]:
    if isinstance(type_, TypeDecorator) and not isinstance(type_, Interval):
        return _plain(type_.impl_instance)
    return type_
