"""A unit of work, and whether it may be run again without anything happening twice.

It looks at a session's own connection: what else broke while the work was done may have
stored something, and nobody knows. Knows no policy and no clock.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, event
from sqlalchemy.orm import Session

from howdah.drivers import is_lost
from howdah.errors import Contention, HowdahError, Unavailable

__all__ = ("Unit",)


class Unit:
    """What has become of the transaction of a session."""

    def __init__(self) -> None:
        self._connections: list[Connection] = []
        self._lost = False
        self._committing = False
        self._stored = False

    @contextmanager
    def watching(self, session: Session) -> Iterator[None]:
        """Look what happens to the session inside the block, and to its commits."""
        event.listen(session, "after_begin", self._on_begin)
        event.listen(session, "before_commit", self._on_commit)
        event.listen(session, "after_commit", self._on_committed)
        try:
            yield
        finally:
            # Later it is closed, and does not say whether it was lost.
            self._lost = any(each.invalidated for each in self._connections)

    def may_run_again(self, error: HowdahError) -> bool:
        """Say whether the work may succeed when it is repeated as a whole.

        It may where others were faster, and where its connection was lost before the
        commit, which has stored nothing then; of one that is lost during the commit
        nobody knows.
        """
        if self._stored:
            return False
        return isinstance(error, Contention) or self._is_lost(error)

    def _is_lost(self, error: HowdahError) -> bool:
        cause = error.__cause__
        if self._committing or not self._lost or cause is None:
            return False
        return type(error) is Unavailable and is_lost(cause)

    def _on_begin(self, _session: Session, _: object, connection: Connection) -> None:
        self._connections.append(connection)

    def _on_commit(self, session: Session) -> None:
        # The end of a savepoint is told as well, and stores nothing.
        self._committing |= not session.in_nested_transaction()

    def _on_committed(self, session: Session) -> None:
        self._stored |= not session.in_nested_transaction()
