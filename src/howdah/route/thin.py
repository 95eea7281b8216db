"""A route that answers straight from the request where it may.

FastAPI's way to an endpoint (exit stacks, a tree of dependencies, parameters gathered
from five places) takes more time than the endpoint. Where it is sure what FastAPI would
do, it is done here in less: `straight` where there is no dependency, whoever may have
put one there, `solved` where all are of known kinds. Everything else is left to
FastAPI's way.
"""

from collections.abc import Awaitable, Mapping
from pathlib import Path
from types import FunctionType
from typing import Any, Protocol

import fastapi
from fastapi import concurrency, routing
from fastapi.dependencies import utils
from starlette.types import ASGIApp, Receive, Scope, Send

from howdah.route.heard import Heard
from howdah.route.late import Endpoint, LateRoute
from howdah.route.solved import Solved
from howdah.route.straight import Straight
from howdah.route.strict import StrictRoute, as_get

__all__ = ("THIN", "Raised", "ThinRoute", "Way")

THIN = "howdah.thin"
"""Where a scope says that its request went the thin way."""


class Way(Protocol):
    """A thin way to an endpoint."""

    has_body: bool
    """Whether a body is asked as well, which has to be waited for."""

    def read(self, scope: Scope, path: Mapping[str, Any], heard: Heard) -> Any | None:
        """Return what is asked, or None, and nothing done, for what FastAPI sees."""

    async def read_body(self, asked: Any, scope: Scope, heard: Heard) -> Any | None:
        """Return what is asked with its body, or None as well."""

    def answer(self, asked: Any) -> Awaitable[ASGIApp]:
        """Return what answers; nothing of it may be done a second time."""


class Raised:
    """An error that was met before the app had found the route, to be raised there."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.changed: Scope = {}

    def put(self, scope: Scope, before: Scope) -> None:
        """Lay it into a scope, in which the app is to find the same route as before."""
        scope["fastapi"] = before.get("fastapi", {})
        self.changed = {
            key: scope.pop(key)
            for key in _MATCHED
            if key in scope and scope[key] is not before.get(key)
        }
        scope.update({key: before[key] for key in self.changed if key in before})
        scope[_RAISED] = self

    @staticmethod
    def again(scope: Scope) -> None:
        """Raise what has been raised before, if anything has."""
        raised: Raised | None = scope.pop(_RAISED, None)
        if raised is not None:
            scope.update(raised.changed)
            raise raised.error


_RAISED = "howdah.raised"
# By what routes are matched; dependencies may have changed it.
_MATCHED = ("method", "path", "path_params", "raw_path", "root_path", "type")


class ThinRoute(LateRoute):
    """A route that has two ways to an `Endpoint`, FastAPI's and a thin one."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # By the place in which the route is included; each may add dependencies.
        self._ways: dict[int, tuple[Any, Way | None]] = {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the thin way where that is FastAPI's answer too, else its way."""
        Raised.again(scope)
        scope = as_get(scope)
        # A router's own dependencies are known to the context in which it is included.
        place = scope.get("fastapi", {}).get("effective_route_context", self)
        thin = self.way(place, scope)
        if thin is None:
            await super().handle(scope, receive, send)
            return
        heard = Heard(receive)
        asked = thin.read(scope, scope["path_params"], heard)
        if thin.has_body and asked is not None:
            asked = await thin.read_body(asked, scope, heard)
        if asked is None:
            await super().handle(scope, heard, send)
            return
        scope[THIN] = True
        response = await thin.answer(asked)
        await response(scope, heard, send)

    def way(self, place: Any, scope: Scope) -> "Way | None":
        """Return the thin way at a place, None where FastAPI's has to be gone."""
        # FastAPI's telemetry follows its own way step by step.
        if scope.get("fastapi.telemetry") is not None:
            return None
        known = self._ways.get(id(place))
        if known is None or known[0] is not place:
            known = self._ways[id(place)] = (place, self._decide(place))
        return known[1] if scope["method"] in (self.methods or ()) else None

    def _decide(self, place: Any) -> "Way | None":
        plain = (
            place.dependant.call is self.endpoint
            and isinstance(self.endpoint, Endpoint)
            and place.max_body_size is None
            and self.has_own_app
            and type(self).get_route_handler is StrictRoute.get_route_handler
            and not _is_watched()
        )
        if not plain:
            return None
        if not place.dependant.dependencies:
            return Straight(place.dependant, self.largest_body)
        return Solved.of(place, self.largest_body)


# The functions on FastAPI's way, and whose they are.
_WATCHED = (
    *((routing, name) for name in ("get_request_handler", "request_response")),
    *((routing, name) for name in ("run_endpoint_function", "solve_dependencies")),
    *((utils, name) for name in ("solve_dependencies", "request_params_to_args")),
)
_FASTAPI = str(Path(fastapi.__file__).parent)


def _is_watched() -> bool:
    """Say whether a tool stands in the place of functions on FastAPI's way."""
    functions = (getattr(module, name) for module, name in _WATCHED)
    runs = vars(utils).get("run_in_threadpool") is concurrency.run_in_threadpool
    return not runs or not all(
        type(it) is FunctionType and it.__code__.co_filename.startswith(_FASTAPI)
        for it in functions
    )
