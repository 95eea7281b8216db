"""What the indexes in a table's metadata serve: conditions, orders, searches.

Of the metadata alone: an index that only the database knows is not seen. Knows no
statement and no resource.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from sqlalchemy import (
    Column,
    Index,
    PrimaryKeyConstraint,
    Table,
    TextClause,
    UniqueConstraint,
)
from sqlalchemy.sql.elements import UnaryExpression

__all__ = ("Indexes",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexes:
    """What serves the rows of a table, or those that are not deleted.

    A partial index counts where it leaves out no more than deleted rows.
    """

    table: Table
    soft_delete: Column[Any] | None = None

    def order(self, *columns: Column[Any]) -> int:
        """Return how many of these columns, from the first, an index is sorted by.

        Either way round: PostgreSQL reads an index from both of its ends.
        """
        lengths = [_common(columns, sorted_by) for sorted_by in self._sorted_by()]
        return max(lengths, default=0)

    def find(self, column: Column[Any]) -> bool:
        """Say whether an index finds the rows with a value of a column."""
        # A trigram index knows equality too; one on an array or JSON knows members.
        return self.order(column) > 0 or any(
            column in columns for _, columns in self._inverted()
        )

    def find_parts(self, column: Column[Any]) -> bool:
        """Say whether an index finds the texts of a column that hold a part."""
        return any(
            column in columns and "_trgm_ops" in _class_of(index, column)
            for index, columns in self._inverted()
        )

    def find_words(self, column: Column[Any]) -> bool:
        """Say whether an index finds the rows whose words are in a column."""
        return any(column in columns for _, columns in self._inverted())

    def _sorted_by(self) -> Iterator[Sequence[Any]]:
        """Yield what rows are sorted by in each index."""
        for constraint in self.table.constraints:
            if isinstance(constraint, PrimaryKeyConstraint | UniqueConstraint):
                yield list(constraint.columns)
        for index in self._indexes({"btree"}):
            yield _columns(index)

    def _inverted(self) -> Iterator[tuple[Index, Sequence[Column[Any]]]]:
        for index in self._indexes({"gin", "gist", "rum"}):
            yield index, _columns(index)

    def _indexes(self, kinds: set[str]) -> Iterator[Index]:
        for index in self.table.indexes:
            if _option(index, "using", "btree") in kinds and self._is_whole(index):
                yield index

    def _is_whole(self, index: Index) -> bool:
        where = _option(index, "where", None)
        if where is None:
            return True
        # However it is written: as an expression, or as text.
        words = set(re.findall(r"\w+", str(where)))
        named = {column.name for column in self.table.columns if column.name in words}
        return self.soft_delete is not None and named == {self.soft_delete.name}


def _common(columns: Sequence[Any], others: Sequence[Any]) -> int:
    """Return how many columns are the same, from the first."""
    same = (one is other for one, other in zip(columns, others, strict=False))
    return sum(takewhile(bool, same))


def _columns(index: Index) -> list[Any]:
    """Return the columns of an index, and expressions that are more than a column."""
    return [_bare(index, each) for each in index.expressions]


def _bare(index: Index, expression: Any) -> Any:
    """Return the column that `column.desc()` or `text("price DESC")` speaks of."""
    while isinstance(expression, UnaryExpression) and expression.modifier is not None:
        expression = expression.element
    if isinstance(expression, TextClause) and index.table is not None:
        name = expression.text.split()[0].strip('"')
        return index.table.columns.get(name, expression)
    return expression


def _class_of(index: Index, column: Column[Any]) -> str:
    """Return the operator class that an index has for a column, or nothing."""
    classes = _option(index, "ops", {})
    return str(classes.get(column.key) or classes.get(column.name) or "")


def _option(index: Index, name: str, otherwise: Any) -> Any:
    value = index.dialect_options["postgresql"].get(name)
    return otherwise if value is None or value is False else value
