"""A router whose routes are built for FastAPI when they are to answer.

FastAPI asks each route of an included router in turn, twice for each request. A path
that none of them matches is seen here by one look.
"""

from typing import Any

from fastapi import APIRouter
from starlette.routing import Match
from starlette.types import Scope

from howdah.route.changes import Changes, Noticed, NoticedList
from howdah.route.choice import is_sure, path_of, pattern_of
from howdah.route.contexts import LateContext, routes_in
from howdah.route.internals import UNTESTED, Candidates, Inclusion

__all__ = ("QuickRouter",)


class QuickRouter(Noticed, APIRouter):
    """A router that costs little where another one includes it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.routes = NoticedList(self.routes)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match as any router does, its routes made when they are first asked."""
        included = scope.get("fastapi", {}).get("included_router")
        ours = isinstance(included, Inclusion) and included.original_router is self
        if ours and UNTESTED is None:
            path = path_of(scope) if scope["type"] == "http" else None
            if path is not None and _is_elsewhere(routes_in(included), path):
                return Match.NONE, {}
        return super().matches(scope)


def _is_elsewhere(routes: list[Any], path: str) -> bool:
    """Return whether a path is surely none of these routes'."""
    if not isinstance(routes, Candidates):
        return False
    if routes.looked_at != Changes.count:
        routes.looked_at, routes.pattern = Changes.count, None
        if all(type(it) is LateContext and is_sure(it) for it in routes):
            routes.pattern = pattern_of(routes)
    return routes.pattern is not None and routes.pattern.match(path) is None
