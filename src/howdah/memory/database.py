"""A database that is nothing but dictionaries: the tables of a test's stores."""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, NoReturn, Self

from sqlalchemy import Column, Table

from howdah.database import Health
from howdah.errors import Misconfigured
from howdah.memory.answers import Answers
from howdah.memory.rules import check_references
from howdah.memory.tables import Change, Key, Stored, Tables

__all__ = ("MemoryDatabase",)


def _clock() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class MemoryDatabase(Tables):
    """Stand where a Database stands, in tests of resources: `Items(MemoryDatabase())`.

    Resources over the same one see each other's rows, and foreign keys between them
    are held. There are no sessions and no SQL.
    """

    def __init__(self, *, now: Callable[[], dt.datetime] = _clock) -> None:
        self._kept: dict[Table, dict[Key, Stored]] = {}
        super().__init__(self._kept)
        self.now = now
        self.answers = Answers()
        self._versions = count(1)
        self._numbers: Counter[Column[Any]] = Counter()

    def __repr__(self) -> str:
        rows = ", ".join(f"{table.name}: {len(r)}" for table, r in self._kept.items())
        return f"MemoryDatabase({rows})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leave everything as it is; there is nothing to close."""

    async def open(self, *, wait: bool = True) -> None:
        """Do nothing, as `connect` asks."""

    async def close(self) -> None:
        """Do nothing, as `connect` asks; the rows stay."""

    async def health(self) -> Health:
        """Say that all is well."""
        return Health(ok=True, seconds=0.0, reason="", busy=0, budget=0)

    def session(self) -> NoReturn:
        """Refuse: there are no sessions here."""
        raise Misconfigured(
            "a MemoryDatabase has no sessions; what needs one is tested on PostgreSQL, "
            "with the fixture database_url"
        )

    def sync_session(self) -> NoReturn:
        """Refuse likewise."""
        self.session()

    def clear(self) -> None:
        """Forget all rows, and number from 1 again."""
        self._kept.clear()
        self.answers.clear()
        self._numbers.clear()

    @contextmanager
    def change(self) -> Iterator[Change]:
        """Change tables in a block; what raises in it leaves them as they were."""
        tag = str(next(self._versions))
        change = Change(self, now=self.now(), tag=tag, number=self._number)
        yield change
        check_references(change)
        self._kept.update(change.kept())

    def _number(self, column: Column[Any]) -> int:
        self._numbers[column] += 1
        return self._numbers[column]
