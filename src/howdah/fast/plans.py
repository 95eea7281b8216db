"""Statements compiled once for asyncpg, then only filled in.

SQLAlchemy's compiler and types are used; its machinery for each execution is left out.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import JSON, ClauseElement, Column
from sqlalchemy.types import TypeEngine

from howdah.fast.arrays import array_text
from howdah.fast.dialect import DIALECT, is_moment, moment_text
from howdah.statements import ColumnOfRows, array_type, value_name

__all__ = ("Default", "Plan", "Process", "python_defaults")

Process = Callable[[Any], Any]
Default = Callable[[Mapping[str, Any]], Any]

_NONE: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Plan:
    """A statement's text, and how its parameters come from named values."""

    statement: str
    parameters: tuple[tuple[str, Process | None, Default | None], ...]

    @classmethod
    def of(cls, statement: ClauseElement, names: Mapping[str, str] = _NONE) -> "Plan":
        """Compile a statement for asyncpg; `names` rename parameters by their keys."""
        compiled: Any = statement.compile(dialect=DIALECT)
        defaults = _defaults(compiled)
        binds = [(name, compiled.binds[name]) for name in compiled.positiontup]
        return cls(
            statement=compiled.string,
            parameters=tuple(
                (names.get(bind.key, name), _processor(bind.type), defaults.get(name))
                for name, bind in binds
            ),
        )

    def explained(self) -> "Plan":
        """Return the plan that asks what the planner thinks of this one."""
        return replace(self, statement=f"EXPLAIN (FORMAT JSON) {self.statement}")

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
    process: Process | None = type_.dialect_impl(DIALECT).bind_processor(DIALECT)
    if is_moment(type_):
        return _then(process, moment_text(type_))
    if isinstance(type_, JSON) and process is not None:
        # None is NULL, as in any column; `JSON.NULL` is the null of JSON.
        return _or_none(process)
    return process


def _then(first: Process | None, second: Process) -> Process:
    return second if first is None else lambda value: second(first(value))


def _or_none(process: Process) -> Process:
    return lambda value: None if value is None else process(value)


def _each(type_: TypeEngine[Any]) -> Process | None:
    process = _processor(type_)
    if array_type(type_) is not None:
        return lambda values: [
            array_text(process(value) if process else value) for value in values
        ]
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


def python_defaults(
    fields: Mapping[str, Column[Any]], *, update: bool = False
) -> dict[str, Default]:
    """Return what fills the fields that Python has a default for."""
    return {
        name: _default(column, update=update)
        for name, column in fields.items()
        if _is_python(column.onupdate if update else column.default)
    }


def _is_python(default: Any) -> bool:
    return getattr(default, "is_callable", False) or getattr(
        default, "is_scalar", False
    )


def _default(column: Column[Any], *, update: bool) -> Default:
    default: Any = column.onupdate if update else column.default
    if default.is_callable:
        return lambda values: default.arg(_Context(values))
    return lambda _values: default.arg


class _Context:
    """What a default that asks for the other values of its row gets from SQLAlchemy."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    @property
    def current_parameters(self) -> dict[str, Any]:
        """The values by the names of their fields; most defaults do not ask."""
        prefix = value_name("")
        return {name.removeprefix(prefix): it for name, it in self._values.items()}

    def get_current_parameters(self) -> dict[str, Any]:
        """Return the values by the names of their fields."""
        return self.current_parameters
