"""Routes at the places where routers include them, as far as matching asks.

FastAPI builds each of them, in all its parts, before it looks at the first path. Where
all routes of a router can be built late, only their patterns are worked out here, and
FastAPI's own objects, its contexts, are asked for when one of them is to answer.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.routing import (
    APIRoute,
    APIWebSocketRoute,
    RouteContext,
    iter_route_contexts,
)
from starlette.routing import BaseRoute, compile_path

from howdah.route.late import LateRoute

__all__ = ("Place", "dependencies_in", "places_in", "places_of")


class Place:
    """A route as a router includes it, with what is said of a context to match it."""

    def __init__(self, route: LateRoute, included: Any) -> None:
        self.original_route = route
        self.endpoint = route.endpoint
        self.methods = route.methods
        self._included = included
        self.path_regex, _, self.param_convertors = compile_path(
            included.include_context.path_for(route)
        )

    @cached_property
    def context(self) -> Any:
        """FastAPI's context, None where FastAPI does not know of the route."""
        found = self._included.effective_candidates()
        of_route = (it for it in found if _route_of(it) is self.original_route)
        return next(of_route, None)


def places_of(included: Any) -> Sequence[Any]:
    """Return the places of a router's routes, or contexts where FastAPI has to tell."""
    routes = included.original_router.routes
    if all(isinstance(route, LateRoute) for route in routes):
        return [Place(route, included) for route in routes]
    found: Sequence[Any] = included.effective_candidates()
    return found


def places_in(routes: Sequence[BaseRoute]) -> Iterator[Any]:
    """Yield the places of all routes, those of included routers among them."""
    for route in routes:
        if hasattr(route, "original_router"):
            yield from _inside(route)
        else:
            yield from iter_route_contexts([route])


def _inside(included: Any) -> Iterator[Any]:
    for each in places_of(included):
        if hasattr(each, "original_router"):
            yield from _inside(each)
        elif isinstance(each, Place):
            yield each
        else:
            yield RouteContext(each.original_route, each)


def dependencies_in(
    routes: Sequence[Any], prefix: str = ""
) -> Iterator[tuple[str, Dependant]]:
    """Yield each path with what is solved for it; late routes are not built to tell."""
    for route in routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            place = route.include_context
            yield from _of_inclusion(place, f"{prefix}{place.prefix}")
            yield from dependencies_in(inner.routes, f"{prefix}{place.prefix}")
        elif isinstance(route, LateRoute):
            yield prefix + route.path, route.dependencies_alone
        elif isinstance(route, APIRoute | APIWebSocketRoute):
            yield prefix + route.path, route.dependant


def _of_inclusion(place: Any, path: str) -> Iterator[tuple[str, Dependant]]:
    if place.dependencies:
        # FastAPI reads them as those of a route that takes nothing else.
        route = APIRoute("/", _nothing, dependencies=place.dependencies)
        yield path, route.dependant


def _nothing() -> None:
    """Stand for an endpoint."""


def _route_of(context: Any) -> Any:
    return getattr(context, "original_route", None)
