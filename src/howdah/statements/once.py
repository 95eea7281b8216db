"""A write that happens once: its answer is kept beside the rows, in one statement.

Who comes with a key gets the answer that is kept for it, or the turn to write, or
neither while another has the turn. A turn is an advisory lock that ends with the
statement. The snapshot is older than the turn, so the answer of who had it before may
be there and not be seen: then nothing is kept, and the whole statement fails.
"""

import json
from collections.abc import Collection, Sequence
from hashlib import sha256
from typing import Any

from sqlalchemy import (
    CTE,
    BigInteger,
    ClauseElement,
    ColumnElement,
    LargeBinary,
    Select,
    Table,
    Text,
    bindparam,
    case,
    cast,
    delete,
    exists,
    func,
    insert,
    literal_column,
    null,
    select,
    true,
)
from sqlalchemy.dialects import postgresql

from howdah.errors import Misconfigured
from howdah.statements.given import given_rows
from howdah.statements.layout import Layout
from howdah.statements.many import json_of_new, new_rows
from howdah.statements.writing import (
    TAG,
    json_of_written,
    key_of_written,
    written_by,
)

__all__ = (
    "FINGERPRINT",
    "ONCE",
    "TURN",
    "answer_place",
    "create_many_once",
    "create_once",
    "kept_answer",
    "turn_number",
)

ONCE = "__once"
"""The name of the parameter that an answer is kept under."""
FINGERPRINT = "__fingerprint"
"""The name of the parameter that tells one request from another."""
TURN = "__turn"
"""The name of the parameter with the number of the turn's lock."""


def answer_place(layout: Layout, key: str) -> bytes:
    """Return what the answer to a request is kept under.

    A key belongs to the table and to the scope: nobody meets another's answer.
    """
    place = json.dumps([layout.table.fullname, layout.owner, key])
    return sha256(place.encode()).digest()


def turn_number(place: bytes) -> int:
    """Return the number of the lock that is the turn to answer."""
    return int.from_bytes(place[:8], signed=True)


def create_once(
    layout: Layout,
    names: Sequence[str],
    *,
    partly: Collection[str] = (),
    texts: Sequence[str] = (),
    same: Sequence[str] = (),
) -> ClauseElement:
    """Insert a row, or find the answer that is kept; see `_answered`.

    Parameters: `ONCE`, `FINGERPRINT`, `TURN`, and the arrays of `given_rows`.
    """
    known, turn = _asked(layout)
    given = given_rows(layout, names, partly=partly, texts=texts, same=same)
    columns, rows = new_rows(given)
    write = insert(layout.table).from_select(columns, rows.where(_mine(turn)))
    written = written_by(layout, write)
    key = func.json_build_array(*key_of_written(layout, written))
    answer = select(
        json_of_written(layout, written).label("body"),
        written.c[TAG].label("tag"),
        cast(key, Text).label("key"),
    )
    return _answered(layout, known, turn, answer.cte("__answer"))


def create_many_once(
    layout: Layout,
    names: Sequence[str],
    *,
    partly: Collection[str] = (),
    texts: Sequence[str] = (),
    same: Sequence[str] = (),
) -> ClauseElement:
    """Insert rows as `create_many` does, or find the answer that is kept."""
    known, turn = _asked(layout)
    given = given_rows(layout, names, partly=partly, texts=texts, same=same)
    columns, rows = new_rows(given)
    write = insert(layout.table).from_select(columns, rows.where(_mine(turn)))
    body = select(json_of_new(layout, write)).scalar_subquery()
    none = cast(null(), Text)
    answer = select(body.label("body"), none.label("tag"), none.label("key"))
    return _answered(layout, known, turn, answer.where(_mine(turn)).cte("__answer"))


def kept_answer(layout: Layout) -> Select[Any]:
    """Return the answer kept under `ONCE`: its fingerprint, JSON, tag and key."""
    kept = _table(layout)
    columns = (kept.c.fingerprint, kept.c.body, kept.c.tag, kept.c.key)
    return select(*columns).where(
        kept.c.id == _once(), kept.c.created_at > _yesterday()
    )


