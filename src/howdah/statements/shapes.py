"""What a condition depends on, told from the values in it.

SQLAlchemy says it of every expression, at the cost of a walk through all its parts. The
usual conditions, columns compared with values, are known again by a look at the few
parts that can differ; of every other SQLAlchemy is asked each time.
"""

from collections.abc import Hashable
from operator import is_
from types import BuiltinFunctionType, FunctionType
from typing import Any

from sqlalchemy import (
    BinaryExpression,
    BindParameter,
    Column,
    ColumnElement,
    False_,
    Null,
    True_,
    and_,
    true,
)
from sqlalchemy.sql.elements import BooleanClauseList

from howdah.errors import Misconfigured

__all__ = ("Binds", "shape_of")

Binds = tuple[BindParameter[Any], ...]

# Conditions of which it is remembered what they depend on.
_MOST_KNOWN = 500


def shape_of(condition: ColumnElement[bool]) -> tuple[Hashable, Binds]:
    """Return what tells a condition from others but for values, and its parameters."""
    look = _Look()
    seen = look.at(condition)
    known = None if seen is None else _known.get(seen)
    if known is None:
        shape, binds = _asked(condition)
        if seen is not None and _are(binds, look.binds):
            _remember(seen, shape, look)
        return shape, binds
    return known[0], tuple(look.binds)


def _remember(seen: Hashable, shape: Hashable, look: "_Look") -> None:
    if len(_known) >= _MOST_KNOWN:
        _known.pop(next(iter(_known)), None)
    # While they are here, nothing else has their identities.
    _known[seen] = (shape, tuple(look.parts))


def _are(some: Binds, others: list[BindParameter[Any]]) -> bool:
    return len(some) == len(others) and all(map(is_, some, others))


_known: dict[Hashable, tuple[Hashable, tuple[Any, ...]]] = {}


class _Look:
    """Looks at the parts of a condition, as far as their kinds are known.

    What it returns holds identities of `parts`, which have to outlive it.
    """

    def __init__(self) -> None:
        self.binds: list[BindParameter[Any]] = []
        self.parts: list[Any] = []

    def at(self, part: Any) -> Hashable:
        """Return what a part depends on, None where only SQLAlchemy can tell."""
        kind = type(part)
        if kind is BinaryExpression:
            return self._comparison(part)
        if kind is BindParameter:
            return self._value(part)
        if kind is BooleanClauseList:
            return self._list(part)
        if isinstance(part, Column) or kind in _CONSTANTS:
            return self._itself(part)
        return None

    def _comparison(self, part: BinaryExpression[Any]) -> Hashable:
        if type(part.operator) not in _FUNCTIONS or part.modifiers:
            return None
        left, right = self.at(part.left), self.at(part.right)
        if left is None or right is None:
            return None
        type_ = self._itself(part.type)
        return (part.operator, part.negate, left, right, type_)

    def _value(self, bind: BindParameter[Any]) -> Hashable:
        again = any(bind.key == other.key for other in self.binds)
        if again or not bind.unique or bind.literal_execute or bind.isoutparam:
            return None
        self.binds.append(bind)
        return (self._itself(bind.type), bind.expanding, bind.expand_op)

    def _list(self, part: BooleanClauseList) -> Hashable:
        clauses = [self.at(clause) for clause in part.clauses]
        if None in clauses:
            return None
        return (part.operator, part.group, self._itself(part.type), *clauses)

    def _itself(self, part: Any) -> int:
        self.parts.append(part)
        return id(part)


_CONSTANTS = frozenset((False_, Null, True_))
# Other operators have something to say of their own.
_FUNCTIONS = frozenset((BuiltinFunctionType, FunctionType))


def _asked(condition: ColumnElement[bool]) -> tuple[Hashable, Binds]:
    """Return what SQLAlchemy says; what it has no cache key for is refused."""
    # Attributes of models become plain expressions.
    condition = and_(true(), condition)
    # The way that SQLAlchemy's examples of caching go (dogpile_caching).
    key = condition._generate_cache_key()  # noqa: SLF001 - no public way
    if key is None:
        raise Misconfigured(
            f"the scope holds {condition!s}, of which SQLAlchemy cannot say what "
            "it depends on; give custom types cache_ok and elements inherit_cache"
        )
    for bind in key.bindparams:
        if not bind.unique:
            raise Misconfigured(
                f"the scope has a parameter named {bind.key!r}, which a statement "
                "may have as well; give values plainly, or with unique=True"
            )
    return key.key, tuple(key.bindparams)
