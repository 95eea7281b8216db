"""What a list's statement answers, as a page: rows joined, positions, what is around.

Texts are cut and joined, and only the outer rows are read: PostgreSQL has written the
JSON, and Python reading a page of it would take longer than all else.
"""

import json
from collections.abc import Sequence
from functools import partial

from howdah.paging import KeysetPage, OffsetPage, Page, Slice
from howdah.query import Query
from howdah.statements import SEPARATOR

__all__ = ("page_of",)

Found = tuple[str | None, int, str | None, int | None]
Names = Sequence[str] | None


def page_of(found: Found, query: Query, page: Page, names: Names) -> Slice:
    """Return the page of what `list_rows` answers.

    `names` are the fields of which a row's position is made, where rows show them.
    """
    rows, count, places, total = found
    if rows is None:
        return Slice(body=b"[]", total=_end(query, page, 0) if total is None else total)
    more = count > page.limit
    rows = _without_last(rows) if more else rows
    near, far = _places(rows, places and _without_last(places, more=more), names, page)
    backward = isinstance(page, KeysetPage) and page.direction == "prev"
    if backward:
        rows = _reversed(rows)
    if total is None and not more:
        total = _end(query, page, count)
    return Slice(
        body=f"[{rows.replace(SEPARATOR, ',')}]".encode(),
        first=far if backward else near,
        last=near if backward else far,
        more=more,
        total=total,
    )


def _without_last(texts: str, *, more: bool = True) -> str:
    """Return the texts without the one that is only there to tell of more."""
    return texts[: texts.rindex(SEPARATOR)] if more else texts


def _places(
    rows: str, places: str | None, names: Names, page: Page
) -> tuple[str | None, str]:
    """Return the positions of the outer rows, nearest first.

    None for the first row of all, before which nobody looks.
    """
    near, far = _outer(rows if places is None else places)
    place = partial(_position, names=names) if places is None and names else str
    begins = isinstance(page, OffsetPage) or (
        page.position is None and page.direction == "next"
    )
    return None if begins else place(near), place(far)


def _outer(texts: str) -> tuple[str, str]:
    # Not by partition: it would copy all that is between.
    first, last = texts.find(SEPARATOR), texts.rfind(SEPARATOR)
    return texts if first < 0 else texts[:first], texts[last + 1 :]


def _reversed(texts: str) -> str:
    return SEPARATOR.join(reversed(texts.split(SEPARATOR)))


class _Number(str):
    """A number as it is written: a float would lose digits of it."""

    __slots__ = ()


_read = json.JSONDecoder(parse_int=_Number, parse_float=_Number).decode


def _position(row: str, names: Sequence[str]) -> str:
    values = _read(row)
    return f"[{', '.join(_text(values[name]) for name in names)}]"


def _text(value: object) -> str:
    if isinstance(value, _Number):
        return value
    return json.dumps(value, ensure_ascii=False)


def _end(query: Query, page: Page, found: int) -> int | None:
    """Return the total where a page shows the end: what nobody has to estimate.

    None where nobody asks, or where it is not known how many stand before.
    """
    if query.count is None:
        return None
    if isinstance(page, OffsetPage):
        return page.skip + found if found else None
    return found if page.position is None else None
