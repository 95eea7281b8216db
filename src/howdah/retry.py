"""When to try again, and how long to wait before.

A database says "not now" in ways that a second attempt cures: a lost serialization
race, a deadlock, a server that is starting. This module never sleeps, never reads a
clock and knows no driver, so every rule of it is tested without waiting.
"""

import random
from collections.abc import Callable

from howdah.drivers import sqlstate
from howdah.errors import HowdahError, Unavailable
from howdah.settings import Retry

__all__ = ("CONTENTION", "Backoff", "may_connect_later")

# Losers of a race come back within milliseconds; a starting server takes seconds.
CONTENTION = Retry(attempts=5, delay=0.02)


class Backoff:
    """The delays between the attempts of one operation."""

    def __init__(
        self, policy: Retry, *, rand: Callable[[], float] = random.random
    ) -> None:
        self._policy = policy
        self._rand = rand
        self._delay = policy.delay
        self.attempt = 1

    def next_delay(self) -> float | None:
        """Return the seconds to wait before the next attempt, or None: give up."""
        if self.attempt >= self._policy.attempts:
            return None
        self.attempt += 1
        # Without jitter all losers of a race come back together and race again.
        spread = self._policy.jitter * (2 * self._rand() - 1)
        delay = min(self._delay, self._policy.longest_delay) * (1 + spread)
        self._delay *= self._policy.factor
        return delay


def may_connect_later(error: HowdahError) -> bool:
    """Say whether a connection refused now may be given to who waits."""
    code = sqlstate(error.__cause__) if error.__cause__ else None
    # A wrong password (28) or database (3D) stays wrong however long one waits.
    return isinstance(error, Unavailable) and (code or "")[:2] not in {"28", "3D"}
