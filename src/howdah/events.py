"""What happened, as frozen facts, and who wants to hear of it.

The core tells, observers listen: a slow-query log, metrics, a test that counts
statements. Nothing here knows what a listener does with a fact.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = (
    "ConnectionLost",
    "Event",
    "Events",
    "Lane",
    "Listener",
    "PoolExhausted",
    "Retried",
    "StatementFinished",
)

Lane = Literal["fast", "session"]

_log = logging.getLogger("howdah.events")


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementFinished:
    """A statement came back after `seconds`; `failed` where the server refused it."""

    statement: str
    seconds: float
    lane: Lane
    failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """Attempt number `attempt` (from 1) failed; another follows after `delay` s."""

    reason: str
    attempt: int
    delay: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolExhausted:
    """No connection of the `lane` came free within `waited` seconds."""

    lane: Lane
    size: int
    waited: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLost:
    """A connection of the `lane` was found dead and dropped."""

    lane: Lane
    reason: str


Event: TypeAlias = StatementFinished | Retried | PoolExhausted | ConnectionLost
Listener: TypeAlias = Callable[[Event], None]


class Events:
    """The listeners of one Database. False while nobody listens."""

    def __init__(self) -> None:
        self._listeners: tuple[Listener, ...] = ()

    def __bool__(self) -> bool:
        return bool(self._listeners)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call the listener for every fact from now on; return what ends that."""
        self._listeners = (*self._listeners, listener)

        def stop() -> None:
            self._listeners = tuple(
                other for other in self._listeners if other is not listener
            )

        return stop

    def emit(self, event: Event) -> None:
        """Tell every listener; one that fails is logged and disturbs nobody."""
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:  # noqa: BLE001 - an observer must not fail the request
                _log.exception("a listener failed on %s", type(event).__name__)
