"""Rows that send fields, turned into the arrays that a batch's statement takes."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.schema import DefaultClause

from howdah.errors import Invalid
from howdah.statements import Layout, change_name, key_name, sent_name, value_name

__all__ = ("Batch", "Changes", "key_arrays", "key_fields")


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The fields that rows send, and which of them some rows leave out."""

    names: tuple[str, ...]
    partly: frozenset[str]
    idle: bool
    """Whether some rows send nothing at all."""
    arrays: Mapping[str, Any]
    """What the statement takes; beside arrays there is a text where `texts` are."""
    texts: tuple[str, ...] = ()
    """The fields whose values are in one text of all rows instead of arrays."""
    same: tuple[str, ...] = ()
    """The fields with one value for all rows."""

    @classmethod
    def of(cls, layout: Layout, rows: Sequence[Mapping[str, Any]]) -> "Batch":
        """Return what rows send, in the order of the model's fields."""
        sent = {name for row in rows for name in row}
        names = tuple(name for name in layout.fields if name in sent)
        partly = frozenset(n for n in names if not all(n in row for row in rows))
        idle = not all(rows)
        arrays = {value_name(n): [row.get(n) for row in rows] for n in names}
        arrays |= {sent_name(n): [n in row for row in rows] for n in partly}
        if idle:
            arrays[sent_name("")] = [bool(row) for row in rows]
        return cls(names=names, partly=partly, idle=idle, arrays=arrays)

    @classmethod
    def new(cls, layout: Layout, rows: Sequence[Mapping[str, Any]]) -> "Batch":
        """Return what new rows send; where none sends anything, a column stands in.

        SQL inserts several rows by the columns that they fill, one at least.
        """
        batch = cls.of(layout, rows)
        if batch.names:
            return batch
        spare = _spare(layout)
        return cls(
            names=(spare,),
            partly=frozenset((spare,)),
            idle=False,
            arrays={
                value_name(spare): [None] * len(rows),
                sent_name(spare): [False] * len(rows),
            },
        )

    @property
    def shape(self) -> tuple[object, ...]:
        """What the SQL of a batch depends on."""
        return (self.names, self.partly, self.idle, self.texts, self.same)

    @property
    def written(self) -> dict[str, Any]:
        """How new rows are written, as `given_rows` takes it."""
        return {"partly": self.partly, "texts": self.texts, "same": self.same}


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """The fields in which rows of an upsert change rows that are there."""

    names: tuple[str, ...]
    seldom: frozenset[str]
    """The fields that only some of the rows change."""
    arrays: Mapping[str, Sequence[Any]]

    @classmethod
    def of(cls, layout: Layout, changing: Sequence[Collection[str]]) -> "Changes":
        """Return what rows change, in the order of the model's fields."""
        kinds = set(map(frozenset, changing))
        changed = frozenset().union(*kinds)
        names = tuple(name for name in layout.fields if name in changed)
        seldom = frozenset(n for n in names if not all(n in kind for kind in kinds))
        arrays = {change_name(n): [n in row for row in changing] for n in seldom}
        return cls(names=names, seldom=seldom, arrays=arrays)

    @property
    def shape(self) -> tuple[object, ...]:
        """What the SQL of an upsert depends on."""
        return (self.names, self.seldom)


def _spare(layout: Layout) -> str:
    """Return a field that may be left to what the server fills it with."""
    for name, column in layout.fields.items():
        default = column.server_default
        if isinstance(default, DefaultClause) or (default is None and column.nullable):
            return name
    raise Invalid("the rows send no field; send one at least")


def key_fields(layout: Layout) -> tuple[str, ...]:
    """Return the names of the fields that make the key."""
    names = {column: name for name, column in layout.fields.items()}
    return tuple(names[column] for column in layout.keys)


def key_arrays(layout: Layout, keys: Sequence[Any]) -> dict[str, list[Any]]:
    """Return keys as the arrays of a statement, one for each column."""
    columns = [keys] if len(layout.keys) == 1 else zip(*keys, strict=True)
    return {key_name(n): list(values) for n, values in enumerate(columns)}
