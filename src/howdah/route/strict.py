"""A FastAPI route that reads requests strictly and paths kindly.

Strictly: see `texts`. Kindly: with or without the last slash, and HEAD where there is
GET. Made of FastAPI's own extension points; any router takes it as `route_class`.
"""

import re
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from functools import cache
from typing import Any, ClassVar
from urllib.parse import unquote_to_bytes

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.responses import Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from howdah.route.changes import Noticed
from howdah.route.internals import route_being_built
from howdah.route.texts import check_address, check_media_type, read_json

__all__ = ("StrictRequest", "StrictRoute", "dependency_parameters")


class StrictRequest(Request):
    """A request whose JSON is what its sender wrote, or nothing at all."""

    largest_body: int | None = None
    """Most bytes of its body; above them it is refused with 413."""

    @staticmethod
    def read_strictly(request: Request, largest_body: int | None) -> None:
        """Let a request be read strictly from now on; it stays the same object.

        Whoever has the request already, as handlers of exceptions have, finds its body
        where others have read it.
        """
        request.__class__ = _strict_kind(type(request))
        vars(request)["largest_body"] = largest_body

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
        if self.largest_body is not None and size > self.largest_body:
            # Nobody reads on: not a handler of this error either.
            self._body = b""
            raise HTTPException(
                413, f"The body is larger than {self.largest_body} bytes."
            )

    async def json(self) -> Any:
        """Return the body; raises json.JSONDecodeError, which answers 422."""
        if not hasattr(self, "_strict"):
            self._strict = read_json(await self.body())
        return self._strict

    def take_body(self, body: bytes, *said: Any) -> None:
        """Take what somebody has read, and what it says where that is known."""
        self._body, self._stream_consumed = body, True
        if said:
            (self._strict,) = said

    def said_so_far(self) -> Any:
        """Return what a body says that has been read already."""
        return read_json(self._body)


@cache
def _strict_kind(kind: type[Request]) -> type[Request]:
    """Return the strict class for requests of a class, which may be one's own."""
    if issubclass(kind, StrictRequest):
        return kind
    bases = (StrictRequest,) if kind is Request else (StrictRequest, kind)
    return type(f"Strict{kind.__name__}", bases, {})


class StrictRoute(Noticed, APIRoute):
    """A route that any FastAPI router takes as `route_class`."""

    largest_body: ClassVar[int | None] = None
    """Most bytes of a body; above them the answer is 413."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's handler; the place that its documentation names for it."""
        handle = super().get_route_handler()
        takes_json = _takes_json(route_being_built(self))

        async def strictly(request: Request) -> Response:
            StrictRequest.read_strictly(request, self.largest_body)
            check_address(request.scope)
            if takes_json:
                check_media_type(request)
            return await handle(request)

        return strictly

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match the path with and without its last slash, and HEAD as GET."""
        if scope["type"] != "http":
            return super().matches(scope)
        scope = _with_segments(self._as_get(scope))
        if self.path.endswith("/") != scope["path"].endswith("/"):
            scope = _other_slash(scope)
        try:
            match, child = super().matches(scope)
        except ValueError:
            # What a convertor cannot read is no path of this route.
            return Match.NONE, {}
        if _SLASH in scope["path"]:
            child["path_params"] = _plain(child.get("path_params", {}))
        if match is not Match.NONE and self.leaves(child["path_params"]):
            return Match.NONE, {}
        return match, child

    def leaves(self, values: Mapping[str, Any]) -> bool:  # noqa: ARG002 - for others
        """Say whether a path with these parameters is left to another route."""
        return False

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer HEAD as GET; the server leaves the body out."""
        await super().handle(self._as_get(scope), receive, send)

    def _as_get(self, scope: Scope) -> Scope:
        """Return what is asked, where HEAD asks for the same as GET."""
        if scope["method"] != "HEAD" or "HEAD" in (self.methods or ()):
            return scope
        return {**scope, "method": "GET"}


def dependency_parameters(request: Request) -> set[str]:
    """Return the query parameters that the dependencies of a request's route read."""
    # A router's own dependencies are known to the context in which it is included.
    context = request.scope.get("fastapi", {}).get("effective_route_context")
    route = request.scope["route"] if context is None else context
    return _query_names(route.dependant)


def _query_names(dependant: Dependant) -> set[str]:
    own = {field.alias for field in dependant.query_params}
    return own.union(*map(_query_names, dependant.dependencies))


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


def _takes_json(route: Any) -> bool:
    """Say whether the body is declared as JSON, and not as a form or another text."""
    if route.body_field is None:
        return False
    declared = getattr(route.body_field.field_info, "media_type", "application/json")
    return bool(declared == "application/json")
