"""One table over the fast lane: plans kept by their shape, run, and their faults told.

What is asked of the table, and what its answers mean, is the store's to know.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Self
from weakref import WeakKeyDictionary

from sqlalchemy import ClauseElement, ColumnElement

from howdah.bulk import missing_rows, refuse_twice
from howdah.database import Database
from howdah.errors import (
    HowdahError,
    Invalid,
    NotFound,
    StaleVersion,
    StillReferenced,
)
from howdah.fast.batches import key_fields
from howdah.fast.culprits import name_rows
from howdah.fast.plans import Plan, python_defaults
from howdah.fast.texts import Columns
from howdah.limits import holds, largest, too_large, too_long
from howdah.models import constraint_fields
from howdah.statements import Becoming, Layout, guard, value_name
from howdah.store import NO_CONDITIONS, Match, Row

__all__ = ("FastTable",)

# Shapes kept per store: fields sent in updates and creations make most of them.
_MOST_PLANS = 500


class FastTable:
    """The rows of one table, as far as a caller's scope reaches."""

    def __init__(self, database: Database, layout: Layout, *, model: str) -> None:
        self._database = database
        self._layout = layout
        self._model = model
        self._plans: dict[object, Plan] = {}
        self._texts: WeakKeyDictionary[type[Any], Columns | None] = WeakKeyDictionary()
        self._largest_keys = tuple(largest(column.type) for column in layout.keys)
        self._keys = key_fields(layout)
        self._defaults = python_defaults(layout.fields)
        self._touches = python_defaults(layout.fields, update=True)

    def within(
        self,
        condition: ColumnElement[bool],
        *,
        related: Mapping[str, ColumnElement[bool]] = NO_CONDITIONS,
    ) -> Self:
        """Return the store of the rows that meet a condition; see Store.within."""
        # As `copy` does it, in a fraction of its time.
        scoped = object.__new__(type(self))
        # Its plans are kept with all others, by the shape of the scope.
        layout = self._layout.limited(condition, related)
        vars(scoped).update(vars(self), _layout=layout)
        return scoped

    def _plan(self, shape: object, build: Callable[[], ClauseElement]) -> Plan:
        scopes = self._layout.scopes
        if scopes:
            shape = (shape, *((scope.place, scope.shape) for scope in scopes))
        plan = self._plans.get(shape)
        if plan is None:
            if len(self._plans) >= _MOST_PLANS:
                self._plans.pop(next(iter(self._plans)))
            plan = self._plans[shape] = self._compiled(build())
        return plan

    def _compiled(self, statement: ClauseElement) -> Plan:
        scope = self._layout.scope
        if scope is not None:
            guard(statement, scope, self._layout.table)
        return self._renamed(statement)

    def _renamed(self, statement: ClauseElement) -> Plan:
        scopes = self._layout.scopes
        return Plan.of(statement, {k: n for s in scopes for k, n in s.names.items()})

    def _arguments(self, plan: Plan, values: Mapping[str, Any]) -> Sequence[Any]:
        scopes = self._layout.scopes
        if not scopes:
            return plan.arguments(values)
        given = dict(values)
        for scope in scopes:
            given |= scope.values
        return plan.arguments(given)

    def _read(self, plan: Plan, values: Mapping[str, Any]) -> Awaitable[Any]:
        return self._send(plan, self._arguments(plan, values))

    def _send(self, plan: Plan, arguments: Sequence[Any]) -> Awaitable[Any]:
        """Run a statement that reads."""
        # No coroutine of its own: a request would pay for it.
        return self._database.lane.fetchrow(plan.statement, arguments, read=True)

    async def _write(
        self, plan: Plan, values: Mapping[str, Any], *, again: bool = False
    ) -> Any:
        """Run a statement that writes; what is done once may be sent again."""
        lane = self._database.lane
        try:
            arguments = self._arguments(plan, values)
            return await lane.fetchrow(plan.statement, arguments, read=again)
        except HowdahError as error:
            self._blame(error, values)
            raise

    async def _write_many(
        self,
        plan: Plan,
        values: Mapping[str, Any],
        becoming: Callable[[], Becoming],
        *,
        again: bool = False,
    ) -> Any:
        """Write rows; where that fails, find out which of them are to blame."""
        try:
            return await self._write(plan, values, again=again)
        except HowdahError as error:
            if isinstance(error, StillReferenced):
                error.errors = ()
                error.naming(self._keys)

            async def ask(question: ClauseElement) -> Any:
                row = await self._read(self._renamed(question), values)
                return None if row is None else row[0]

            await name_rows(error, becoming, ask)
            raise

    def _blame(self, error: HowdahError, values: Mapping[str, Any]) -> None:
        """Name the fields that an error of the database is about."""
        if isinstance(error, Invalid) and not error.errors:
            fields = self._layout.fields
            given = {name: values.get(value_name(name)) for name in fields}
            error.errors = (*too_large(fields, given), *too_long(fields, given))
        tables = self._layout.table.metadata.tables.values()
        error.naming(constraint_fields(error.constraint, tables))

    def _check(self, key: Any) -> None:
        """Raise NotFound for a key that the columns cannot hold."""
        if not self._holds(key):
            raise NotFound(model=self._model, key=key)

    def _check_all(self, keys: Sequence[Any]) -> None:
        """Raise where a batch names a row twice, or one that there cannot be."""
        refuse_twice(self._keys, keys)
        if any(limit is not None for limit in self._largest_keys):
            lost = [n for n, key in enumerate(keys) if not self._holds(key)]
            self._check_found(keys, [index + 1 for index in lost])

    def _check_found(self, keys: Sequence[Any], missing: Sequence[int] | None) -> None:
        if missing:
            indexes = [position - 1 for position in missing]
            raise missing_rows(self._model, self._keys, keys, indexes)

    def _holds(self, key: Any) -> bool:
        if len(self._largest_keys) == 1:
            (limit,) = self._largest_keys
            return limit is None or holds(limit, key)
        return all(
            limit is None or holds(limit, value)
            for limit, value in zip(self._largest_keys, key, strict=True)
        )

    def _row(self, row: Any, key: Any) -> Row:
        if row is None or row[0] is None:
            raise NotFound(model=self._model, key=key)
        return Row(body=row[0].encode(), tag=row[1])

    def _matched(self, row: Row, key: Any, match: Match) -> Row:
        if match is not None and row.tag not in match:
            raise self._stale(key)
        return row

    def _missing(self, key: Any) -> NotFound:
        return NotFound(model=self._model, key=key)

    def _stale(self, key: Any) -> StaleVersion:
        return StaleVersion(f"{self._model} ID {key} has changed since it was read")
