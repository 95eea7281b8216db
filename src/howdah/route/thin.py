"""A route that answers straight from the request where nothing has to be solved.

FastAPI's way to an endpoint (exit stacks, a tree of dependencies, parameters gathered
from five places) takes more time than the endpoint. Where the tree has no dependency,
whoever may have put one there, the parameters are read here, by the validators that
FastAPI has built. What is unusual about a request is left to FastAPI's way, which alone
says what is wrong with it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from types import FunctionType
from typing import Any

import fastapi
from fastapi import routing
from fastapi.dependencies.models import Dependant
from starlette.middleware.body_limit import MAX_BODY_SIZE_SCOPE_KEY
from starlette.types import Message, Receive, Scope, Send

from howdah.route.late import Endpoint, LateRoute
from howdah.route.strict import StrictRequest, StrictRoute, as_get
from howdah.route.texts import check_address, read_json

__all__ = ("RAISED", "Heard", "Thin", "ThinRoute")

RAISED = "howdah.raised"
"""Where a scope has an error that was met before the app had found the route."""


class ThinRoute(LateRoute):
    """A route that has two ways to an `Endpoint`, FastAPI's and a thin one."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # By the place in which the route is included; each may add dependencies.
        self._ways: dict[int, tuple[Any, Thin | None]] = {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the thin way where that is FastAPI's answer too, else its way."""
        if RAISED in scope:
            raise scope.pop(RAISED)
        scope = as_get(scope)
        # A router's own dependencies are known to the context in which it is included.
        place = scope.get("fastapi", {}).get("effective_route_context", self)
        thin = self.way(place, scope)
        if thin is None:
            await super().handle(scope, receive, send)
            return
        heard = Heard(receive)
        given = await thin.read(scope, scope["path_params"], heard)
        if given is None:
            await super().handle(scope, heard, send)
            return
        response = await thin.run(**given)
        await response(scope, heard, send)

    def way(self, place: Any, scope: Scope) -> "Thin | None":
        """Return the thin way at a place, None where FastAPI's has to be gone."""
        # FastAPI's telemetry follows its own way step by step.
        if scope.get("fastapi.telemetry") is not None:
            return None
        known = self._ways.get(id(place))
        if known is None or known[0] is not place:
            known = self._ways[id(place)] = (place, self._decide(place))
        return known[1] if scope["method"] in (self.methods or ()) else None

    def _decide(self, place: Any) -> "Thin | None":
        plain = (
            place.dependant.call is self.endpoint
            and isinstance(self.endpoint, Endpoint)
            and not place.dependant.dependencies
            and place.max_body_size is None
            and self.has_own_app
            and type(self).get_route_handler is StrictRoute.get_route_handler
            and not _is_watched()
        )
        return Thin(place.dependant, self.largest_body) if plain else None


class Thin:
    """Reads from requests what an endpoint takes."""

    def __init__(self, dependant: Dependant, largest_body: int | None) -> None:
        assert isinstance(dependant.call, Endpoint)  # noqa: S101 - for types
        self.run = dependant.call.run
        self._quick = dependant.call.quick
        self._dependant = dependant
        self._path = tuple((it.name, it.validate) for it in dependant.path_params)
        self._defaults = {it.name: it.get_default() for it in dependant.query_params}
        self._body = next(iter(dependant.body_params), None)
        self._request = dependant.request_param_name
        self._largest_body = largest_body

    async def read(
        self, scope: Scope, path: Mapping[str, Any], heard: "Heard"
    ) -> dict[str, Any] | None:
        """Return what the endpoint takes, or None for what FastAPI has to see."""
        check_address(scope)
        # There were no dependencies, and a tool may have added one since.
        if self._dependant.dependencies or (self._defaults and scope["query_string"]):
            return None
        given = dict(self._defaults)
        for name, validate in self._path:
            given[name], faults = validate(path[name])
            if faults:
                return None
        if self._body is not None:
            value = await self._value(self._body, scope, heard)
            if value is _NOTHING:
                return None
            given[self._body.name] = value
        if self._request is not None:
            given[self._request] = StrictRequest(
                scope, heard, largest_body=self._largest_body
            )
        return given

    async def _value(self, field: Any, scope: Scope, heard: "Heard") -> Any:
        """Return what the body says, `_NOTHING` where FastAPI has to say why not."""
        if not _is_short_json(scope, self._largest_body):
            return _NOTHING
        body = await heard.body(self._largest_body)
        if not body:
            return _NOTHING
        if self._quick is not None and (value := self._quick(body)) is not None:
            return value
        try:
            value, faults = field.validate(read_json(body))
        except json.JSONDecodeError:
            return _NOTHING
        return _NOTHING if faults else value


_NOTHING = object()


class Heard:
    """What a client says, and says again to who comes next."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._said: list[Message] = []

    async def __call__(self) -> Message:
        """Return the next message, those first that have been heard."""
        return self._said.pop(0) if self._said else await self._receive()

    async def body(self, most: int | None) -> bytes | None:
        """Return the body; None where it is larger, or its client has gone."""
        size, more = 0, True
        while more:
            message = await self._receive()
            self._said.append(message)
            size += len(message.get("body", b""))
            if message["type"] != "http.request" or (most is not None and size > most):
                return None
            more = message.get("more_body", False)
        return b"".join(message.get("body", b"") for message in self._said)


_JSON = frozenset(
    (
        b"application/json",
        b"application/json;charset=utf-8",
        b"application/json; charset=utf-8",
    )
)


def _is_short_json(scope: Scope, most: int | None) -> bool:
    """Say whether the headers announce a body that there is nothing to say about."""
    if MAX_BODY_SIZE_SCOPE_KEY in scope:
        return False
    headers = dict(reversed(list(scope["headers"])))
    length = headers.get(b"content-length", b"0")
    return headers.get(b"content-type", b"").lower() in _JSON and (
        most is None or (length.isdigit() and int(length) <= most)
    )


_WATCHED = ("get_request_handler", "request_response", "run_endpoint_function")
_FASTAPI = str(Path(fastapi.__file__).parent)


def _is_watched() -> bool:
    """Say whether a tool stands in the place of functions on FastAPI's way."""
    functions = (getattr(routing, name) for name in (*_WATCHED, "solve_dependencies"))
    return not all(
        type(it) is FunctionType and it.__code__.co_filename.startswith(_FASTAPI)
        for it in functions
    )
