"""Answers that are kept for a day, in the transaction of what they tell of."""

import datetime as dt
import json
from collections.abc import Awaitable, Callable
from typing import Any

from howdah.documents.database import ANSWERS, MongoDatabase, Session
from howdah.rendering import position_text, read_position
from howdah.statements import Layout, answer_place
from howdah.store import Once, Row

__all__ = ("answered_once",)

_LIFETIME = dt.timedelta(days=1)
Work = Callable[[Session], Awaitable[Row]]


async def answered_once(
    database: MongoDatabase, layout: Layout, once: Once, work: Work
) -> Row:
    """Do work and keep its answer; raise what Once.meet does where there is one.

    Who asks at the same time waits, for a transaction that writes what another one has
    written is begun again.
    """
    kept = await database.collection(ANSWERS)
    place = answer_place(layout, once.key)

    async def answer(session: Session) -> Row:
        now = dt.datetime.now(dt.UTC)
        fresh = {"_id": place, "created_at": {"$gt": now - _LIFETIME}}
        found = await kept.find_one(fresh, session=session)
        if found is not None:
            once.meet(bytes(found["fingerprint"]), _row(layout, found))
        row = await work(session)
        answer = {
            "fingerprint": once.fingerprint,
            "body": row.body,
            "tag": row.tag,
            "key": None if row.key is None else position_text([row.key]),
            "created_at": now,
        }
        await kept.replace_one({"_id": place}, answer, upsert=True, session=session)
        return row

    return await database.run(answer)


def _row(layout: Layout, found: dict[str, Any]) -> Row:
    key = found["key"]
    if key is not None:
        (key,) = read_position(layout.keys, json.loads(key))
    return Row(body=bytes(found["body"]), tag=found["tag"], key=key)
