"""Which of many routes comes first for a path, by one look at it.

A router asks each of its routes in turn. One regular expression of all of them finds
the same one, as long as each matches by its pattern and nothing else.
"""

import re
from collections.abc import Sequence
from typing import Any, Protocol

from starlette.convertors import (
    Convertor,
    FloatConvertor,
    IntegerConvertor,
    PathConvertor,
    StringConvertor,
    UUIDConvertor,
)
from starlette.types import Scope

from howdah.route.internals import matches_by_pattern
from howdah.route.strict import StrictRoute

__all__ = ("Choice", "Matched", "is_sure", "path_of", "pattern_of")


class Matched(Protocol):
    """A route at its place, as far as matching asks."""

    endpoint: Any
    methods: Any
    path_regex: re.Pattern[str]
    param_convertors: dict[str, Convertor[Any]]

    @property
    def route(self) -> Any:
        """The route itself."""


class Choice:
    """Routes, in the order in which they are asked, at the place where they are."""

    def __init__(self, places: Sequence[Matched]) -> None:
        methods = {method for each in places for method in each.methods or ()}
        self._by_method = {
            method: _First([it for it in places if method in (it.methods or methods)])
            for method in methods
            # A strict route answers HEAD as GET, which only asking it tells.
            if method != "HEAD"
        }

    def first(self, scope: Scope, path: str) -> tuple[Any, Scope]:
        """Return the place of the route that answers, and what it adds to the scope.

        None stands for what only asking the routes can tell.
        """
        routes = self._by_method.get(scope["method"])
        match = None if routes is None else routes.match(path)
        if routes is None or match is None:
            return None, {}
        route = routes.by_group[match.lastgroup or ""]
        try:
            own = {name: to(match[group]) for name, group, to in route.parameters}
        except ValueError:
            # A convertor cannot read it, and FastAPI says what follows from that.
            return None, {}
        if own and route.leaves(own):
            return None, {}
        above = scope.get("path_params")
        return route.place, {
            "endpoint": route.endpoint,
            "path_params": {**above, **own} if above else own,
            "route": route.route,
        }


def pattern_of(places: Sequence[Matched]) -> re.Pattern[str]:
    """Return what matches each path that any of the routes match."""
    forms = {_Pattern(0, it).form for it in places}
    # Their parameters have no names here, which may stand once in a pattern only.
    plain = sorted(re.sub(r"\(\?P<\w+>", "(?:", form) for form in forms)
    return re.compile(f"(?:{'|'.join(plain)})$" if plain else "(?!)")


class _First:
    """Some routes, of which the first that matches is wanted."""

    def __init__(self, places: Sequence[Any]) -> None:
        self.by_group = {f"_{n}": _Pattern(n, it) for n, it in enumerate(places)}
        # What matched is told by an empty group at its end: patterns that begin with
        # plain text are passed over ten times as fast as groups.
        forms = (f"{it.form}(?P<{name}>)" for name, it in self.by_group.items())
        self.match = re.compile(f"(?:{'|'.join(forms)})$").match


class _Pattern:
    """One of many patterns, its parameters told from those of the others."""

    def __init__(self, number: int, place: Matched) -> None:
        self.place = place
        self.route = route = place.route
        self.endpoint = place.endpoint
        self.parameters = [
            (name, f"_{number}_{name}", convertor.convert)
            for name, convertor in place.param_convertors.items()
        ]
        form = place.path_regex.pattern.removeprefix("^").removesuffix("$")
        form = form.replace("(?P<", f"(?P<_{number}_")
        strict = isinstance(route, StrictRoute)
        # A strict route does not mind the last slash.
        self.form = f"{form.removesuffix('/')}/?" if strict else form
        self.leaves = route.leaves if strict else _leaves_nothing


def _leaves_nothing(_: Any) -> bool:
    return False


def path_of(scope: Scope) -> str | None:
    """Return the path that routes are matched with, None where it is not plain."""
    path: str = scope["path"]
    if b"%2" in (scope.get("raw_path") or b"") or "\n" in path:
        # An escaped slash is no separator; see StrictRoute. A `$` matches before a
        # last line feed as well.
        return None
    root: str = scope.get("root_path", "")
    # As Starlette has it, where an app is mounted or stands behind a proxy.
    if not root or not path.startswith(root):
        return path
    rest = path[len(root) :]
    # What is left of the root itself is no path that a slash could be added to.
    return None if not rest else rest if rest[0] == "/" else path


_SEGMENTS = (FloatConvertor, IntegerConvertor, StringConvertor, UUIDConvertor)
_OF_STARLETTE = (*_SEGMENTS, PathConvertor)
_strict_matches = StrictRoute.matches


def is_sure(place: Matched) -> bool:
    """Return whether a route matches by its pattern alone."""
    route, convertors = place.route, place.param_convertors.values()
    kind: Any = type(route)
    plain = kind.__getattribute__ is object.__getattribute__
    if not plain or "matches" in vars(route):
        return False
    if isinstance(route, StrictRoute):
        # A parameter that takes slashes might take the last one as well.
        known = all(type(it) in _SEGMENTS for it in convertors)
        return known and type(route).matches is _strict_matches
    known = all(type(it) in _OF_STARLETTE for it in convertors)
    return known and matches_by_pattern(route)