# Each write takes more of the old with it than it leaves behind.
_SWEPT: ColumnElement[int] = literal_column("10")


def _answered(layout: Layout, known: CTE, turn: CTE, answer: CTE) -> ClauseElement:
    """Return the statement: fingerprint, JSON, tag and key of the answer, and the turn.

    There is a fingerprint only where the answer was kept before. The turn is true for
    who has just written, false where another is about to, and NULL beside an answer
    that was kept.
    """
    kept = _kept(layout, answer)
    always = select(literal_column("1").label("one")).subquery("__always")
    found = {
        name: func.coalesce(known.c[name], answer.c[name])
        for name in ("body", "tag", "key")
    }
    return (
        select(known.c.fingerprint, *found.values(), turn.c.mine, _proof(turn, kept))
        .select_from(
            always.outerjoin(known, true())
            .outerjoin(turn, true())
            .outerjoin(answer, true())
        )
        .add_cte(_swept(layout, kept))
    )


def _asked(layout: Layout) -> tuple[CTE, CTE]:
    """Return the answer that is kept, and where there is none, whose turn it is."""
    known = kept_answer(layout).cte("__known")
    lock = func.pg_try_advisory_xact_lock(bindparam(TURN, type_=BigInteger))
    there = exists(select(literal_column("1")).select_from(known))
    return known, select(lock.label("mine")).where(~there).cte("__turn")


def _mine(turn: CTE) -> ColumnElement[bool]:
    return exists(select(literal_column("1")).select_from(turn).where(turn.c.mine))


def _kept(layout: Layout, answer: CTE) -> CTE:
    """Keep the answer, over one that is too old to be known."""
    kept = _table(layout)
    values = {
        kept.c.id: _once(),
        kept.c.fingerprint: bindparam(FINGERPRINT, type_=LargeBinary),
        kept.c.body: answer.c.body,
        kept.c.tag: answer.c.tag,
        kept.c.key: answer.c.key,
        kept.c.created_at: func.now(),
    }
    write = postgresql.insert(kept).from_select(list(values), select(*values.values()))
    return (
        write.on_conflict_do_update(
            index_elements=[kept.c.id],
            set_={
                column.name: write.excluded[column.name]
                for column in values
                if not column.primary_key
            },
            where=kept.c.created_at <= _yesterday(),
        )
        .returning(literal_column("1").label("one"))
        .cte("__kept")
    )


def _proof(turn: CTE, kept: CTE) -> ColumnElement[Any]:
    """Return what fails with LOST where something was written and nothing kept."""
    number = select(func.count()).select_from(kept).scalar_subquery()
    return case((turn.c.mine, func.ln(number)))


def _swept(layout: Layout, new: CTE) -> CTE:
    """Remove some answers that are too old where one is new, so nobody else has to."""
    kept = _table(layout)
    old = (
        select(kept.c.id)
        .where(kept.c.created_at <= _yesterday(), kept.c.id != _once())
        # It comes last, with no row to wait for and no lock for others to wait for.
        .where(exists(select(literal_column("1")).select_from(new)))
        .order_by(kept.c.created_at)
        .limit(_SWEPT)
        .with_for_update(skip_locked=True)
    )
    return delete(kept).where(kept.c.id.in_(old)).cte("__swept")


def _table(layout: Layout) -> Table:
    if layout.kept is None:
        raise Misconfigured(
            f"there is no table to keep answers in beside {layout.table.name!r}; call "
            "howdah.models.idempotency_table(metadata), and migrate"
        )
    return layout.kept


def _once() -> ColumnElement[bytes]:
    return bindparam(ONCE, type_=LargeBinary)


def _yesterday() -> ColumnElement[Any]:
    return func.now() - literal_column("interval '24 hours'")
