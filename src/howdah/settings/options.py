"""Options as frozen values: pool, time limits, retries, pages. No environment."""

from dataclasses import dataclass, replace

from howdah.errors import Misconfigured

__all__ = ("PageLimits", "Pool", "Retry", "Timeouts")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """How many connections this process may hold, and how they are kept.

    `size + overflow` is one budget: half of it serves resources (the fast lane), the
    rest serves sessions; those above `size` are closed when they come back.
    """

    size: int = 10
    overflow: int = 0
    timeout: float = 5.0
    """Seconds to wait for a free connection."""
    recycle: float = 300.0
    """Seconds after which a connection is replaced; -1 keeps it."""
    pre_ping: bool = False
    """Ask the server before a session uses a connection: three round trips more.

    A connection whose socket was closed is noticed without it, at no cost."""

    def __post_init__(self) -> None:
        if self.size + self.overflow < _SMALLEST_BUDGET:
            raise Misconfigured(
                f"a pool of {self.size} + {self.overflow} connections cannot serve "
                "sessions and resources at once; set DB_POOL_SIZE to 2 or more"
            )

    @property
    def total(self) -> int:
        """The connections of both lanes together."""
        return self.size + self.overflow

    @property
    def fast(self) -> int:
        """The connections of the fast lane."""
        return self.total // 2

    @property
    def sessions(self) -> int:
        """The connections of the session lane, overflow included."""
        return self.total - self.fast

    def shared(self, workers: int) -> "Pool":
        """Return what each of so many processes may hold, so that all hold this.

        Raises Misconfigured where that would be too few for each.
        """
        each = self.total // workers
        if each < _SMALLEST_BUDGET:
            most = self.total // _SMALLEST_BUDGET
            raise Misconfigured(
                f"{workers} workers cannot share {self.total} connections, since each "
                "needs one for sessions and one for resources; set DB_POOL_SIZE to "
                f"{workers * _SMALLEST_BUDGET} or more, or take {most} workers"
            )
        size = max(1, self.size // workers)
        return replace(self, size=size, overflow=each - size)


_SMALLEST_BUDGET = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds until the server, or we, give up; 0 means never."""

    connect: float = 5.0
    statement: float = 30.0
    lock: float = 10.0
    idle_in_transaction: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How stubborn to be: `attempts` in all, `delay` seconds after the first."""

    attempts: int = 3
    delay: float = 1.0
    factor: float = 2.0
    longest_delay: float = 10.0
    jitter: float = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class PageLimits:
    """How many rows a list gives by default and at most, and how many it may skip."""

    default: int = 100
    maximum: int = 1000
    skip: int = 100_000

    def __post_init__(self) -> None:
        if not 1 <= self.default <= self.maximum:
            raise Misconfigured(
                f"a page of {self.default} rows with at most {self.maximum} cannot "
                "be; keep 1 <= default <= maximum"
            )
