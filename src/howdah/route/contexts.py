"""Routes at the places where routers include them, built when somebody looks closer.

FastAPI builds a route once more for each inclusion, in all its parts, before it looks
at the first path. What matching asks for is worked out here; the rest is built by
FastAPI when it is asked for, from what the inclusion said when it was first matched.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Self

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, APIWebSocketRoute
from starlette.routing import compile_path

from howdah.route.changes import Noticed
from howdah.route.internals import (
    EffectiveContext,
    Inclusion,
    builds_as_it_came,
    candidates_of,
)
from howdah.route.late import BUILDING, LateRoute

__all__ = ("LateContext", "dependencies_in", "routes_in")


class LateContext(Noticed, EffectiveContext):
    """A `LateRoute` at a place where it is included."""

    def __init__(self, included: Inclusion, route: LateRoute) -> None:
        there = included.include_context
        path = there.path_for(route)
        regex, path_format, convertors = compile_path(path)
        vars(self).update(
            _included=replace(there, dependencies=[*there.dependencies]),
            endpoint=route.endpoint,
            methods=set(route.methods or ()),
            name=route.name,
            original_route=route,
            param_convertors=convertors,
            path=path,
            path_format=path_format,
            path_regex=regex,
        )

    @classmethod
    def of(cls, included: Inclusion, route: Any) -> Self | None:
        """Return a route in its place, None for one that FastAPI builds at once."""
        is_late = isinstance(route, LateRoute) and route.is_late
        return cls(included, route) if is_late and builds_as_it_came() else None

    @property
    def route(self) -> Any:
        """The route itself, for what matches."""
        return self.original_route

    def build(self) -> None:
        """Let FastAPI build the rest; what has been changed here stays."""
        with BUILDING:
            built = EffectiveContext.from_api_route(
                original_route=self.original_route,  # type: ignore[arg-type] # a LateRoute
                include_context=vars(self)["_included"],
            )
            vars(self).update({**vars(built), **vars(self)})


class _Built:
    """An attribute of a context that is there once the context is built."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, context: LateContext | None, owner: type) -> Any:
        if context is None:
            return self
        context.build()
        return vars(context)[self._name]


_AT_ONCE = {
    "endpoint",
    "frontend_prefix",
    "methods",
    "name",
    "original_route",
    "param_convertors",
    "path",
    "path_format",
    "path_regex",
    "starlette_route",
}
for _name in {*getattr(EffectiveContext, "__dataclass_fields__", ())} - _AT_ONCE:
    setattr(LateContext, _name, _Built(_name))


def routes_in(included: Inclusion) -> list[Any]:
    """Return the routes of an inclusion at their places, as FastAPI would ask them."""
    return candidates_of(included, LateContext.of)


def dependencies_in(routes: Any, prefix: str = "") -> Iterator[tuple[str, Dependant]]:
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
