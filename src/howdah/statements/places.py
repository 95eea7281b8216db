"""How values stand in a statement: by name, to be filled in later, or at once.

A plan is compiled once and has names; a statement that somebody goes on with (a
repository's SELECT, an ORM query) carries its values, and runs on any dialect.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from sqlalchemy import (
    REAL,
    BindParameter,
    Column,
    ColumnElement,
    Float,
    Numeric,
    all_,
    any_,
    bindparam,
)
from sqlalchemy.types import TypeEngine

from howdah.statements.layout import ColumnOfRows

__all__ = ("NAMED", "Filled", "Named", "Places", "compared_as")


def compared_as(type_: TypeEngine[Any]) -> TypeEngine[Any]:
    """Return the type of a value that is compared with a column of this type.

    Parameters are cast to their type. NUMERIC(12, 2) would round 1.005, and so find
    rows of 1.01. REAL is named FLOAT there, which is a DOUBLE PRECISION: no row of a
    REAL that is not a short fraction would be equal to its own value.
    """
    if isinstance(type_, REAL):
        return Float(24)
    exact = isinstance(type_, Numeric) and not isinstance(type_, Float)
    return Numeric() if exact else type_


class Places(Protocol):
    """Where the value with a name goes."""

    def one(self, name: str, type_: TypeEngine[Any]) -> BindParameter[Any]:
        """Return the parameter of a value."""

    def among(
        self, column: Column[Any], name: str, type_: TypeEngine[Any]
    ) -> ColumnElement[bool]:
        """Return the condition that a column has one of several values."""

    def outside(
        self, column: Column[Any], name: str, type_: TypeEngine[Any]
    ) -> ColumnElement[bool]:
        """Return the condition that a column has none of several values."""


class Named:
    """Parameters by name; several values are one array, so the text stays the same."""

    def one(self, name: str, type_: TypeEngine[Any]) -> BindParameter[Any]:
        """Return the parameter of a value."""
        return bindparam(name, type_=type_)

    def among(
        self, column: Column[Any], name: str, type_: TypeEngine[Any]
    ) -> ColumnElement[bool]:
        """Return the condition that a column has one of several values."""
        return column == any_(bindparam(name, type_=ColumnOfRows(type_)))

    def outside(
        self, column: Column[Any], name: str, type_: TypeEngine[Any]
    ) -> ColumnElement[bool]:
        """Return the condition that a column has none of several values."""
        return column != all_(bindparam(name, type_=ColumnOfRows(type_)))


NAMED = Named()


class Filled:
    """Parameters that carry their values, and whose names nothing can meet."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def one(self, name: str, type_: TypeEngine[Any]) -> BindParameter[Any]:
        """Return the parameter of a value."""
        return bindparam(None, self._values[name], type_=type_, unique=True)

    def among(
        self, column: Column[Any], name: str, type_: TypeEngine[Any]
    ) -> ColumnElement[bool]:
        """Return the condition that a column has one of several values."""
        return column.in_(self._several(name, type_))

    def outside(
        self, column: Column[Any], name: str, type_: TypeEngine[Any]
    ) -> ColumnElement[bool]:
        """Return the condition that a column has none of several values."""
        return column.not_in(self._several(name, type_))

    def _several(self, name: str, type_: TypeEngine[Any]) -> list[BindParameter[Any]]:
        values = self._values[name]
        return [bindparam(None, each, type_=type_, unique=True) for each in values]
