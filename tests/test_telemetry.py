"""The slow-query log says which statement, and never with which values."""

import logging

import pytest
from sqlalchemy import text

from howdah.events import ConnectionLost, StatementFinished
from howdah.telemetry import SlowQueryLog

pytestmark = pytest.mark.anyio


def finished(seconds: float, statement: str = "SELECT 1") -> StatementFinished:
    return StatementFinished(statement=statement, seconds=seconds, lane="fast")


@pytest.mark.parametrize(("seconds", "logged"), [(0.99, 0), (1.0, 1), (7, 1)])
def test_a_statement_is_logged_from_the_threshold_on(caplog, seconds, logged):
    SlowQueryLog(threshold=1.0)(finished(seconds))

    assert len(caplog.records) == logged


def test_other_events_are_passed_over(caplog):
    SlowQueryLog(threshold=0)(ConnectionLost(lane="fast", reason="x"))

    assert caplog.records == []


def test_a_statement_is_logged_on_one_line_and_cut(caplog):
    SlowQueryLog(threshold=0)(finished(2, "SELECT\n   1" + ", 1" * 1000))

    (record,) = caplog.records
    assert record.getMessage().startswith(
        "slow query: 2.000 s on the fast lane: SELECT 1, 1"
    )
    assert len(record.getMessage()) < 600
    assert (record.action, record.seconds) == ("slow_query", 2)


def test_its_repr_says_the_threshold():
    assert repr(SlowQueryLog(threshold=0.5)) == "SlowQueryLog(0.5 s)"


async def test_both_lanes_are_heard_and_no_value_is_logged(db, caplog):
    db.listen(SlowQueryLog(threshold=0))

    with caplog.at_level(logging.WARNING, "howdah.slow"):
        await db.lane.fetchval("SELECT $1::text", ["secret"])
        async with db.transaction() as session:
            await session.exec(text("SELECT :value"), params={"value": "secret"})

    assert "on the fast lane: SELECT $1::text" in caplog.text
    assert "on the session lane: SELECT $1" in caplog.text
    assert "secret" not in caplog.text
