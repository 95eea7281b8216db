"""When to try again, and how long to wait: without waiting."""

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from howdah.errors import (
    HowdahError,
    Misconfigured,
    PoolExhausted,
    ReadOnly,
    Timeout,
    Unavailable,
)
from howdah.retry import CONTENTION, Backoff, may_connect_later
from howdah.settings import Retry

POLICY = Retry(attempts=5, delay=1, factor=2, longest_delay=3, jitter=0.1)


def delays(policy: Retry, *, rand: float = 0.5) -> list[float]:
    backoff = Backoff(policy, rand=lambda: rand)
    return list(iter(backoff.next_delay, None))


def test_delays_double_up_to_the_longest():
    assert delays(POLICY) == [1, 2, 3, 3]


def test_the_last_attempt_waits_for_nothing():
    assert delays(Retry(attempts=1)) == []


def test_attempts_are_counted_from_one():
    backoff = Backoff(Retry(attempts=2, delay=0))

    assert backoff.attempt == 1
    assert backoff.next_delay() == 0
    assert backoff.attempt == 2
    assert backoff.next_delay() is None
    assert backoff.attempt == 2


@given(rand=st.floats(0, 1, exclude_max=True))
def test_jitter_moves_a_delay_by_its_share_at_most(rand):
    moved = delays(POLICY, rand=rand)

    for plain, delay in zip([1, 2, 3, 3], moved, strict=True):
        assert plain * 0.9 <= delay <= plain * 1.1


def test_two_losers_do_not_come_back_together():
    assert Backoff(CONTENTION).next_delay() != Backoff(CONTENTION).next_delay()


def caused(error: HowdahError, cause: Exception) -> HowdahError:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "later"),
    [
        (Unavailable(), True),
        (Timeout(), True),
        (ReadOnly(), True),
        (PoolExhausted(), True),
        (caused(Unavailable(), ConnectionRefusedError()), True),
        (caused(Unavailable(), asyncpg.CannotConnectNowError()), True),
        (caused(Unavailable(), asyncpg.TooManyConnectionsError()), True),
        (caused(Unavailable(), asyncpg.InvalidPasswordError()), False),
        (caused(Unavailable(), asyncpg.InvalidCatalogNameError()), False),
        (Misconfigured(), False),
        (HowdahError(), False),
    ],
)
def test_a_server_that_refuses_for_good_is_not_waited_for(error, later):
    assert may_connect_later(error) is later
