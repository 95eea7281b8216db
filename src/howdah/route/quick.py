"""A router that finds its route by one look at the path.

FastAPI asks each route of an included router in turn, twice for each request. Where
`choice` cannot tell which one it is, FastAPI asks them as ever.
"""

from typing import Any

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from howdah.route.choice import Choice, Routes, is_sure, path_of
from howdah.route.places import places_of

__all__ = ("QuickRouter",)


class QuickRouter(APIRouter):
    """A router that is quick where another one includes it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.routes = Routes(self.routes)
        # By the place in which the router is included; each has its own prefix.
        self._tables: dict[int, _Table] = {}

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match as any router does, and remember the route that is to answer."""
        place = scope.get("fastapi", {}).get("included_router")
        path, table = path_of(scope), self._table(place)
        if path is None or table is None or scope["type"] != "http":
            return super().matches(scope)
        if not table.choice.matches(path):
            return Match.NONE, {}
        context, child = table.choice.first(scope, path)
        if context is None or scope.get("fastapi.telemetry") is not None:
            return super().matches(scope)
        scope[_CHOSEN] = (place, context, child)
        return Match.FULL, child

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


class _Table:
    """The routes of a router at one place, until they change."""

    def __init__(self, place: Any, routes: list[BaseRoute]) -> None:
        places = places_of(place)
        self._place, self._routes = place, routes
        self._changes = getattr(routes, "changes", None)
        self.is_sure = self._changes is not None and all(map(_is_known, places))
        self.choice = Choice(places if self.is_sure else ())

    def holds(self, place: Any, routes: list[BaseRoute]) -> bool:
        """Say whether nothing has changed since."""
        same = self._place is place and self._routes is routes
        return same and self._changes == getattr(routes, "changes", None)


def _is_known(place: Any) -> bool:
    """Say whether it is a route of FastAPI's kind, and no router or mount."""
    route = getattr(place, "original_route", None)
    return isinstance(route, APIRoute) and is_sure(place)
