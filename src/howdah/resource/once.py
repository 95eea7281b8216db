"""Requests that are done once, however often they are sent: the Idempotency-Key.

https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
"""

import inspect
import json
import re
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

from fastapi import Request

from howdah.errors import FieldError, Invalid
from howdah.resource.rows import Rows
from howdah.resource.wire import header_lines
from howdah.store import Once

__all__ = ("key_parameter", "once_of")

_NAME = "Idempotency-Key"
_LONGEST = 255

Method = Callable[..., Any]


async def once_of(
    request: Request, resource: Rows[Any], method: Method
) -> Mapping[str, Once]:
    """Return the argument `once` for a method, where the request has a key.

    A key that would not be heeded is refused: its sender trusts in it.
    """
    given = header_lines(request, b"idempotency-key")
    if not given:
        return {}
    if not _heeds(resource, method):
        raise _refused("is not taken here; send the request without it")
    if len(given) > 1:
        raise _refused("is given more than once")
    key = _key(given[0])
    return {"once": Once(key=key, fingerprint=await _fingerprint(request, key))}


def key_parameter(resource: Rows[Any], method: Method) -> dict[str, Any]:
    """Return what OpenAPI says of the header, where it is heeded."""
    return {"parameters": [_PARAMETER]} if _heeds(resource, method) else {}


# A bare word, or a string in quotes.
_FORMS = (
    rf"^([!#-+\--~]{{1,{_LONGEST}}}"
    rf'|"([ !#-\[\]-~]|\\["\\]){{1,{_LONGEST}}}")$'
)
_PARAMETER = {
    "name": _NAME,
    "in": "header",
    "required": False,
    "schema": {"type": "string", "pattern": _FORMS},
    "description": (
        "A name of your own for this request, such as a UUID; sent again within a day, "
        "it gets the first answer again"
    ),
}


def _heeds(resource: Rows[Any], method: Method) -> bool:
    """Say whether a key does what it should; an override may have no `once`."""
    parameters = inspect.signature(method).parameters.values()
    takes = any(p.name == "once" or p.kind is p.VAR_KEYWORD for p in parameters)
    return takes and resource.keeps_answers


# A string as https://www.rfc-editor.org/rfc/rfc9651#name-strings has it, or, as most
# clients send it, a bare word. A comma would come of a header that is given twice.
_QUOTED = re.compile(r'"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_BARE = re.compile(r"[\x21\x23-\x2b\x2d-\x7e]*")


def _key(text: str) -> str:
    text = text.strip(" \t")
    if quoted := _QUOTED.fullmatch(text):
        text = re.sub(r"\\(.)", r"\1", quoted[1])
    elif not _BARE.fullmatch(text):
        raise _refused(_FORM)
    if not 1 <= len(text) <= _LONGEST:
        raise _refused(f"has to have 1 to {_LONGEST} characters")
    return text


_FORM = (
    "has to be printable ASCII; write a key with blanks, commas or quotes in quotes, "
    "and a backslash before quotes and backslashes inside of them"
)


async def _fingerprint(request: Request, key: str) -> bytes:
    """Return a digest of what a request says; how its JSON is written does not count.

    A number keeps its digits, since 1 and 1.0 may be two things to who reads them. The
    key, which the client alone knows, keeps others from finding out by trying what was
    sent: a password perhaps.
    """
    body = _said(await request.body())
    place = [request.method, request.url.path.rstrip("/"), request.url.query]
    return sha256(json.dumps([key, *place, body], sort_keys=True).encode()).digest()


def _said(body: bytes) -> Any:
    try:
        return json.loads(body, parse_float=_written)
    except RecursionError:
        # A first reader had a little more room than there is here.
        return body.decode()


def _written(number: str) -> str:
    # No text of a body has a NUL in it, so none is taken for a number.
    return f"\0{number}"


def _refused(message: str) -> Invalid:
    fault = FieldError(field=_NAME, code=Invalid.code, message=message)
    return Invalid(f"{_NAME} {message}", errors=(fault,))
