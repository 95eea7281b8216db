"""A router that finds its route by one look at the path.

FastAPI asks each route of an included router in turn, twice for each request. Here one
regular expression asks all routes of a method at once, and the first that may match is
asked itself. Where that cannot tell, FastAPI asks them all.
"""

import re
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from howdah.route.strict import StrictRoute

__all__ = ("QuickRouter", "Routes")


class Routes(list[BaseRoute]):
    """Routes that know how often one has been added."""

    changes = 0

    def append(self, route: BaseRoute, /) -> None:
        """Add a route."""
        self.changes += 1
        super().append(route)


class QuickRouter(APIRouter):
    """A router of strict routes, which is quick where another one includes it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.routes = Routes(self.routes)
        # By the place in which the router is included; each has its own prefix.
        self._tables: dict[int, _Table] = {}

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match as any router does, and remember the route that is to answer."""
        place = scope.get("fastapi", {}).get("included_router")
        table = self._table(place) if _is_plain(scope) else None
        if table is None:
            return super().matches(scope)
        path, method = scope["path"], scope["method"]
        if not table.all.first(path):
            return Match.NONE, {}
        context = table.methods[method].first(path) if method in table.methods else None
        match, child = _asked(context, scope) if context else (Match.NONE, {})
        if match is not Match.FULL:
            return super().matches(scope)
        scope[_CHOSEN] = (place, context, child)
        return match, child

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the route answer that has been found."""
        place, context, child = scope.pop(_CHOSEN, (None, None, None))
        if place is None or scope["fastapi"].get("included_router") is not place:
            await super().handle(scope, receive, send)
            return
        scope.update(child)
        scope["fastapi"]["effective_route_context"] = context
        await context.original_route.handle(scope, receive, send)

    def _table(self, place: Any) -> "_Table | None":
        """Return what is known of the routes as a place includes them."""
        if getattr(place, "original_router", None) is not self:
            return None
        table = self._tables.get(id(place))
        if table is None or not table.holds(place, self.routes):
            table = self._tables[id(place)] = _Table(place, self.routes)
        return table if table.is_sure else None


_CHOSEN = "howdah.chosen"


def _is_plain(scope: Scope) -> bool:
    """Say whether the path is what routes are matched with, and nobody follows."""
    root: str = scope.get("root_path", "")
    return (
        scope["type"] == "http"
        and not (root and scope["path"].startswith(root))
        # An escaped slash is no separator; see StrictRoute.
        and b"%2" not in (scope.get("raw_path") or b"")
        and scope.get("fastapi.telemetry") is None
    )


def _asked(context: Any, scope: Scope) -> tuple[Match, Scope]:
    """Return what a route says itself, as FastAPI asks it."""
    scope["fastapi"]["effective_route_context"] = context
    try:
        match, child = context.original_route.matches(scope)
    finally:
        del scope["fastapi"]["effective_route_context"]
    return match, child


class _Table:
    """What is known of the routes of a router at one place."""

    def __init__(self, place: Any, routes: list[BaseRoute]) -> None:
        contexts = place.effective_candidates()
        self._place, self._routes = place, routes
        self._changes = getattr(routes, "changes", None)
        self.is_sure = self._changes is not None and all(map(_is_strict, contexts))
        known = contexts if self.is_sure else ()
        methods = {method for each in known for method in each.methods}
        self.all = _Choice(known)
        self.methods = {
            method: _Choice([each for each in known if method in each.methods])
            for method in methods
        }

    def holds(self, place: Any, routes: list[BaseRoute]) -> bool:
        """Say whether nothing has changed since."""
        same = self._place is place and self._routes is routes
        return same and self._changes == getattr(routes, "changes", None)


class _Choice:
    """Routes of which the first that may match a path is wanted."""

    def __init__(self, contexts: Sequence[Any]) -> None:
        self._contexts = contexts
        forms = (f"(?P<_{n}>{_form(each)})" for n, each in enumerate(contexts))
        self._match = re.compile(f"(?:{'|'.join(forms)})$").match

    def first(self, path: str) -> Any:
        """Return the context of the route, or None where no path is like this."""
        match = self._match(path)
        return match and self._contexts[int(str(match.lastgroup)[1:])]


def _form(context: Any) -> str:
    """Return the pattern of a path, with and without its last slash."""
    pattern = context.path_regex.pattern.removeprefix("^").removesuffix("$")
    return re.sub(r"\(\?P<\w+>", "(?:", pattern.removesuffix("/")) + "/?"


def _is_strict(context: Any) -> bool:
    route = getattr(context, "original_route", None)
    return isinstance(route, StrictRoute) and type(route).matches is StrictRoute.matches
