"""Rows that send fields, turned into the arrays that a batch's statement takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from howdah.statements import Layout, key_name, sent_name, value_name

__all__ = ("Batch", "Keys")

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The fields that rows send, and the rows that leave some of them out."""

    names: tuple[str, ...]
    partly: frozenset[str]
    idle: bool
    """Whether some rows send nothing at all."""
    arrays: Mapping[str, Sequence[Any]]

    @classmethod
    def of(cls, layout: Layout, rows: Rows) -> "Batch":
        """Return the fields of rows, in the order of the model's."""
        sent = {name for row in rows for name in row}
        names = tuple(name for name in layout.fields if name in sent)
        partly = frozenset(n for n in names if not all(n in row for row in rows))
        idle = not all(rows)
        arrays = {value_name(n): [row.get(n) for row in rows] for n in names}
        arrays |= {sent_name(n): [n in row for row in rows] for n in partly}
        if idle:
            arrays[sent_name("")] = [bool(row) for row in rows]
        return cls(names=names, partly=partly, idle=idle, arrays=arrays)

    @property
    def shape(self) -> tuple[object, ...]:
        """What the SQL of a batch depends on."""
        return (self.names, self.partly, self.idle)


class Keys:
    """The keys of a batch's rows: plain values, or tuples for several columns."""

    def __init__(self, layout: Layout, keys: Sequence[Any]) -> None:
        self._layout = layout
        self._keys = keys
        names = {column: name for name, column in layout.fields.items()}
        self.fields = tuple(names[column] for column in layout.keys)

    @property
    def arrays(self) -> dict[str, list[Any]]:
        """The keys as arrays, one for each column."""
        single = len(self.fields) == 1
        columns = [self._keys] if single else zip(*self._keys, strict=True)
        return {key_name(n): list(values) for n, values in enumerate(columns)}
