"""What a request asks, read from its address or its body, and every fault of it.

A parameter or a member that the resource does not know is refused with the nearest
names. The parameters of dependencies are theirs to read.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from fastapi import Request

from howdah.paging import Links, Page, read_page
from howdah.query import SHOW_ALL, Faults, Query, Show, nearest, only
from howdah.resource.rows import Rows
from howdah.route import dependency_parameters

__all__ = (
    "ADDRESS_OF_BODY",
    "COUNT_LEAVES_OUT",
    "LONGEST_SEARCH",
    "PAGE",
    "SHOWN",
    "read_body",
    "read_count",
    "read_list",
    "read_show",
)

LONGEST_SEARCH = 1000
PAGE = ("skip", "limit", "cursor")
SHOWN = ("fields", "include")
COUNT_LEAVES_OUT = ("sort", *SHOWN)
ADDRESS_OF_BODY = PAGE
"""What may stand in the address beside a body: what links have, which wins."""

Texts = dict[str, list[str]]
Asked = tuple[Query, Page, Links]


def read_list(resource: Rows[Any], request: Request, *, words: bool = False) -> Asked:
    """Return query, page and links that an address asks for, words where it may."""
    address: bytes = request.scope["query_string"]
    known = resource.read.get((words, address))
    if known is None:
        known = _read_list(resource, request, words=words)
        if len(address) <= _LONGEST_KEPT and not dependency_parameters(request):
            _keep(resource.read, (words, address), known)
    return known


# Lists are asked for by a few addresses: reading one is a third of the work in Python.
_MOST_KEPT, _LONGEST_KEPT = 500, 200


def _keep(
    read: dict[tuple[bool, bytes], Asked], asked: tuple[bool, bytes], found: Asked
) -> None:
    if len(read) >= _MOST_KEPT:
        read.pop(next(iter(read)), None)
    read[asked] = found


def _read_list(resource: Rows[Any], request: Request, *, words: bool) -> Asked:
    faults = Faults()
    own = (*PAGE, "q") if words else PAGE
    given = _known(request, (*own, *resource.language.names), faults)
    search = faults.reading("q", partial(_words, given.get("q", ()))) if words else None
    query = resource.language.read(given, search=search, faults=faults)
    page = read_page(given, resource.page, query, faults)
    faults.check()
    return query, page, _links(request, page, query)


def read_body(resource: Rows[Any], request: Request, body: Mapping[str, Any]) -> Asked:
    """Return the query and the page that a body asks for, and links behind it."""
    faults = Faults()
    address = _known(request, ADDRESS_OF_BODY, faults)
    members = _members(resource, body, faults)
    search = None
    if "q" in members:
        search = faults.reading("q", partial(_word, members["q"]))
    query = resource.language.read_json(members, search=search, faults=faults)
    given = {**_page_of(members, address, faults), **address}
    page = read_page(given, resource.page, query, faults)
    if "limit" in address and "limit" in members:
        # It is replaced, and no less at fault for that.
        kept = _page_of({"limit": members["limit"]}, (), faults)
        read_page(kept, resource.page, query, faults)
    faults.check()
    return query, page, _links(request, page, query)


def _links(request: Request, page: Page, query: Query) -> Links:
    asked: bytes = request.scope["query_string"]
    return Links(asked.decode("latin-1"), page, query)


def read_count(resource: Rows[Any], request: Request) -> Query:
    """Return the query whose rows are counted."""
    faults = Faults()
    names = [n for n in resource.language.names if n not in COUNT_LEAVES_OUT]
    query = resource.language.read(_known(request, names, faults), faults=faults)
    faults.check()
    return query


def read_show(resource: Rows[Any], request: Request) -> Show:
    """Return what an address asks to see of a row."""
    if not request.scope["query_string"]:
        return SHOW_ALL
    faults = Faults()
    names = [name for name in resource.language.names if name in SHOWN]
    query = resource.language.read(_known(request, names, faults), faults=faults)
    faults.check()
    return query.show


def _known(request: Request, names: Collection[str], faults: Faults) -> Texts:
    """Return the parameters by name; those that nobody knows are faults."""
    given: Texts = {}
    for name, text in request.query_params.multi_items():
        given.setdefault(name, []).append(text)
    if not given.keys() <= set(names):
        for name in dependency_parameters(request).difference(names):
            given.pop(name, None)
        _refuse_unknown(given, names, faults)
    return given


def _members(
    resource: Rows[Any], body: Mapping[str, Any], faults: Faults
) -> Mapping[str, Any]:
    own = (*PAGE, *(("q",) if resource.search else ()))
    _refuse_unknown(body, (*own, *resource.language.names), faults)
    return body


def _refuse_unknown(
    given: Iterable[str], names: Collection[str], faults: Faults
) -> None:
    for name in given:
        if name not in names:
            faults.add(name, f"is no parameter here{nearest(name, names)}")


def _page_of(
    members: Mapping[str, Any], address: Collection[str], faults: Faults
) -> Texts:
    """Return a body's members of a page as texts; those of an address replace them."""
    moved = {"skip", "cursor"}
    gone = {*address, *(moved if moved.intersection(address) else ())}
    given = {}
    for name in PAGE:
        if name in members and name not in gone:
            kind = str if name == "cursor" else int
            text = faults.reading(name, partial(_plain, members[name], kind))
            if text is not None:
                given[name] = [text]
    return given


def _plain(value: Any, kind: type[str | int]) -> str:
    # In JSON 2.0 is as whole as 2.
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    # A truth value is an integer in Python, and none in JSON.
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"has to be a {'text' if kind is str else 'whole number'}")  # noqa: TRY004 - the client's fault
    return str(value)


def _words(texts: Sequence[str]) -> str:
    if not texts:
        raise ValueError("is missing; it says what to look for")
    return _word(only(texts))


def _word(value: Any) -> str:
    words = _plain(value, str)
    if not 1 <= len(words) <= LONGEST_SEARCH:
        raise ValueError(f"has to be of 1 to {LONGEST_SEARCH} characters")
    return words
