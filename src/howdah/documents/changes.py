"""What becomes of a document, and which of its versions a change is meant for.

A version is Beanie's revision where the document has one (`use_revision`), and else a
digest of all that is stored of it. A change names the version that it was made from, so
of two at once one comes to nothing, and is made again from what the other has stored.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Self
from uuid import UUID, uuid4

import bson
from bson import Binary
from bson.codec_options import CodecOptions
from sqlalchemy import Boolean, Column

from howdah.documents.codec import DECIMALS, kept, read, written
from howdah.errors import Forbidden, Invalid, from_sqlstate
from howdah.limits import too_large, too_long
from howdah.meaning import (
    Values,
    check_row,
    creation_default,
    numbers,
    reader,
    taken,
    update_default,
)
from howdah.statements import Layout

__all__ = ("Changes", "Stored")

_REVISION = "revision_id"
_OPTIONS: CodecOptions[dict[str, Any]] = CodecOptions(
    tz_aware=True, uuid_representation=4, type_registry=DECIMALS
)
Given = Mapping[str, Any]
Columns = Mapping[Column[Any], Any]


@dataclass(frozen=True, slots=True)
class Stored:
    """A document, and its values by columns."""

    raw: Mapping[str, Any]
    values: Values

    @property
    def key(self) -> Any:
        """What the document is known by, as MongoDB has it."""
        return self.raw["_id"]


class Changes:
    """Makes of what is given the documents that are stored."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._table = layout.table
        columns = list(layout.table.columns)
        self._defaults = {c: creation_default(c) for c in columns}
        self._touched = {c: d for c in columns if (d := update_default(c))}
        self._names = {column: name for name, column in layout.fields.items()}
        (self._key,) = layout.keys
        self._keeps_nulls = bool(layout.table.info["nulls"])
        self._has_revision = bool(layout.table.info["revision"])

    def limited(self, layout: Layout) -> Self:
        """Return the same for the documents of a scope."""
        scoped = copy(self)
        scoped._layout = layout  # noqa: SLF001 - one of us
        return scoped

    @property
    def numbered(self) -> bool:
        """Whether keys are numbers that nobody has to give."""
        return numbers(self._key)

    def stored(self, raw: Mapping[str, Any]) -> Stored:
        """Return a document that was found."""
        return Stored(raw, read(self._table.columns, raw))

    def tag(self, stored: Stored) -> str:
        """Return what tells the document's versions apart."""
        revision = stored.raw.get(_REVISION)
        if isinstance(revision, Binary):
            revision = revision.as_uuid()
        if self._has_revision and isinstance(revision, UUID):
            return revision.hex
        # Fields that are new stand in an order that the server decides on.
        fields = dict(sorted(stored.raw.items()))
        return blake2b(
            bson.encode(fields, codec_options=_OPTIONS), digest_size=12
        ).hexdigest()

    def version(self, stored: Stored) -> dict[str, Any]:
        """Return the condition of the document in just this version."""
        if self._has_revision:
            return {"_id": stored.key, _REVISION: stored.raw.get(_REVISION)}
        return {name: {"$eq": value} for name, value in stored.raw.items()}

    def new(self, given: Given, number: int | None, now: dt.datetime) -> Stored:
        """Return a new document, with all that is not given."""
        values = {self._layout.fields[n]: value for n, value in given.items()}
        values |= self._stamps(now)
        row: dict[Column[Any], Any] = {}
        for column, default in self._defaults.items():
            value = values.get(column)
            if column not in values:
                value = None if default is None else default(given, now)
            if column is self._key and value is None:
                value = number
            row[column] = kept(taken(column, value))
        self._check(row, now)
        fields = written(row)
        if self._has_revision:
            fields[_REVISION] = _new_revision()
        if not self._keeps_nulls:
            fields = {n: value for n, value in fields.items() if value is not None}
        return Stored(fields, row)

    def changed(
        self, stored: Stored, changes: Columns, now: dt.datetime, *, touch: bool = True
    ) -> tuple[Stored, dict[str, Any]]:
        """Return what a document becomes, and the update that makes it so."""
        named = {self._names[column]: value for column, value in changes.items()}
        touched = self._touched.items() if touch else ()
        fresh = {c: fill(named, now) for c, fill in touched if c not in changes}
        given = {**changes, **fresh}
        if given.get(self._key, stored.values[self._key]) != stored.values[self._key]:
            raise Invalid("A document keeps its key.").naming((self._names[self._key],))
        put = {c: kept(taken(c, v)) for c, v in given.items() if c is not self._key}
        row = {**stored.values, **put}
        self._check(row, now)
        fields = written(put)
        if self._has_revision:
            fields[_REVISION] = _new_revision()
        gone = [] if self._keeps_nulls else [n for n, v in fields.items() if v is None]
        fields = {n: value for n, value in fields.items() if n not in gone}
        update = {"$set": fields} if fields else {}
        if gone:
            update["$unset"] = dict.fromkeys(gone, "")
        raw = {n: v for n, v in {**stored.raw, **fields}.items() if n not in gone}
        return Stored(raw, row), update

    def named(self, given: Given) -> Columns:
        """Return values that are given by the names of fields, by their columns."""
        return {self._layout.fields[name]: value for name, value in given.items()}

    def mark(self, now: dt.datetime, *, deleted: bool) -> Columns:
        """Return what marks a document as deleted, or takes the mark back."""
        column = self._layout.soft_delete
        if column is None:
            return {}
        if isinstance(column.type, Boolean):
            return {column: not deleted}
        return {column: now if deleted else None}

    def refuse_unfit(self, rows: Sequence[Given], *, many: bool) -> None:
        """Raise Invalid where numbers are too large or texts are too long."""
        names = {name for row in rows for name in row}
        given = {n: [row.get(n) for row in rows] for n in names} if many else rows[0]
        fields = self._layout.fields
        large, long = too_large(fields, given), too_long(fields, given)
        if large or long:
            error = Invalid() if large else from_sqlstate("22001")
            error.errors = (*large, *long)
            raise error

    def is_within(self, values: Values, now: dt.datetime) -> bool:
        """Say whether a document is one of those that there are for the caller."""
        scope = self._layout.scope
        return scope is None or reader(scope.condition)(values, now) is True

    def _stamps(self, now: dt.datetime) -> Columns:
        """Return what new documents have in some fields, whatever is given for them."""
        scope = self._layout.scope
        equal = {} if scope is None else scope.equalities(self._table)
        return {c: reader(value)({}, now) for c, value in equal.items()}

    def _check(self, row: Values, now: dt.datetime) -> None:
        check_row(self._table, row, now)
        if not self.is_within(row, now):
            raise Forbidden("The row would be outside of what you may touch.")


def _new_revision() -> Binary:
    return Binary.from_uuid(uuid4())
