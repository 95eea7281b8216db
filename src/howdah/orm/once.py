"""Creations that happen once: their answers are kept in the transaction of the rows.

A turn is an advisory lock on PostgreSQL; in a file there is one writer anyway.
"""

import datetime as dt
import json
from typing import Any

from sqlalchemy import BigInteger, Table, bindparam, delete, func, insert, select
from sqlalchemy.orm import Session

from howdah.errors import Misconfigured, StillRunning
from howdah.orm.found import execute
from howdah.rendering import position_text, read_position
from howdah.statements import Layout, answer_place, turn_number
from howdah.store import Once, Row

__all__ = ("keep_answer", "take_turn")

_LIFETIME = dt.timedelta(days=1)
# Each write takes more of the old with it than it leaves behind.
_SWEPT = 10


def take_turn(session: Session, layout: Layout, once: Once) -> None:
    """Return where the request is new, and nobody else is about to answer it.

    Raises what Once.meet does where its answer is kept, else StillRunning.
    """
    place = answer_place(layout, once.key)
    _refuse_kept(session, layout, once, place)
    if session.get_bind().dialect.name != "postgresql":
        return
    number = bindparam(None, turn_number(place), type_=BigInteger, unique=True)
    lock = select(func.pg_try_advisory_xact_lock(number))
    if not execute(session, lock).scalar_one():
        raise StillRunning().naming(("Idempotency-Key",))
    # Who had the turn before may have answered in between.
    _refuse_kept(session, layout, once, place)


def keep_answer(session: Session, layout: Layout, once: Once, row: Row) -> Row:
    """Keep the answer for a day, and sweep some that are too old."""
    kept = _table(layout)
    place, now = answer_place(layout, once.key), dt.datetime.now(dt.UTC)
    old = (
        select(kept.c.id)
        .where(kept.c.created_at <= now - _LIFETIME)
        .limit(_SWEPT)
        .with_for_update(skip_locked=True)
    )
    gone = [*execute(session, old).scalars(), place]
    execute(session, delete(kept).where(kept.c.id.in_(gone)))
    values = {
        "id": place,
        "fingerprint": once.fingerprint,
        "body": row.body.decode(),
        "tag": row.tag or None,
        "key": None if row.key is None else _text(row.key),
        "created_at": now,
    }
    execute(session, insert(kept).values(values))
    return row


def _refuse_kept(session: Session, layout: Layout, once: Once, place: bytes) -> None:
    kept = _table(layout)
    fresh = kept.c.created_at > dt.datetime.now(dt.UTC) - _LIFETIME
    found = execute(session, select(kept).where(kept.c.id == place, fresh)).first()
    if found is not None:
        once.meet(found.fingerprint, _row(layout, found))


def _row(layout: Layout, found: Any) -> Row:
    body, tag = found.body.encode(), found.tag or ""
    if found.key is None:
        return Row(body=body, tag=tag)
    values = read_position(layout.keys, json.loads(found.key))
    return Row(body=body, tag=tag, key=values if len(values) > 1 else values[0])


def _text(key: Any) -> str:
    return position_text(key if isinstance(key, tuple) else (key,))


def _table(layout: Layout) -> Table:
    if layout.kept is None:
        raise Misconfigured(
            f"there is no table to keep answers in beside {layout.table.name!r}; call "
            "howdah.models.idempotency_table(metadata), and migrate"
        )
    return layout.kept
