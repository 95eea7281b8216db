"""One load, from the first line to the commit.

Everything happens in one transaction, so that a load that is ended (by a refused row,
Ctrl-C, a lost connection) has loaded nothing. Knows the other rooms of this house and
leaves the work to them.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import closing
from operator import attrgetter
from pathlib import Path

import asyncpg

from howdah.database import Database
from howdah.drivers import translated
from howdah.errors import HowdahError, Misconfigured
from howdah.load.ahead import Ahead
from howdah.load.copying import Copier
from howdah.load.flow import Flow, Item, Piece
from howdah.load.leftovers import Leftovers, leftovers
from howdah.load.plan import Plan, make_plan
from howdah.load.reader import Reader, open_reader
from howdah.load.records import Bad, Batch
from howdah.load.relations import Related
from howdah.load.resolve import Resolver
from howdah.load.spelling import types_of
from howdah.load.straight import Straight, straight_of
from howdah.load.terms import (
    LoadOptions,
    Progress,
    Refusal,
    Report,
    Source,
    Target,
)
from howdah.load.validate import Validator
from howdah.models import constraint_fields

__all__ = ("load",)


async def load(
    db: Database,
    source: Source,
    *,
    target: Target,
    options: LoadOptions | None = None,
) -> Report:
    """Load every row of the source, or none where one is refused; see LoadOptions.

    Raises Invalid, NotFound or Misconfigured where the file as a whole cannot be
    loaded, and what the database says where it fails; nothing is loaded then.
    Validating blocks the event loop for some milliseconds at a time: this is for
    scripts and jobs.
    """
    options = options or LoadOptions()
    with (
        leftovers(options.skip_bad, source, force=options.force) as kept,
        open_reader(source) as reader,
    ):
        plan = make_plan(target, reader.names, sparse=reader.sparse)
        async with db.lane.connection() as connection:
            loading = _Loading(
                connection, plan=plan, reader=reader, kept=kept, options=options
            )
            loaded = await loading.run()
        return loading.report(
            loaded=loaded, skipped_to=kept.publish() if loaded else None
        )


class _NothingLoaded(Exception):
    """A row was refused and no refused row may be skipped."""


class _Loading:
    """What is known while rows go by: counts, and the first refusals."""

    def __init__(
        self,
        connection: asyncpg.Connection,
        *,
        plan: Plan,
        reader: Reader,
        kept: Leftovers,
        options: LoadOptions,
    ) -> None:
        self._connection = connection
        self._plan = plan
        self._reader = reader
        self._kept = kept
        self._options = options
        self._validator = Validator(plan)
        self._copier = Copier(connection, plan)
        self._resolvers: dict[str, Resolver] = {}
        self._straight: Straight | None = None
        self._read = 0
        self._refused = 0
        self._refusals: list[Refusal] = []

    async def run(self) -> bool:
        """Load all batches and commit; say whether anything was committed."""
        try:
            with translated():
                async with self._connection.transaction():
                    await self._run()
        except _NothingLoaded:
            return False
        except HowdahError as error:
            raise self._explained(error) from error.__cause__
        return True

    def report(self, *, loaded: bool, skipped_to: Path | None) -> Report:
        """Say what came of it."""
        created = {
            each.related.relation.table.name: each.related.created
            for each in self._resolvers.values()
            if each.related.created
        }
        return Report(
            read=self._read,
            loaded=self._read - self._refused if loaded else 0,
            refused=self._refused,
            created_related=created if loaded else {},
            refusals=tuple(self._refusals),
            skipped_to=skipped_to,
        )

    def _explained(self, error: HowdahError) -> HowdahError:
        cause, table = error.__cause__, self._plan.table
        if isinstance(
            cause, (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError)
        ):
            return Misconfigured(
                f"the database has no table like the model of {table.name}: "
                f"{cause.args[0]}; migrate it (`alembic upgrade head`)"
            )
        if isinstance(cause, asyncpg.InternalClientError):
            return Misconfigured(f"{table.name} cannot be copied: {cause}")
        # Only what is deferred to the commit comes here with a constraint.
        return error.naming(constraint_fields(error.constraint, [table]))

    async def _run(self) -> None:
        server = self._connection.get_server_version().major
        await self._connection.execute(_no_limits(server))
        await self._copier.open()
        for name in self._reader.names:
            if name in self._plan.relations:
                self._resolver(name)
        self._straight = await self._way()
        with closing(Ahead(self._items())) as items:
            await self._load_all(items)
        if self._refused and self._options.skip_bad is None:
            raise _NothingLoaded
        self._kept.flush()

    async def _way(self) -> Straight | None:
        types = await types_of(self._connection, self._plan.table)
        source = self._reader.source
        return straight_of(self._plan, self._reader.names, source=source, types=types)

    def _items(self) -> Iterator[Item]:
        """Make what is loaded of what is read; a thread does this, ahead of time."""
        for found in self._reader.batches(self._options.chunk):
            if isinstance(found, Batch):
                yield self._prepared(found)
            elif self._straight and (rows := self._straight.rows(found)) is not None:
                yield Piece(found, rows)
            else:
                yield self._prepared(found.batch())

    def _prepared(self, batch: Batch) -> Batch:
        good, bad = self._validator.prepare(batch.records)
        return Batch(records=good, bad=[*batch.bad, *bad])

    async def _load_all(self, items: Ahead[Item]) -> None:
        while (item := await items.next()) is not None:
            if isinstance(item, Piece):
                await self._pour(Flow(item, items, self._tell))
            else:
                self._refuse(await self._load(item))
                self._tell(item)

    async def _pour(self, flow: Flow) -> None:
        if not await self._copier.pour(flow, flow.form):
            for piece in flow.pieces:
                await self._load_piece(piece)

    async def _load_piece(self, piece: Piece) -> None:
        if not await self._copier.pour(_alone(piece), piece.rows.form):
            batch = self._prepared(piece.sheet.batch())
            self._refuse(await self._load(batch))

    async def _load(self, batch: Batch) -> list[Bad]:
        """Store the good records of a batch; return the bad ones, by line."""
        records, bad = batch.records, batch.bad
        for name in self._plan.relations:
            if any(name in record.values for record in records):
                records, refused = await self._resolver(name).resolve(records)
                bad = [*bad, *refused]
        rows = self._validator.rows(records)
        faults = await self._copier.copy(rows.values)
        behind = ((rows.records[at], fault) for at, fault in faults.items())
        bad = [*bad, *rows.bad]
        bad += [Bad(record.line, record.text, (fault,)) for record, fault in behind]
        return sorted(bad, key=attrgetter("line"))

    def _resolver(self, name: str) -> Resolver:
        if name not in self._resolvers:
            relation = self._plan.relations[name]
            self._resolvers[name] = Resolver(
                Related(relation, self._connection),
                self._validator,
                key=self._plan.keys[relation.field],
                create=self._options.create_related,
            )
        return self._resolvers[name]

    def _refuse(self, bad: Sequence[Bad]) -> None:
        room = self._options.show - self._refused
        for line, _, faults in bad[: max(0, room)]:
            self._refusals += [
                Refusal(line=line, column=column, reason=reason)
                for column, reason in faults
            ]
        self._refused += len(bad)
        self._kept.write(self._reader.head, [each.text for each in bad])

    def _tell(self, item: Item) -> None:
        self._read += item.count
        if self._options.progress is not None:
            self._options.progress(
                Progress(
                    bytes=self._reader.position(),
                    total=self._reader.total,
                    read=self._read,
                    refused=self._refused,
                )
            )


async def _alone(piece: Piece) -> AsyncIterator[bytes]:
    yield piece.rows.text


def _no_limits(server: int) -> str:
    """Lift the limits that are for requests: a load may take its time, as its file."""
    limits = ["statement_timeout", "idle_in_transaction_session_timeout"]
    limits += ["transaction_timeout"] if server >= _TRANSACTION_TIMEOUT else []
    return "; ".join(f"SET LOCAL {limit} = 0" for limit in limits)


# The version of PostgreSQL that first knows it.
_TRANSACTION_TIMEOUT = 17
