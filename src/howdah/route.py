"""A FastAPI route that reads requests strictly and paths kindly.

Strictly: JSON with a key given twice, a NaN, half a character or a NUL is refused
before anyone builds a statement from it. Kindly: with or without the last slash, and
HEAD where there is GET. Made of FastAPI's own extension points; any router takes it
as `route_class`.
"""

import json
import math
import re
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from typing import Any, ClassVar, NoReturn, Self
from urllib.parse import unquote_to_bytes

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

__all__ = ("StrictRequest", "StrictRoute", "dependency_parameters")


class StrictRequest(Request):
    """A request whose JSON is what its sender wrote, or nothing at all."""

    def __init__(
        self, scope: Scope, receive: Receive, *, largest_body: int | None = None
    ) -> None:
        super().__init__(scope, receive)
        self._largest_body = largest_body

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """Give the body as it comes; raises 413 where it grows too large."""
        size = int(self.headers.get("content-length", "0"))
        self._check_size(size)
        size = 0
        async for chunk in super().stream():
            size += len(chunk)
            self._check_size(size)
            yield chunk

    def _check_size(self, size: int) -> None:
        if self._largest_body is not None and size > self._largest_body:
            raise HTTPException(
                413, f"The body is larger than {self._largest_body} bytes."
            )

    async def json(self) -> Any:
        """Return the body; raises json.JSONDecodeError, which answers 422."""
        if not hasattr(self, "_strict"):
            self._strict = _read(await self.body())
        return self._strict


class StrictRoute(APIRoute):
    """A route that any FastAPI router takes as `route_class`."""

    largest_body: ClassVar[int | None] = None
    """Most bytes of a body; above them the answer is 413."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's handler; the place that its documentation names for it."""
        handle = super().get_route_handler()

        async def strictly(request: Request) -> Response:
            _check_address(request.scope)
            if _takes_json(self):
                _check_media_type(request)
            return await handle(
                StrictRequest(
                    request.scope, request.receive, largest_body=self.largest_body
                )
            )

        return strictly

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match the path with and without its last slash, and HEAD as GET."""
        if scope["type"] != "http":
            return super().matches(scope)
        scope = _with_segments(_as_get(scope))
        if self.path.endswith("/") != scope["path"].endswith("/"):
            scope = _other_slash(scope)
        match, child = super().matches(scope)
        if _SLASH in scope["path"]:
            child["path_params"] = _plain(child.get("path_params", {}))
        return match, child

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer HEAD as GET; the server leaves the body out."""
        await super().handle(_as_get(scope), receive, send)


def dependency_parameters(request: Request) -> set[str]:
    """Return the query parameters that the dependencies of a request's route read."""
    # A router's own dependencies are known to the context in which it is included.
    context = request.scope.get("fastapi", {}).get("effective_route_context")
    route = request.scope["route"] if context is None else context
    return _query_names(route.dependant)


def _query_names(dependant: Dependant) -> set[str]:
    own = {field.alias for field in dependant.query_params}
    return own.union(*map(_query_names, dependant.dependencies))


def _as_get(scope: Scope) -> Scope:
    return {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope


def _other_slash(scope: Scope) -> Scope:
    path: str = scope["path"]
    return {**scope, "path": path[:-1] if path.endswith("/") else f"{path}/"}


# Stands for a slash that is no separator while paths are matched. It can be no other
# character of an address, since those with a NUL are refused.
_SLASH = "\0"
_ESCAPED_SLASH = re.compile(r"%2f", re.IGNORECASE)


def _with_segments(scope: Scope) -> Scope:
    """Return the scope with a path in which an escaped slash is part of its segment."""
    raw: bytes = scope.get("raw_path") or b""
    if b"%2" not in raw:
        return scope
    text = _ESCAPED_SLASH.sub("%00", raw.decode("latin-1"))
    segments: bytes = unquote_to_bytes(text)
    path = segments.decode(errors="replace")
    # A server or a proxy that has rewritten the path is believed.
    known = path.replace(_SLASH, "/") == scope["path"]
    return {**scope, "path": path} if known else scope


def _plain(parameters: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.replace(_SLASH, "/") if isinstance(value, str) else value
        for name, value in parameters.items()
    }


def _takes_json(route: APIRoute) -> bool:
    """Say whether the body is declared as JSON, and not as a form or another text."""
    if route.body_field is None:
        return False
    declared = getattr(route.body_field.field_info, "media_type", "application/json")
    return bool(declared == "application/json")


def _check_media_type(request: Request) -> None:
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


def _check_address(scope: Scope) -> None:
    """Refuse escapes that say nothing, text that is no UTF-8, and NUL."""
    query: bytes = scope.get("query_string", b"")
    path: bytes = scope.get("raw_path") or b""
    for place, text in (("query", query), ("path", path)):
        if b"%" in text and (fault := _address_fault(text)):
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


def _read(body: bytes) -> Any:
    try:
        text = body.decode()
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_float=_number,
            parse_int=_whole,
        )
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
