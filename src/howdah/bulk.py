"""What every store says of rows that came together: their keys, and who is to blame.

A batch is all or nothing. What is wrong with it is told by the index of the row,
counted from 0, and by the fields of its key.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from howdah.errors import FieldError, Invalid, MissingReference, NotFound
from howdah.limits import holds

__all__ = (
    "MOST_BLAMED",
    "blamed",
    "given_twice",
    "keys_of",
    "known_by",
    "missing_rows",
    "refuse_twice",
    "refuse_unheld",
    "split_keys",
    "unrelated",
)

MOST_BLAMED = 100
"""Most rows that one error names."""

Rows = Sequence[Mapping[str, Any]]


def split_keys(fields: Sequence[str], rows: Rows) -> tuple[list[Any], Rows]:
    """Return the rows' keys, and the rows without them.

    A key is a plain value, or a tuple where it has several fields.
    """
    rest = [{n: v for n, v in row.items() if n not in fields} for row in rows]
    return keys_of(fields, rows), rest


def keys_of(fields: Sequence[str], rows: Rows) -> list[Any]:
    """Return the rows' keys: plain values, or tuples where there are several fields."""
    return list(map(itemgetter(*fields), rows))


def refuse_twice(fields: Sequence[str], keys: Iterable[Any]) -> None:
    """Raise Invalid where a key or another unique value is given more than once."""
    seen: set[Any] = set()
    twice = [
        index
        for index, key in enumerate(keys)
        if key in seen or seen.add(key)  # type: ignore[func-returns-value] # None, so it goes on
    ]
    if twice:
        raise given_twice(fields, twice)


def given_twice(fields: Sequence[str], indexes: Sequence[int]) -> Invalid:
    """Return the error of rows whose unique value an earlier one has."""
    message = "is given twice in the batch"
    if not indexes:
        return Invalid(f"{', '.join(fields)} {message}").naming(tuple(fields))
    return Invalid(errors=blamed(fields, indexes, code=Invalid.code, message=message))


def known_by(
    on: Sequence[str], stamped: Collection[str], rows: Rows
) -> list[tuple[Any, ...]]:
    """Return what tells the rows of an upsert from each other.

    What a scope gives to all of them does not. Raises Invalid for what nothing gives.
    """
    told = [name for name in on if name not in stamped]
    lacking = tuple(name for name in told if any(name not in row for row in rows))
    if lacking:
        error = Invalid(f"{', '.join(lacking)}: rows are known by it, so it is needed")
        raise error.naming(lacking)
    return [tuple(row[name] for name in told) for row in rows]


def missing_rows(
    model: str, fields: Sequence[str], keys: Sequence[Any], indexes: Sequence[int]
) -> NotFound:
    """Return the error of a batch that names rows that are not there."""
    several = f" and {len(indexes) - 1} more" if len(indexes) > 1 else ""
    error = NotFound(f"{model} ID {keys[min(indexes)]}{several} not found")
    error.errors = blamed(
        fields, indexes, code=NotFound.code, message="names no row that is there"
    )
    return error


def refuse_unheld(
    relation: str, change: str, ids: Sequence[Any], limit: int | None
) -> list[Any]:
    """Return the ids that a column can hold; raise where others are to be related."""
    unheld = [
        index
        for index, value in enumerate(ids)
        if limit is not None and not holds(limit, value)
    ]
    if unheld and change != "remove":
        raise unrelated(relation, unheld)
    return [value for index, value in enumerate(ids) if index not in set(unheld)]


def unrelated(relation: str, indexes: Iterable[int]) -> MissingReference:
    """Return the error of ids that no row has to be related to."""
    error = MissingReference("There is no such row to be related to.")
    error.errors = blamed(
        (relation,), indexes, code=error.code, message=error.field_message
    )
    return error


def blamed(
    fields: Sequence[str], indexes: Iterable[int], *, code: str, message: str
) -> tuple[FieldError, ...]:
    """Return the blame of these fields in each of the rows, as far as it is told."""
    return tuple(
        FieldError(field=name, index=index, code=code, message=message)
        for index in sorted(indexes)[:MOST_BLAMED]
        for name in fields
    )
