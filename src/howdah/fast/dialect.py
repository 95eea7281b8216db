"""SQLAlchemy's compiler for asyncpg, so that a list of values is one parameter."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import (
    BindParameter,
    Date,
    DateTime,
    TupleType,
    all_,
    any_,
    bindparam,
)
from sqlalchemy.dialects import registry
from sqlalchemy.types import TypeEngine

from howdah.engine import json_text
from howdah.errors import Misconfigured
from howdah.schemas import plain_type
from howdah.statements import ColumnOfRows

__all__ = ("DIALECT", "is_moment", "moment_text")

_asyncpg = registry.load("postgresql.asyncpg")
_base: Any = _asyncpg.statement_compiler


class _Compiler(_base):  # type: ignore[misc] # a class that only a dialect knows
    """Makes `IN (...)` a comparison with one array: a text for lists of any length."""

    def visit_in_op_binary(self, binary: Any, _operator: Any, **options: Any) -> str:
        """Compile `column IN (values)`, or `IN (SELECT ...)`."""
        if _is_list(binary.right):
            same = binary.left == any_(_array(binary.right))
            return f"({self.process(same, **options)})"
        left, right = self._sides(binary, options)
        return f"{left} IN {right}"

    def visit_not_in_op_binary(
        self, binary: Any, _operator: Any, **options: Any
    ) -> str:
        """Compile `column NOT IN (values)`, or `NOT IN (SELECT ...)`."""
        if _is_list(binary.right):
            other = binary.left != all_(_array(binary.right))
            return f"({self.process(other, **options)})"
        left, right = self._sides(binary, options)
        return f"({left} NOT IN {right})"

    def render_bind_cast(self, type_: Any, dbapi_type: Any, sqltext: str) -> str:
        """Cast a parameter; moments come as texts, as `moment_text` makes them."""
        several = isinstance(type_, ColumnOfRows)
        if is_moment(type_.column_type if several else type_):
            sqltext = f"{sqltext}::TEXT[]" if several else f"{sqltext}::TEXT"
        cast: str = super().render_bind_cast(type_, dbapi_type, sqltext)
        return cast

    def _sides(self, binary: Any, options: dict[str, Any]) -> tuple[str, str]:
        left: str = self.process(binary.left, **options)
        right: str = self.process(binary.right, **options)
        return left, right


def is_moment(type_: TypeEngine[Any]) -> bool:
    """Say whether asyncpg would take a value of the type for infinite.

    It does so with the first and the last that Python has, like 9999-12-31.
    """
    return isinstance(plain_type(type_), Date | DateTime)


def moment_text(type_: TypeEngine[Any]) -> Callable[[Any], Any]:
    """Return what writes a value of the type as it is; a text may be "infinity"."""
    aware = getattr(plain_type(type_), "timezone", None)

    def written(value: Any) -> Any:
        if isinstance(value, datetime) and aware is not None:
            return _in_utc(value, aware=aware).isoformat()
        return value.isoformat() if isinstance(value, date) else value

    return written


def _in_utc(value: datetime, *, aware: bool) -> datetime:
    if value.tzinfo is UTC or (value.tzinfo is None and not aware):
        return value
    value = value.astimezone(UTC)
    return value if aware else value.replace(tzinfo=None)


def _is_list(element: Any) -> bool:
    return isinstance(element, BindParameter) and element.expanding


def _array(values: BindParameter[Any]) -> BindParameter[Any]:
    """Return the parameter of a list of values as one of an array, by the same key."""
    if isinstance(values.type, TupleType):
        raise Misconfigured(
            "a condition compares several columns with a list of tuples, which no "
            "array holds; write or_(and_(...), ...)"
        )
    return bindparam(values.key, type_=ColumnOfRows(values.type))


DIALECT: Any = _asyncpg(json_serializer=json_text)
DIALECT.statement_compiler = _Compiler
