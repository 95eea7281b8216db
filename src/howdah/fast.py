"""Rows as JSON bytes that PostgreSQL wrote: statements compiled once, then filled in.

A request is one round trip on the fast lane. SQLAlchemy compiles and knows the types;
its machinery for each execution is left out.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import BindParameter, ClauseElement, Column, Integer, SmallInteger
from sqlalchemy.dialects import registry
from sqlalchemy.types import BigInteger, TypeEngine

from howdah import statements
from howdah.database import Database
from howdah.errors import FieldError, HowdahError, Invalid, InvalidQuery, NotFound
from howdah.models import constraint_fields, python_type
from howdah.paging import OffsetPage, Page, Slice
from howdah.query import Query
from howdah.statements import (
    ColumnOfRows,
    Layout,
    filter_values,
    like_pattern,
    position_name,
    value_name,
)
from howdah.store import Created

__all__ = ("FastStore", "Plan")

Process = Callable[[Any], Any]
Default = Callable[[], Any]

# Shapes kept per store: fields sent in updates and creations make most of them.
_MOST_PLANS = 500
_dialect = registry.load("postgresql.asyncpg")()


@dataclass(frozen=True, slots=True)
class Plan:
    """A statement's text, and how its parameters come from named values."""

    statement: str
    parameters: tuple[tuple[str, Process | None, Default | None], ...]

    @classmethod
    def of(cls, statement: ClauseElement) -> "Plan":
        """Compile a statement for asyncpg."""
        compiled: Any = statement.compile(dialect=_dialect)
        defaults = _defaults(compiled)
        return cls(
            statement=compiled.string,
            parameters=tuple(
                (name, _processor(compiled.binds[name].type), defaults.get(name))
                for name in compiled.positiontup
            ),
        )

    def arguments(self, values: Mapping[str, Any]) -> list[Any]:
        """Return the driver's arguments for these values, in order."""
        arguments = []
        for name, process, default in self.parameters:
            value = values[name] if default is None else default()
            arguments.append(value if process is None else process(value))
        return arguments


class FastStore:
    """The rows of one table, over the fast lane of a Database."""

    def __init__(self, database: Database, layout: Layout, *, model: str) -> None:
        self._database = database
        self._layout = layout
        self._model = model
        self._plans: dict[object, Plan] = {}
        self._largest_key = _largest(layout.key.type)

    async def get(self, key: Any) -> bytes:
        """Return the row, or raise NotFound."""
        self._check(key)
        plan = self._plan("get", lambda: statements.get(self._layout))
        return self._found(await self._read(plan, {"key": key}), key)

    async def list(self, query: Query, page: Page) -> Slice:
        """Return a page of rows, in the query's order and then that of their keys."""
        plan = self._plan(
            ("list", query.shape, _page_shape(page)),
            lambda: statements.list_rows(self._layout, query, page),
        )
        values = {**_asked(query), **self._place(query, page)}
        body, first, last, more, total = await self._read_row(plan, values)
        return Slice(
            body=_encoded(body), first=first, last=last, more=more, total=total
        )

    async def count(self, query: Query) -> int:
        """Return how many rows there are."""
        plan = self._plan(
            ("count", query.shape), lambda: statements.count(self._layout, query)
        )
        return int(await self._read(plan, _asked(query)))

    async def create(self, values: Mapping[str, Any]) -> Created:
        """Insert a row."""
        shape = ("create", *values)
        plan = self._plan(shape, lambda: statements.create(self._layout, values))
        row = await self._write(plan, _named(values))
        return Created(row[0], _encoded(row[1]))

    async def create_many(self, rows: Sequence[Mapping[str, Any]]) -> bytes:
        """Insert all rows or none; return them as a JSON list, in the order given."""
        if not rows:
            return b"[]"
        names = tuple(rows[0])
        plan = self._plan(
            ("create_many", *names),
            lambda: statements.create_many(self._layout, names),
        )
        columns = {value_name(name): [row[name] for row in rows] for name in names}
        return _encoded((await self._write(plan, columns))[0])

    async def update(self, key: Any, values: Mapping[str, Any]) -> bytes:
        """Change the fields given and no others; return the row or raise NotFound."""
        if not values:
            return await self.get(key)
        self._check(key)
        shape = ("update", *values)
        plan = self._plan(shape, lambda: statements.update_row(self._layout, values))
        row = await self._write(plan, {"key": key, **_named(values)})
        return self._found(row and row[0], key)

    async def delete(self, key: Any, *, hard: bool) -> None:
        """Mark the row as deleted, or remove it; raise NotFound where it is not."""
        self._check(key)
        hard = hard or self._layout.soft_delete is None
        build = statements.hard_delete if hard else statements.soft_delete
        plan = self._plan(("delete", hard), lambda: build(self._layout))
        if await self._write(plan, {"key": key}) is None:
            raise NotFound(model=self._model, key=key)

    def _plan(self, shape: object, build: Callable[[], ClauseElement]) -> Plan:
        plan = self._plans.get(shape)
        if plan is None:
            if len(self._plans) >= _MOST_PLANS:
                self._plans.pop(next(iter(self._plans)))
            plan = self._plans[shape] = Plan.of(build())
        return plan

    async def _read(self, plan: Plan, values: Mapping[str, Any]) -> Any:
        lane = self._database.lane
        return await lane.fetchval(plan.statement, plan.arguments(values), read=True)

    async def _read_row(self, plan: Plan, values: Mapping[str, Any]) -> Any:
        lane = self._database.lane
        return await lane.fetchrow(plan.statement, plan.arguments(values), read=True)

    def _place(self, query: Query, page: Page) -> dict[str, Any]:
        """Return the parameters of a page."""
        values: dict[str, Any] = {"limit": page.limit}
        if isinstance(page, OffsetPage):
            return values | {"skip": page.skip}
        columns = statements.order_columns(self._layout, query)
        given = page.position or ()
        if page.position is not None and len(given) != len(columns):
            raise InvalidQuery("cursor: is none of ours; take it from a Link")
        for number, (column, value) in enumerate(zip(columns, given, strict=False)):
            values[position_name(number)] = _restored(column, value)
        return values

    async def _write(self, plan: Plan, values: Mapping[str, Any]) -> Any:
        lane = self._database.lane
        try:
            return await lane.fetchrow(plan.statement, plan.arguments(values))
        except HowdahError as error:
            self._blame(error, values)
            raise

    def _blame(self, error: HowdahError, values: Mapping[str, Any]) -> None:
        """Name the fields that an error of the database is about."""
        if isinstance(error, Invalid) and not error.errors:
            error.errors = _too_large(self._layout.fields, values)
        tables = self._layout.table.metadata.tables.values()
        error.naming(constraint_fields(error.constraint, tables))

    def _check(self, key: Any) -> None:
        """Raise NotFound for a key that the column cannot hold."""
        if self._largest_key is not None and not _holds(self._largest_key, key):
            raise NotFound(model=self._model, key=key)

    def _found(self, body: str | None, key: Any) -> bytes:
        if body is None:
            raise NotFound(model=self._model, key=key)
        return body.encode()


