"""Which of many routes comes first for a path, by one look at it.

A router asks each of its routes in turn. One regular expression of all of them finds
the same one, as long as each matches by its pattern and nothing else.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from fastapi.routing import APIRoute
from starlette.convertors import (
    FloatConvertor,
    IntegerConvertor,
    StringConvertor,
    UUIDConvertor,
)
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import Scope

from howdah.route.places import Place
from howdah.route.strict import StrictRoute

__all__ = ("Choice", "Routes", "is_sure", "path_of")


class Routes(list[BaseRoute]):
    """Routes that know how often one has been added."""

    changes = 0

    def append(self, route: BaseRoute, /) -> None:
        """Add a route."""
        self.changes += 1
        super().append(route)


class Choice:
    """Routes, in the order in which they are asked, at the place where they are.

    They are what FastAPI calls contexts: a route with its prefix and dependencies; or
    `Place`s, which get theirs when they are to answer.
    """

    def __init__(self, places: Sequence[Any]) -> None:
        methods = {method for each in places for method in each.methods or ()}
        self._all = _First(places)
        self._by_method = {
            method: _First([it for it in places if method in (it.methods or methods)])
            for method in methods
        }

    def matches(self, path: str) -> bool:
        """Say whether any route matches, whatever the method."""
        return self._all.of(path) is not None

    def first(self, scope: Scope, path: str) -> tuple[Any, Scope]:
        """Return the context that answers, and what it adds to the scope.

        None stands for what only asking the routes can tell.
        """
        routes = self._by_method.get(scope["method"])
        found = routes and routes.of(path)
        if not found:
            return None, {}
        route, match = found
        child = route.found(match, scope)
        if route.context is None or route.leaves(child["path_params"]):
            return None, {}
        return route.context, child


class _First:
    """Some routes, of which the first that matches is wanted."""

    def __init__(self, places: Sequence[Any]) -> None:
        self._routes = {f"_{n}": _Pattern(n, it) for n, it in enumerate(places)}
        # What matched is told by an empty group at its end: patterns that begin with
        # plain text are passed over ten times as fast as groups.
        forms = (f"{it.form}(?P<{name}>)" for name, it in self._routes.items())
        self._match = re.compile(f"(?:{'|'.join(forms)})$").match

    def of(self, path: str) -> "tuple[_Pattern, re.Match[str]] | None":
        """Return the first that matches, and how."""
        match = self._match(path)
        return match and (self._routes[match.lastgroup or ""], match)


class _Pattern:
    """One of many patterns, its parameters told from those of the others."""

    def __init__(self, number: int, place: Any) -> None:
        self._place = place
        self._route = route = place.original_route
        self._endpoint = getattr(place, "endpoint", None)
        self._parameters = [
            (name, f"_{number}_{name}", convertor.convert)
            for name, convertor in place.param_convertors.items()
        ]
        form = place.path_regex.pattern.removeprefix("^").removesuffix("$")
        form = form.replace("(?P<", f"(?P<_{number}_")
        strict = isinstance(route, StrictRoute)
        # A strict route does not mind the last slash.
        self.form = f"{form.removesuffix('/')}/?" if strict else form
        self.leaves = route.leaves if strict else _leaves_nothing

    @cached_property
    def context(self) -> Any:
        """The context that answers, None where FastAPI has none."""
        place = self._place
        return place.context if isinstance(place, Place) else place

    def found(self, match: re.Match[str], scope: Scope) -> Scope:
        """Return what the scope of a request has once the route is found."""
        own = {name: to(match[group]) for name, group, to in self._parameters}
        above = scope.get("path_params")
        return {
            "endpoint": self._endpoint,
            "path_params": {**above, **own} if above else own,
            "route": self._route,
        }


def _leaves_nothing(_: Mapping[str, Any]) -> bool:
    return False


def path_of(scope: Scope) -> str | None:
    """Return the path that routes are matched with, None where it is not plain."""
    if b"%2" in (scope.get("raw_path") or b""):
        # An escaped slash is no separator; see StrictRoute.
        return None
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    # As Starlette has it, where an app is mounted or stands behind a proxy.
    if not root or not path.startswith(root):
        return path
    rest = path[len(root) :]
    return rest if rest[:1] in {"", "/"} else path


_BY_PATTERN = (APIRoute.matches, Mount.matches, Route.matches)
_SEGMENTS = (FloatConvertor, IntegerConvertor, StringConvertor, UUIDConvertor)


def is_sure(place: Any) -> bool:
    """Say whether a route matches by its pattern alone."""
    route = place.original_route
    if isinstance(route, StrictRoute):
        # A parameter that takes slashes might take the last one as well.
        known = all(type(it) in _SEGMENTS for it in place.param_convertors.values())
        return known and type(route).matches is StrictRoute.matches
    return type(route).matches in _BY_PATTERN
