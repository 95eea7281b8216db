"""Answers that are kept for a day, for requests that are sent again."""

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import Table

from howdah.statements import Layout
from howdah.store import Once, Row

__all__ = ("Answers",)

_LIFETIME = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class _Kept:
    """An answer, what its request said, and when."""

    fingerprint: bytes
    row: Row
    moment: dt.datetime


class Answers:
    """What was answered to which request, the oldest first."""

    def __init__(self) -> None:
        self._kept: dict[tuple[Table, str, str], _Kept] = {}

    def refuse_known(self, layout: Layout, once: Once, now: dt.datetime) -> None:
        """Raise what Once.meet does, where the request has been answered before."""
        self._sweep(now)
        kept = self._kept.get((layout.table, layout.owner, once.key))
        if kept is not None:
            once.meet(kept.fingerprint, kept.row)

    def keep(self, layout: Layout, once: Once, row: Row, now: dt.datetime) -> None:
        """Keep an answer that is new."""
        place = (layout.table, layout.owner, once.key)
        self._kept[place] = _Kept(once.fingerprint, row, now)

    def clear(self) -> None:
        """Forget all of them."""
        self._kept.clear()

    def _sweep(self, now: dt.datetime) -> None:
        old = [p for p, kept in self._kept.items() if kept.moment <= now - _LIFETIME]
        for place in old:
            del self._kept[place]
