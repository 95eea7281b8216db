"""Requests that are answered before the app has looked for their route.

Middleware that stands inside of all other: what people put around their app is around
this as well. What is not for a thin route goes on to the app as if nothing had been
here, and so does an error, to be raised where the app would have met it.
"""

from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from howdah.route.choice import Choice, Routes, is_sure, path_of
from howdah.route.heard import Heard
from howdah.route.places import places_in
from howdah.route.quick import QuickRouter
from howdah.route.thin import THIN, Raised, ThinRoute, Way

__all__ = ("EarlyRoutes",)


class EarlyRoutes:
    """Answers as the thin route would that an app has for a request."""

    def __init__(self, app: ASGIApp, *, router: APIRouter) -> None:
        self.app = app
        self._router = router
        self._known = _Known(router)

    @classmethod
    def install(cls, app: FastAPI) -> None:
        """Put it inside of all middleware there is, and that there will be; once."""
        known: list[Any] = [each.cls for each in app.user_middleware]
        if cls not in known:
            app.user_middleware.append(Middleware(cls, router=app.router))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the app do it."""
        place, child, thin = self._found(scope)
        if thin is None:
            await self.app(scope, receive, send)
            return
        heard, before = Heard(receive), dict(scope)
        try:
            asked = thin.read(scope, child["path_params"], heard)
            if thin.has_body and asked is not None:
                asked = await thin.read_body(asked, scope, heard)
            if asked is not None:
                scope.update(child)
                scope[THIN] = True
                scope.setdefault("router", self._router)
                above = before.get("fastapi", {})
                scope["fastapi"] = {**above, "effective_route_context": place}
                response = await thin.answer(asked)
        except Exception as exc:  # noqa: BLE001 - the app's handlers are for any
            Raised(exc).put(scope, before)
            asked = None
        if asked is None:
            await self.app(scope, heard, send)
        else:
            await response(scope, heard, send)

    def _found(self, scope: Scope) -> tuple[Any, Scope, Way | None]:
        path = path_of(scope) if scope["type"] == "http" else None
        if path is None:
            return _NOBODY
        if not self._known.holds():
            self._known = _Known(self._router)
        place, child = self._known.choice.first(scope, path)
        route = place and place.original_route
        if not isinstance(route, ThinRoute) or type(route).handle != ThinRoute.handle:
            return _NOBODY
        return place, child, route.way(place, scope)


_NOBODY: tuple[Any, Scope, None] = (None, {}, None)


class _Known:
    """The routes of an app, until they change."""

    def __init__(self, router: APIRouter) -> None:
        routers = [router, *_included(router.routes)]
        self._router = router
        self._lists = [each.routes for each in routers]
        self._changing = [each for each in self._lists if isinstance(each, Routes)]
        self._counted = self._count()
        plain = type(router).app is APIRouter.app and all(
            type(each).matches in _MATCHES for each in routers
        )
        places = (
            each
            for each in places_in(router.routes if plain else ())
            if not isinstance(each.original_route, WebSocketRoute)
        )
        # Behind a route that may match anything, nothing is known.
        self.choice = Choice(tuple(takewhile(is_sure, places)))

    def holds(self) -> bool:
        """Say whether nothing has changed since."""
        return self._lists[0] is self._router.routes and self._counted == self._count()

    def _count(self) -> list[int]:
        return [*map(len, self._lists), *[each.changes for each in self._changing]]


_MATCHES = (APIRouter.matches, QuickRouter.matches)


def _included(routes: Sequence[BaseRoute]) -> Iterator[APIRouter]:
    for route in routes:
        router = getattr(route, "original_router", None)
        if router is not None:
            yield router
            yield from _included(router.routes)
