"""What goes over the wire: parameters in, and answers with their headers out.

ETags and conditions are those of RFC 9110; a list's links those of RFC 8288.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from fastapi import Request, Response

from howdah.errors import PreconditionRequired
from howdah.paging import Links, OffsetPage, Page, Slice
from howdah.query import Query
from howdah.resource.rows import Rows
from howdah.store import Match, Row

__all__ = (
    "IF_MATCH",
    "LONGEST_IN_ADDRESS",
    "TOTAL_KIND",
    "answer_page",
    "created_answer",
    "header_lines",
    "json_answer",
    "read_match",
    "tagged_answer",
)


_NO_HEADERS: Mapping[str, str] = MappingProxyType({})
TOTAL_KIND = "X-Total-Count-Kind"
"""The header that says whether a total was counted or estimated."""


async def answer_page(
    resource: Rows[Any], request: Request, query: Query, page: Page, links: Links
) -> Response:
    """Answer a list or a search: the page, its links, the total where it is asked.

    Links keep what the address has; behind a body they are addresses to send that
    body to again.
    """
    if resource.envelope and query.count is None:
        query = replace(query, count="exact")
    found = await resource.list(query, page)
    headers = {}
    if link := links.header(_path(request), found):
        headers["Link"] = link
    if found.total is not None:
        kind = "estimated" if found.estimated else "exact"
        headers |= {"X-Total-Count": str(found.total), TOTAL_KIND: kind}
    body = _enveloped(page, found) if resource.envelope else found.body
    return json_answer(body, headers=headers)


def _enveloped(page: Page, found: Slice) -> bytes:
    skip = page.skip if isinstance(page, OffsetPage) else 0
    total = found.total or 0
    counts = b',"total":%d,"skip":%d,"limit":%d}' % (total, skip, page.limit)
    return b'{"items":' + found.body + counts


IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "The ETag of the version that the change is meant for",
}
# A list of entity tags: https://www.rfc-editor.org/rfc/rfc9110#section-8.8.3
_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')


def read_match(resource: Rows[Any], request: Request) -> Match:
    """Return the versions that If-Match names; weak tags never match (RFC 9110)."""
    given = _header(request, b"if-match")
    if given is None and resource.require_match:
        raise PreconditionRequired
    if given is None or given == "*":
        return None
    return tuple(tag for weak, tag in _TAG.findall(given) if not weak)


def tagged_answer(row: Row, request: Request | None = None) -> Response:
    """Answer a row with its ETag; 304 where the request to read it knows the version.

    There is no request where the row has just been changed, or where its tag does not
    tell of all that is answered.
    """
    if request is not None and _knows(request, row):
        return Response(status_code=304, headers={"ETag": _etag(row)})
    answer = json_answer(row.body)
    answer.raw_headers.append((b"etag", _etag(row).encode("latin-1")))
    return answer


def created_answer(
    row: Row, request: Request, *, status: int = 201, replayed: bool = False
) -> Response:
    """Answer what was created, by this request or by one that it repeats.

    Many rows have neither a path nor a version of their own.
    """
    headers = {"ETag": _etag(row)} if row.tag else {}
    if row.key is not None:
        headers["Location"] = _location(request, row.key)
    if replayed:
        headers["Idempotency-Replayed"] = "true"
    return json_answer(row.body, status=status, headers=headers)


def _etag(row: Row) -> str:
    """Return the tag of a row's version as headers have it."""
    return f'"{row.tag}"'


def _location(request: Request, key: Any) -> str:
    """Return the path of a row that was created by this request to its collection."""
    values = key if isinstance(key, tuple) else (key,)
    segments = "/".join([_segment(value) for value in values])
    return f"{_path(request).rstrip('/')}/{segments}"


def _path(request: Request) -> str:
    """Return the path of the request's URL, which is dear to make of it."""
    path: str = request.scope["path"]
    return path if _PLAIN_PATH.fullmatch(path) else request.url.path


_PLAIN_PATH = re.compile(r"/(?!/)[\w/.~-]*", re.ASCII)


def _segment(value: Any) -> str:
    """Return a value as one segment of a path; dots alone would lead elsewhere."""
    text = str(value)
    if isinstance(value, int):
        return text
    dots = text in {".", ".."}
    return text.replace(".", "%2E") if dots else quote(text, safe="")


def _knows(request: Request, row: Row) -> bool:
    given = _header(request, b"if-none-match")
    if given is None or given == "*":
        return given is not None
    return row.tag in {tag for _, tag in _TAG.findall(given)}


def _header(request: Request, name: bytes) -> str | None:
    """Return a header that is a list; sent in several lines it is one list still."""
    lines = header_lines(request, name)
    return ", ".join(lines).strip() if lines else None


def header_lines(request: Request, name: bytes) -> list[str]:
    """Return each line of a header, whose name is given in small letters."""
    headers = request.scope["headers"]
    return [value.decode("latin-1") for known, value in headers if known == name]


LONGEST_IN_ADDRESS = 100
"""Most values of a list there: of more, servers refuse the address."""


def json_answer(
    body: bytes, *, status: int = 200, headers: Mapping[str, str] = _NO_HEADERS
) -> Response:
    """Answer JSON that is bytes already."""
    return _JSON(body, status, headers)


class _JSON(Response):
    """A response as Starlette makes it, without asking what it is made of."""

    def __init__(self, body: bytes, status: int, headers: Mapping[str, str]) -> None:
        self.body, self.status_code, self.background = body, status, None
        self.raw_headers = [(b"content-length", b"%d" % len(body)), _IS_JSON]
        for name, value in headers.items():
            line = (name.lower().encode(), value.encode("latin-1"))
            self.raw_headers.append(line)


_IS_JSON = (b"content-type", b"application/json")
