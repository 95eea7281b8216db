"""Whether what a link names is there when it is written.

MongoDB holds no references: what is linked may be removed a moment later. A link that
leads nowhere from the start is a mistake that can be told, at one round trip a link.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Column

from howdah.bulk import blamed
from howdah.documents.codec import decoded, encoded
from howdah.documents.database import MongoDatabase, Session
from howdah.documents.faults import translated
from howdah.errors import MissingReference
from howdah.models import table_of
from howdah.statements import Layout

__all__ = ("Links",)

Rows = Sequence[Mapping[Column[Any], Any]]


class Links:
    """The fields of a document that link to others."""

    def __init__(self, database: MongoDatabase, layout: Layout) -> None:
        self._database = database
        self._columns = {
            name: column
            for name, column in layout.fields.items()
            if "linked" in column.info
        }

    async def check(self, rows: Rows, session: Session, *, many: bool = False) -> None:
        """Raise MissingReference where a link would lead to no document."""
        for name, column in self._columns.items():
            given = [_listed(row.get(column)) for row in rows]
            lost = await self._lost(column, given, session)
            indexes = [n for n, ids in enumerate(given) if lost & {*ids}]
            if not indexes:
                continue
            error = MissingReference()
            message = error.field_message
            if many:
                error.errors = blamed(
                    (name,), indexes, code=error.code, message=message
                )
            raise error.naming((name,))

    async def _lost(
        self, column: Column[Any], given: Sequence[Sequence[Any]], session: Session
    ) -> set[Any]:
        """Return the keys that no document has."""
        ids = {each for some in given for each in some}
        if not ids:
            return set()
        table = table_of(column.info["linked"]())
        (key,) = table.primary_key.columns
        collection = await self._database.collection(table.name)
        sent = [encoded(key, each) for each in ids]
        with translated({}):
            cursor = collection.find(
                {"_id": {"$in": sent}}, {"_id": 1}, session=session
            )
            found = {decoded(key, raw["_id"]) for raw in await cursor.to_list()}
        return ids - found


def _listed(value: Any) -> Sequence[Any]:
    if value is None:
        return ()
    return value if isinstance(value, list) else (value,)
