"""SQLAlchemy's compiler for asyncpg, so that a list of values is one parameter."""

from typing import Any

from sqlalchemy import BindParameter, TupleType, all_, any_, bindparam
from sqlalchemy.dialects import registry

from howdah.engine import json_text
from howdah.errors import Misconfigured
from howdah.statements import ColumnOfRows

__all__ = ("DIALECT",)

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

    def _sides(self, binary: Any, options: dict[str, Any]) -> tuple[str, str]:
        left: str = self.process(binary.left, **options)
        right: str = self.process(binary.right, **options)
        return left, right


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
