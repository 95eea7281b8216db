"""Rows into a table by COPY, and which of them the table refuses.

Every COPY runs under a savepoint. Where one fails, PostgreSQL often says at which row;
where it does not (a foreign key, a deferred trigger), the block is halved until the
row is found. What lies before it is copied, and the rest goes on in growing blocks.
"""

from collections.abc import AsyncIterable, Awaitable, Sequence
from typing import Any

import asyncpg

from howdah.load.plan import Plan
from howdah.load.records import Fault
from howdah.load.refusals import REFUSALS, fault_of, place_of
from howdah.load.verbatim import Form

__all__ = ("Copier",)

# asyncpg's time-out of a command is for requests; a COPY may wait for a lock.
_PATIENCE = 24 * 3600.0


class Copier:
    """Copies rows into some columns of a table, inside a transaction."""

    def __init__(self, connection: asyncpg.Connection, plan: Plan) -> None:
        self._connection = connection
        self._plan = plan
        self._columns = plan.columns

    async def open(self) -> None:
        """Set the first savepoint."""
        await self._connection.execute("SAVEPOINT howdah_load")

    async def copy(self, rows: Sequence[tuple[Any, ...]]) -> dict[int, Fault]:
        """Store what the table takes; return what is wrong with each other row."""
        faults: dict[int, Fault] = {}
        start, size = 0, len(rows)
        while start < len(rows):
            block = rows[start : start + size]
            failure = await self._tried(self._copy_records(block))
            if failure is None:
                start += len(block)
                size *= 2
                continue
            # Of a row whose number is wrong (a trigger's own COPY) nothing is believed.
            place = place_of(failure)
            if len(block) == 1 or place == 0:
                faults[start] = self._fault(failure)
                start += 1
                size = max(1, size // 2)
            else:
                size = place if place and place < len(block) else len(block) // 2
        return faults

    async def pour(self, rows: AsyncIterable[bytes], form: Form) -> bool:
        """Store rows of text, all of them or none where the table refuses one."""
        return await self._tried(self._copy_text(rows, form)) is None

    async def _copy_text(self, rows: AsyncIterable[bytes], form: Form) -> None:
        await self._connection.copy_to_table(
            self._plan.table.name,
            schema_name=self._plan.table.schema,
            columns=form.columns,
            source=rows,
            format=form.format,
            delimiter=form.delimiter,
            null=form.null,
            force_null=form.force_null,
            timeout=_PATIENCE,
        )

    def _fault(self, failure: BaseException) -> Fault:
        return fault_of(failure, self._plan.table, self._plan.name_of)

    async def _copy_records(self, rows: Sequence[tuple[Any, ...]]) -> None:
        await self._connection.copy_records_to_table(
            self._plan.table.name,
            schema_name=self._plan.table.schema,
            columns=self._columns,
            records=rows,
            timeout=_PATIENCE,
        )

    async def _tried(self, copy: Awaitable[None]) -> BaseException | None:
        """Copy under the savepoint; return what the table refused the rows for."""
        try:
            await copy
        except REFUSALS as exc:
            await self._connection.execute("ROLLBACK TO SAVEPOINT howdah_load")
            return exc
        await self._connection.execute(
            "RELEASE SAVEPOINT howdah_load; SAVEPOINT howdah_load"
        )
        return None