def _named(values: Mapping[str, Any]) -> dict[str, Any]:
    return {value_name(name): value for name, value in values.items()}


def _asked(query: Query) -> dict[str, Any]:
    values = filter_values(query)
    if query.search is not None:
        values["search"] = like_pattern(query.search)
    return values


def _page_shape(page: Page) -> tuple[object, ...]:
    if isinstance(page, OffsetPage):
        return ("offset",)
    nulls = page.position and tuple(value is None for value in page.position)
    return ("keyset", page.direction, nulls)


def _restored(column: Column[Any], value: Any) -> Any:
    """Return a value of a position as the column's Python type."""
    if value is None:
        return None
    try:
        return _adapter(cast("Hashable", python_type(column.type))).validate_python(
            value
        )
    except ValidationError:
        raise InvalidQuery("cursor: is none of ours; take it from a Link") from None


@cache
def _adapter(kind: Hashable) -> TypeAdapter[Any]:
    adapter: TypeAdapter[Any] = TypeAdapter(cast("type[Any]", kind))
    return adapter


def _encoded(body: str) -> bytes:
    return body.encode()


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
    literals = {
        name: partial(_value_of, bind)
        for name, bind in compiled.binds.items()
        if not bind.required
    }
    return literals | {
        column.key: _default(
            column, update=any(column is other for other in compiled.update_prefetch)
        )
        for column in columns
    }


def _value_of(bind: BindParameter[Any]) -> Any:
    return bind.effective_value


def _default(column: Column[Any], *, update: bool) -> Default:
    default: Any = column.onupdate if update else column.default
    if default.is_callable:
        return lambda: default.arg(None)
    return lambda: default.arg


def _largest(type_: TypeEngine[Any]) -> int | None:
    """Return the largest number that an integer column holds."""
    if isinstance(type_, SmallInteger):
        return 2**15 - 1
    if isinstance(type_, BigInteger):
        return 2**63 - 1
    return 2**31 - 1 if isinstance(type_, Integer) else None


def _too_large(
    fields: Mapping[str, Column[Any]], values: Mapping[str, Any]
) -> tuple[FieldError, ...]:
    return tuple(
        FieldError(
            field=name,
            code=Invalid.code,
            message=f"is larger than {largest}, which is all that the column holds",
        )
        for name, column in fields.items()
        if (largest := _largest(column.type)) is not None
        and isinstance(value := values.get(value_name(name)), int)
        and not _holds(largest, value)
    )


def _holds(largest: int, value: int) -> bool:
    return -largest - 1 <= value <= largest
