"""The condition that limits which rows a caller may touch.

It stands in every WHERE, gives new rows what it demands of them, and is asked of each
row once more when it has been written: no row is moved out of a scope, or made beyond
one. Its shape decides the statement, its values are parameters like all others.
"""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from sqlalchemy import (
    BinaryExpression,
    BindParameter,
    Boolean,
    ClauseElement,
    Column,
    ColumnElement,
    Delete,
    False_,
    Insert,
    Integer,
    Null,
    Table,
    True_,
    UnaryExpression,
    Update,
    and_,
    bindparam,
    false,
    true,
    update,
)
from sqlalchemy.dialects.postgresql.dml import OnConflictDoUpdate
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import operators, visitors
from sqlalchemy.sql.elements import BooleanClauseList

from howdah.errors import Misconfigured
from howdah.statements.shapes import Binds, shape_of

__all__ = ("Scope", "guard")


@dataclass(frozen=True, kw_only=True, eq=False)
class Scope:
    """A condition, and what tells its shape from its values."""

    given: ColumnElement[bool]
    shape: Hashable
    binds: Binds
    place: str = ""
    """The relation whose rows it is about; none stands for the rows themselves."""

    @classmethod
    def of(cls, condition: ColumnElement[bool], *, place: str = "") -> "Scope":
        """Take a condition apart; what SQLAlchemy has no cache key for is refused."""
        shape, binds = shape_of(condition)
        # As its constructor does it, which costs more than all else: each request comes
        # through here.
        scope = object.__new__(cls)
        vars(scope).update(given=condition, shape=shape, binds=binds, place=place)
        return scope

    @cached_property
    def condition(self) -> ColumnElement[bool]:
        """The condition, attributes of models as plain expressions."""
        return and_(true(), self.given)

    @property
    def values(self) -> dict[str, Any]:
        """The values of the condition's parameters, by the names of `names`."""
        names = _names(self.place, len(self.binds))
        return {
            name: bind.effective_value
            for name, bind in zip(names, self.binds, strict=True)
        }

    @cached_property
    def names(self) -> Mapping[str, str]:
        """The names that the condition's parameters have in a plan, by their keys."""
        names = _names(self.place, len(self.binds))
        return {bind.key: name for name, bind in zip(names, self.binds, strict=True)}

    def stamps(self, table: Table) -> dict[Column[Any], ColumnElement[Any]]:
        """Return what new rows get in some columns, values as parameters."""
        return {
            column: bindparam(self.names[value.key], type_=column.type)
            if isinstance(value, BindParameter)
            else value
            for column, value in self.equalities(table).items()
        }

    def equalities(self, table: Table) -> dict[Column[Any], ColumnElement[Any]]:
        """Return what the condition says that columns of a table are equal to."""
        return {
            table.columns[column.key]: value
            for part in _conjuncts(self.condition)
            for column, value in _equal(part)
            if isinstance(column, Column) and column.table is table
            if isinstance(value, BindParameter | True_ | False_ | Null)
        }


@lru_cache(500)
def _names(place: str, count: int) -> tuple[str, ...]:
    return tuple(f"__scope_{place}_{number}" for number in range(count))


class Within(ColumnElement[bool]):
    """A scope's condition, of the row that the statement around it speaks of."""

    inherit_cache = False
    type = Boolean()

    def __init__(self, condition: ColumnElement[bool]) -> None:
        self.condition = condition


class Held(ColumnElement[int]):
    """What fails, and undoes everything, for a row that was written out of its scope.

    It belongs into RETURNING, where it is asked of each row as it has become.
    """

    inherit_cache = False
    type = Integer()

    def __init__(self, condition: ColumnElement[bool], table: Table) -> None:
        self.condition = condition
        self.table = table


@compiles(Within)
def _within(element: Within, compiler: Any, **options: Any) -> str:
    return f"({compiler.process(element.condition, **options)})"


@compiles(Held)
def _held(element: Held, compiler: Any, **_options: Any) -> str:
    # RETURNING of an INSERT is the one place where SQLAlchemy does not know that a
    # subquery may speak of the row around it. Without this, `EXISTS (... teams.id =
    # items.team_id)` would look through all items, and find some.
    around = {"correlate_froms": {element.table}, "asfrom_froms": {element.table}}
    compiler.stack.append({**around, "selectable": update(element.table)})
    condition = compiler.process(element.condition, include_table=True)
    compiler.stack.pop()
    # 2201G, which nothing else is likely to raise; errors.py makes Forbidden of it.
    # random() keeps it from being computed while the statement is planned.
    held = f"CASE WHEN {condition} THEN 1 ELSE 0 END"
    return f"width_bucket(random(), 0, 1, {held})"


def guard(statement: ClauseElement, scope: Scope, table: Table) -> None:
    """Raise Misconfigured where a statement forgets the scope."""
    writes = (Insert, Update, Delete)
    elements = list(visitors.iterate(statement))
    if not any(isinstance(element, Table) and element == table for element in elements):
        return
    changes = [e for e in elements if isinstance(e, writes) and e.table is table]
    for change in changes:
        inside = list(visitors.iterate(change))
        takes_known = any(isinstance(e, OnConflictDoUpdate) for e in inside)
        is_new = isinstance(change, Insert) and not takes_known
        known = is_new or _has(inside, Within, scope)
        held = isinstance(change, Delete) or _has(inside, Held, scope)
        if not (known and held):
            raise _unlimited(change)
    if not changes and not _has(elements, Within, scope):
        raise _unlimited(statement)


def _has(elements: Iterable[Any], kind: type[Within | Held], scope: Scope) -> bool:
    return any(
        isinstance(element, kind) and element.condition is scope.condition
        for element in elements
    )


def _unlimited(statement: object) -> Misconfigured:
    return Misconfigured(
        f"{type(statement).__name__} does not keep to the scope; its statement has to "
        "take Layout.within into its WHERE, and Layout.held into its RETURNING"
    )


def _conjuncts(condition: ColumnElement[Any]) -> Iterable[ColumnElement[Any]]:
    if (
        isinstance(condition, BooleanClauseList)
        and condition.operator is operators.and_
    ):
        for part in condition.clauses:
            yield from _conjuncts(part)
    else:
        yield condition


def _equal(part: ColumnElement[Any]) -> Iterable[tuple[Any, Any]]:
    """Yield what a part demands to be equal, both ways round."""
    operator = getattr(part, "operator", None)
    if isinstance(part, BinaryExpression) and operator in _EQUAL:
        yield part.left, part.right
        yield part.right, part.left
    elif isinstance(part, UnaryExpression) and operator in _TRUTHS:
        yield part.element, _TRUTHS[operator]


_EQUAL = (operators.eq, operators.is_)
_TRUTHS: Mapping[Any, ColumnElement[bool]] = {
    operators.is_true: true(),
    operators.is_false: false(),
}
