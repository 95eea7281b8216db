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
from functools import partial
from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode

from howdah.query import Faults, Query, only
from howdah.settings import PageLimits

__all__ = ("KeysetPage", "Links", "OffsetPage", "Page", "Slice", "read_page")

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
    estimated: bool = False
    """Whether the total is what the planner thinks, and not counted."""


def read_page(
    given: Mapping[str, Sequence[str]],
    limits: PageLimits,
    query: Query,
    faults: Faults | None = None,
) -> Page:
    """Return the page that `limit`, `skip` and `cursor` ask for, or raise InvalidQuery.

    Without `skip` it is a keyset page: the first, or the one behind the cursor. Who
    gives faults collects them, those of the query included, and raises them later.
    """
    found = Faults() if faults is None else faults
    limit = _limit(given, limits, found)
    page = _offset(given, limits, limit, found) or _keyset(given, query, limit, found)
    if faults is None:
        found.check()
    return page


def _limit(
    given: Mapping[str, Sequence[str]], limits: PageLimits, faults: Faults
) -> int:
    if "limit" not in given:
        return limits.default
    read = partial(_number, given["limit"], smallest=1, largest=limits.maximum)
    return faults.reading("limit", read) or limits.default


def _offset(
    given: Mapping[str, Sequence[str]], limits: PageLimits, limit: int, faults: Faults
) -> OffsetPage | None:
    if "skip" not in given:
        return None
    if "cursor" in given:
        faults.add("cursor", "stands beside skip; give one of them")
    read = partial(_number, given["skip"], smallest=0, largest=limits.skip)
    return OffsetPage(skip=faults.reading("skip", read) or 0, limit=limit)


def _keyset(
    given: Mapping[str, Sequence[str]], query: Query, limit: int, faults: Faults
) -> KeysetPage:
    first = KeysetPage(limit=limit)
    text = faults.reading("cursor", partial(only, given.get("cursor", ("",))))
    if not text or faults:
        # Of a query that could not be read nobody knows which cursors are its own.
        return first
    place = faults.reading("cursor", partial(_decode, text, _mark(query)))
    if place is None:
        return first
    return KeysetPage(limit=limit, direction=place[0], position=place[1])


Target = tuple[tuple[str, str], ...]


class Links:
    """Where the pages around one are: what its address asks is kept in theirs."""

    def __init__(self, asked: str, page: Page, query: Query) -> None:
        if not _PLAIN.fullmatch(asked):
            asked = urlencode(parse_qsl(asked, keep_blank_values=True))
        self._page = page
        self._mark = _mark(query)
        parts = [(it.partition("=")[0], it) for it in asked.split("&") if it]
        self._kept = [each for each in parts if each[0] not in {"skip", "cursor"}]

    def header(self, path: str, found: Slice) -> str | None:
        """Return the `Link` header (RFC 8288), or None without other pages."""
        said = [
            f'<{path}?{self._address(target)}>; rel="{relation}"'
            for relation, target in _targets(self._page, found, self._mark)
        ]
        return ", ".join(said) or None

    def _address(self, target: Target) -> str:
        gone = [name for name, _ in target]
        kept = [part for name, part in self._kept if name not in gone]
        # None of ours has a character that would have to be escaped.
        return "&".join([*kept, *[f"{name}={value}" for name, value in target]])


# What an address may hold unescaped, and be of no meaning in a header.
_PLAIN = re.compile(r"[\w.~&=:,/-]*", re.ASCII)


def _targets(page: Page, found: Slice, mark: str) -> Iterator[tuple[str, Target]]:
    if isinstance(page, OffsetPage):
        if found.more:
            yield "next", (("skip", str(page.skip + page.limit)),)
        if page.skip >= page.limit:
            yield "prev", (("skip", str(page.skip - page.limit)),)
        elif page.skip:
            # A whole page from the beginning would show rows of this one again.
            yield "prev", (("limit", str(page.skip)), ("skip", "0"))
        return
    backward = page.direction == "prev"
    if found.last is not None and (found.more or backward):
        yield "next", (("cursor", _encode("next", mark, found.last)),)
    if found.first is not None and (page.position is not None and not backward):
        yield "prev", (("cursor", _encode("prev", mark, found.first)),)
    if found.first is not None and backward and found.more:
        yield "prev", (("cursor", _encode("prev", mark, found.first)),)


def _mark(query: Query) -> str:
    """Return what tells this query's cursors from those of others."""
    asked = (query.filters, query.sort, query.search, query.active_only)
    return hashlib.blake2b(repr(asked).encode(), digest_size=8).hexdigest()


_MARK = 16  # characters of a mark
_NOT_OURS = "is none of ours; take it from a Link"


def _encode(direction: Direction, mark: str, position: str) -> str:
    text = f"{direction[0]}{mark}{position}"
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def _decode(cursor: str, mark: str) -> tuple[Direction, tuple[Any, ...]]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        text = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
        position = json.loads(text[1 + _MARK :], parse_float=Decimal)
    except (ValueError, binascii.Error, RecursionError):
        raise ValueError(_NOT_OURS) from None
    if text[0] not in "np" or not isinstance(position, list):
        raise ValueError(_NOT_OURS)
    if text[1 : 1 + _MARK] != mark:
        raise ValueError("belongs to another order or other filters")
    return ("next" if text[0] == "n" else "prev"), tuple(position)


def _number(texts: Sequence[str], *, smallest: int, largest: int) -> int:
    text = only(texts)
    if not _WHOLE.match(text):
        raise ValueError("has to be a whole number, digits only")
    # Longer numbers are out of range, whatever they are.
    number = int(text[:_DIGITS])
    if not smallest <= number <= largest:
        raise ValueError(f"has to be from {smallest} to {largest}")
    return number


_WHOLE = re.compile(r"-?[0-9]+\Z", re.ASCII)
_DIGITS = 20
