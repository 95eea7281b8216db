"""Listeners that tell people what happened: the slow-query log."""

import logging

from howdah.events import Event, StatementFinished

__all__ = ("SlowQueryLog",)

_log = logging.getLogger("howdah.slow")

# Enough to know a statement by; a bulk insert may be a megabyte long.
_SHOWN = 500


class SlowQueryLog:
    """Logs each statement that took `threshold` seconds or more, without its values.

    `db.listen(SlowQueryLog(threshold=1.0))` warns on the logger `howdah.slow`.
    """

    def __init__(self, threshold: float = 1.0) -> None:
        self.threshold = threshold

    def __repr__(self) -> str:
        return f"SlowQueryLog({self.threshold} s)"

    def __call__(self, event: Event) -> None:
        """Hear of an event; statements in time are passed over."""
        if isinstance(event, StatementFinished) and event.seconds >= self.threshold:
            statement = " ".join(event.statement.split())
            _log.warning(
                "slow query: %.3f s on the %s lane: %s",
                event.seconds,
                event.lane,
                statement[:_SHOWN],
                extra={"action": "slow_query", "seconds": event.seconds},
            )
