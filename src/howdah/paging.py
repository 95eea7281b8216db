"""Which slice of a result: offset pages, and keyset pages found by a cursor. No SQL.

A cursor holds the sort values of the row where a page ended. It is bound to the query
it came from, so it cannot be carried to another order or other filters, and it is no
secret: who forges one can only ask for what they may ask for anyway.
"""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal
from urllib.parse import urlencode

from howdah.errors import FieldError, InvalidQuery
from howdah.query import Query
from howdah.settings import PageLimits

__all__ = ("KeysetPage", "OffsetPage", "Page", "Slice", "links", "read_page")

Direction = Literal["next", "prev"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OffsetPage:
    """`limit` rows after the first `skip`."""

    skip: int = 0
    limit: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysetPage:
    """`limit` rows behind (or, with direction prev, before) the row at `position`.

    The position holds the values of the sort's fields and then of the key; without
    one the page is the first.
    """

    limit: int = 100
    position: tuple[Any, ...] | None = None
    direction: Direction = "next"


Page = OffsetPage | KeysetPage


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """The rows of a page as JSON, where it begins and ends, and what is around it.

    `first` and `last` are the positions of its outer rows, None where it is empty;
    `more` says whether rows follow in the page's direction.
    """

    body: bytes
    first: str | None = None
    last: str | None = None
    more: bool = False
    total: int | None = None


def read_page(
    given: Mapping[str, Sequence[str]], limits: PageLimits, query: Query
) -> Page:
    """Return the page that `limit`, `skip` and `cursor` ask for, or raise InvalidQuery.

    Without `skip` it is a keyset page: the first, or the one behind the cursor.
    """
    limit = _number(given, "limit", limits.default, smallest=1, largest=limits.maximum)
    if "skip" in given:
        if "cursor" in given:
            raise _fault("cursor", "stands beside skip; give one of them")
        skip = _number(given, "skip", 0, smallest=0, largest=limits.skip)
        return OffsetPage(skip=skip, limit=limit)
    text = given["cursor"][-1] if "cursor" in given else ""
    if not text:
        return KeysetPage(limit=limit)
    direction, position = _decode(text, _mark(query))
    return KeysetPage(limit=limit, position=position, direction=direction)


def links(
    path: str, given: Sequence[tuple[str, str]], page: Page, found: Slice, query: Query
) -> str | None:
    """Return the `Link` header (RFC 8288), every parameter kept, or None."""
    kept = [(n, v) for n, v in given if n not in {"skip", "cursor"}]
    said = [
        f'<{path}?{urlencode([*kept, target])}>; rel="{relation}"'
        for relation, target in _targets(page, found, query)
    ]
    return ", ".join(said) or None


def _targets(
    page: Page, found: Slice, query: Query
) -> Iterator[tuple[str, tuple[str, str]]]:
    if isinstance(page, OffsetPage):
        if found.more:
            yield "next", ("skip", str(page.skip + page.limit))
        if page.skip:
            yield "prev", ("skip", str(max(0, page.skip - page.limit)))
        return
    backward = page.direction == "prev"
    mark = _mark(query)
    if found.last is not None and (found.more or backward):
        yield "next", ("cursor", _encode("next", mark, found.last))
    if found.first is not None and (page.position is not None and not backward):
        yield "prev", ("cursor", _encode("prev", mark, found.first))
    if found.first is not None and backward and found.more:
        yield "prev", ("cursor", _encode("prev", mark, found.first))


def _mark(query: Query) -> str:
    """Return what tells this query's cursors from those of others."""
    asked = (query.filters, query.sort, query.search, query.active_only)
    return hashlib.blake2b(repr(asked).encode(), digest_size=8).hexdigest()


_MARK = 16  # characters of a mark


def _encode(direction: Direction, mark: str, position: str) -> str:
    text = f"{direction[0]}{mark}{position}"
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def _decode(cursor: str, mark: str) -> tuple[Direction, tuple[Any, ...]]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        text = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
        position = json.loads(text[1 + _MARK :], parse_float=Decimal)
    except (ValueError, binascii.Error, RecursionError):
        raise _fault("cursor", "is none of ours; take it from a Link") from None
    if text[0] not in "np" or not isinstance(position, list):
        raise _fault("cursor", "is none of ours; take it from a Link")
    if text[1 : 1 + _MARK] != mark:
        raise _fault("cursor", "belongs to another order or other filters")
    return ("next" if text[0] == "n" else "prev"), tuple(position)


def _number(
    given: Mapping[str, Sequence[str]],
    name: str,
    default: int,
    *,
    smallest: int,
    largest: int,
) -> int:
    texts = given.get(name)
    if texts is None:
        return default
    if len(texts) > 1:
        raise _fault(name, "is given twice; give it once")
    if not _WHOLE.match(texts[0]):
        raise _fault(name, "has to be a whole number, digits only")
    # Longer numbers are out of range, whatever they are.
    number = int(texts[0][:_DIGITS])
    if not smallest <= number <= largest:
        raise _fault(name, f"has to be from {smallest} to {largest}")
    return number


_WHOLE = re.compile(r"-?[0-9]+\Z", re.ASCII)
_DIGITS = 20


def _fault(name: str, message: str) -> InvalidQuery:
    error = FieldError(field=name, code=InvalidQuery.code, message=message)
    return InvalidQuery(f"{name}: {message}", errors=(error,))
