"""Answers that are kept: what a request is known by, and what was kept as a row."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from howdah.drivers import sqlstate
from howdah.errors import Contention, HowdahError, StillRunning
from howdah.rendering import read_position
from howdah.statements import (
    FINGERPRINT,
    ONCE,
    TURN,
    Layout,
    answer_place,
    turn_number,
)
from howdah.store import Once, Row

__all__ = ("new_answer", "once_values", "refuse_kept", "why_refused")


def once_values(layout: Layout, once: Once) -> dict[str, Any]:
    """Return the parameters of a request that is to be done once.

    A key belongs to the table and to the scope: nobody meets another's answer.
    """
    place = answer_place(layout, once.key)
    turn = turn_number(place)
    return {ONCE: place, FINGERPRINT: once.fingerprint, TURN: turn}


def new_answer(layout: Layout, once: Once, found: Sequence[Any]) -> Row:
    """Return the row that a statement has just written, or raise why it has not."""
    fingerprint, body, tag, key, mine, _ = found
    refuse_kept(layout, once, (fingerprint, body, tag, key))
    if not mine:
        raise StillRunning().naming(("Idempotency-Key",))
    return _row(layout, body, tag, key)


def refuse_kept(layout: Layout, once: Once, kept: Sequence[Any]) -> None:
    """Raise what Once.meet does, if an answer is kept."""
    fingerprint, *answer = kept
    if fingerprint is not None:
        once.meet(fingerprint, _row(layout, *answer))


def why_refused(error: HowdahError, *, many: bool) -> HowdahError:
    """Return why nothing was written, where no answer is kept either."""
    if error.__cause__ is not None and sqlstate(error.__cause__) == _LOST:
        return Contention()
    if not many:
        # One row went as a batch of one, and its client knows of no number.
        error.errors = tuple(replace(fault, index=None) for fault in error.errors)
    return error


# What `ln(0)` raises, as `statements.once` has it: the snapshot missed an answer.
_LOST = "2201E"


def _row(layout: Layout, body: str, tag: str | None, key: str | None) -> Row:
    if key is None:
        return Row(body=body.encode(), tag=tag or "")
    values = read_position(layout.keys, json.loads(key))
    whole = values if len(values) > 1 else values[0]
    return Row(body=body.encode(), tag=tag or "", key=whole)
