"""Statements compiled once for asyncpg, then only filled in.

SQLAlchemy's compiler and types are used; its machinery for each execution is left out.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BindParameter, ClauseElement, Column, TupleType, all_, any_, bindparam
from sqlalchemy.dialects import registry
from sqlalchemy.types import TypeEngine

from howdah.engine import json_text
from howdah.errors import Misconfigured
from howdah.statements import ColumnOfRows, value_name

__all__ = ("Default", "Plan", "Process", "python_defaults")

Process = Callable[[Any], Any]
Default = Callable[[Mapping[str, Any]], Any]


_asyncpg = registry.load("postgresql.asyncpg")


class _Compiler(_asyncpg.statement_compiler):  # type: ignore[misc] # known at runtime
    """Makes `IN (...)` a comparison with one array, so its text is always the same."""

    def visit_in_op_binary(self, binary: Any, operator: Any, **options: Any) -> str:
        """Compile `column IN (values)`, or `IN (SELECT ...)`."""
        if _is_list(binary.right):
            same = binary.left == any_(_array(binary.right))
            return f"({self.process(same, **options)})"
        return f"{self.process(binary.left, **options)} IN {self.process(binary.right, **options)}"

    def visit_not_in_op_binary(self, binary: Any, operator: Any, **options: Any) -> str:
        """Compile `column NOT IN (values)`, or `NOT IN (SELECT ...)`."""
        if _is_list(binary.right):
            other = binary.left != all_(_array(binary.right))
            return f"({self.process(other, **options)})"
        return f"({self.process(binary.left, **options)} NOT IN {self.process(binary.right, **options)})"


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


_dialect = _asyncpg(json_serializer=json_text)
_dialect.statement_compiler = _Compiler


@dataclass(frozen=True, slots=True)
class Plan:
    """A statement's text, and how its parameters come from named values."""

    statement: str
    parameters: tuple[tuple[str, Process | None, Default | None], ...]

    @classmethod
    def of(
        cls, statement: ClauseElement, names: Mapping[str, str] | None = None
    ) -> "Plan":
        """Compile a statement for asyncpg; names are those of parameters by their keys."""
        compiled: Any = statement.compile(dialect=_dialect)
        defaults = _defaults(compiled)
        named = names or {}
        return cls(
            statement=compiled.string,
            parameters=tuple(
                (
                    named.get(bind.key, name),
                    _processor(bind.type),
                    defaults.get(name),
                )
                for name, bind in (
                    (name, compiled.binds[name]) for name in compiled.positiontup
                )
            ),
        )

    def arguments(self, values: Mapping[str, Any]) -> list[Any]:
        """Return the driver's arguments for these values, in order."""
        arguments = []
        for name, process, default in self.parameters:
            value = values[name] if default is None else default(values)
            arguments.append(value if process is None else process(value))
        return arguments


def _processor(type_: TypeEngine[Any]) -> Process | None:
    if isinstance(type_, ColumnOfRows):
        return _each(type_.column_type)
    process: Process | None = type_.dialect_impl(_dialect).bind_processor(_dialect)
    return process


def _each(type_: TypeEngine[Any]) -> Process | None:
    process = _processor(type_)
    if process is None:
        return None
    return lambda values: [process(value) for value in values]


def _defaults(compiled: Any) -> dict[str, Default]:
    """Return what fills the parameters of columns that Python has a default for."""
    columns = (*compiled.insert_prefetch, *compiled.update_prefetch)
    return {
        column.key: _default(
            column, update=any(column is other for other in compiled.update_prefetch)
        )
        for column in columns
    }


def python_defaults(fields: Mapping[str, Column[Any]]) -> dict[str, Default]:
    """Return what fills the fields that Python has a default for."""
    return {
        name: _default(column, update=False)
        for name, column in fields.items()
        if getattr(column.default, "is_callable", False)
        or getattr(column.default, "is_scalar", False)
    }


def _default(column: Column[Any], *, update: bool) -> Default:
    default: Any = column.onupdate if update else column.default
    if default.is_callable:
        return lambda values: default.arg(_Context(values))
    return lambda _values: default.arg


class _Context:
    """What a default that asks for the other values of its row gets from SQLAlchemy."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        prefix = value_name("")
        self.current_parameters = {
            name.removeprefix(prefix): value for name, value in values.items()
        }

    def get_current_parameters(self) -> dict[str, Any]:
        """Return the values by the names of their fields."""
        return self.current_parameters
