"""What a request says, or why it says nothing: its address, its type, its JSON.

JSON with a key given twice, a NaN, half a character or a NUL is refused before anyone
builds a statement from it. Knows nothing of routes.
"""

import json
import math
import re
from collections.abc import Iterable
from typing import Any, NoReturn, Self
from urllib.parse import unquote_to_bytes

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import Scope

__all__ = ("check_address", "check_media_type", "read_json")


def check_media_type(request: Request) -> None:
    """Raise 415 for a body that is no JSON."""
    given = request.headers.get("content-type")
    if given is None and request.headers.get("content-length", "0") == "0":
        # No body at all is for validation to speak of.
        return
    media_type = (given or "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise HTTPException(
            415, "The body has to be JSON: send Content-Type: application/json."
        )


_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def check_address(scope: Scope) -> None:
    """Refuse escapes that say nothing, text that is no UTF-8, and NUL."""
    query: bytes = scope.get("query_string", b"")
    path: bytes = scope.get("raw_path") or b""
    if b"%" not in query and b"%" not in path:
        return
    for place, text in (("query", query), ("path", path)):
        if fault := _address_fault(text):
            raise _refused(place, fault)


def _address_fault(text: bytes) -> str | None:
    if _BROKEN_ESCAPE.search(text):
        return "has a % that two hexadecimal digits have to follow; write %25 for %"
    plain = unquote_to_bytes(text)
    if b"\0" in plain:
        return "holds a NUL character, which no text of PostgreSQL can"
    try:
        plain.decode()
    except UnicodeDecodeError:
        return "is no UTF-8"
    return None


def _refused(place: str, message: str) -> RequestValidationError:
    return RequestValidationError(
        [{"type": "invalid_text", "loc": (place, place), "msg": message}]
    )


def read_json(body: bytes) -> Any:
    """Return what a body says; raises json.JSONDecodeError, which answers 422."""
    try:
        text = body.decode()
        value = _decoded(text)
    except UnicodeDecodeError as exc:
        raise json.JSONDecodeError("it is no UTF-8", "", exc.start) from None
    except RecursionError:
        raise json.JSONDecodeError("it is nested too deeply", "", 0) from None
    except json.JSONDecodeError:
        raise
    except ValueError as exc:
        raise json.JSONDecodeError(str(exc), "", 0) from None
    # Only an escape can bring in a NUL or half a character: neither is JSON or UTF-8.
    if "\\u" in text:
        _check_texts(value)
    return value


def _decoded(text: str) -> Any:
    if text.startswith("\ufeff"):
        raise json.JSONDecodeError("it begins with a byte order mark", "", 0)
    return _DECODER.decode(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("it gives the same key twice in one object")
    return value


class _Number(float):
    """A fraction that remembers how it was written.

    Pydantic makes a Decimal of a float's text, so money stays exact, while a field of
    any type gets a number and not a Decimal, which would leave as a string.
    """

    _text: str

    def __new__(cls, text: str) -> Self:
        """Take what JSON takes for a number."""
        self = super().__new__(cls, text)
        self._text = text
        return self

    def __str__(self) -> str:
        return self._text


def _number(text: str) -> _Number:
    number = _Number(text)
    if math.isinf(number):
        raise ValueError("a number is larger than JSON's readers agree to read")
    return number


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("a number has more digits than are read") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_constant=_refuse_constant,
    parse_float=_number,
    parse_int=_whole,
)


def _check_texts(value: Any) -> None:
    for text in _texts(value):
        if "\0" in text:
            raise json.JSONDecodeError("it holds a NUL character", "", 0)
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise json.JSONDecodeError("it holds half a character", "", 0)


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, member in value.items():
            yield key
            yield from _texts(member)
    elif isinstance(value, list):
        for member in value:
            yield from _texts(member)
