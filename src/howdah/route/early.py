"""Requests whose route is found by one look, in the place of the app's router.

Stands where the router stands: whatever is around the router, of any kind and added at
any time, is around this as well. What is known of the app holds for exactly what was
looked at; a request that meets anything else goes to the router, as if nothing had been
here, and a line in the log says why.
"""

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from fastapi import APIRouter
from starlette.types import ASGIApp, Receive, Scope, Send

from howdah.route.changes import Changes
from howdah.route.choice import path_of
from howdah.route.internals import (
    apply_form_limits,
    around_exceptions,
    handle_error,
    handlers_of,
    is_plain_router_app,
    is_unpatched,
    read_layers,
    replaced_functions,
)
from howdah.route.table import Place, Table
from howdah.route.thin import why_switched_off

__all__ = ("EarlyRoutes",)

_log = logging.getLogger("howdah.route")


class EarlyRoutes:
    """A router's app that finds routes of ours without asking all others."""

    def __init__(self, app: ASGIApp, *, router: APIRouter) -> None:
        self.app = app
        self._router = router
        self._table: Table | None = None
        self._told: set[str] = set()

    @classmethod
    def install(cls, router: APIRouter) -> None:
        """Put it in the place of a router's app, once.

        A router that has something else there already keeps it: FastAPI's own way.
        """
        current = router.middleware_stack
        if isinstance(current, cls):
            return
        reason = why_switched_off()
        if reason is None and not is_plain_router_app(router):
            reason = "the app's router has an app of its own"
        if reason is None:
            router.middleware_stack = cls(current, router=router)
        else:
            _tell(reason)

    @staticmethod
    def shorten(stack: ASGIApp, router: APIRouter) -> ASGIApp:
        """Return an app's middleware, with a short cut past FastAPI's innermost."""
        early = router.middleware_stack
        if isinstance(early, EarlyRoutes):
            around = around_exceptions(stack, router)
            if around is not None:
                # A layer that keeps what is inside of it to itself is left alone.
                with suppress(AttributeError):
                    around.app = ShortCut(around.app, early)
        return stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a route of ours answer, or the router find who does."""
        begun: Begun = scope.pop(_BEGUN, None) or Begun(*self.found(scope))
        if begun.failed is not None:
            await begun.failed(receive, send)
            return
        if begun.place is None:
            await self.app(scope, receive, send)
            return
        self.enter(begun.place, begun.child, scope)
        unread: Receive | None = receive
        if not begun.is_left and (way := begun.place.way()) is not None:
            unread = await way.answer(scope, receive, send)
        if unread is not None:
            self._limit_forms(begun.place, scope)
            await begun.place.route.handle_slowly(scope, unread, send)

    def enter(self, place: Place, child: Scope, scope: Scope) -> None:
        """Leave in a scope what the routers on the way leave there."""
        scope.setdefault("router", self._router)
        if place.inclusions:
            known = scope.setdefault("fastapi", {})
            known["included_router"] = place.inclusions[-1]
            known["effective_route_context"] = place.context
        scope.update(child)

    def _limit_forms(self, place: Place, scope: Scope) -> None:
        """Leave in the scope what routers say of forms, which FastAPI alone reads."""
        included = (each.include_context for each in place.inclusions)
        for router in (self._router, *included):
            apply_form_limits(scope, router.form_limits)

    def found(self, scope: Scope) -> tuple[Place | None, Scope]:
        """Return the place of a route of ours that answers, and what it adds.

        None stands for whatever the router finds.
        """
        path = path_of(scope) if scope["type"] == "http" else None
        # FastAPI's telemetry follows its own way step by step.
        if path is None or scope.get("fastapi.telemetry") is not None:
            return _NOBODY
        table = self._table
        if (
            table is None
            or table.changes != Changes.count
            or table.length != len(self._router.routes)
        ):
            if not is_unpatched():
                return self._patched()
            table = self._table = self._looked_at()
        place, child = table.first(scope, path)
        if place is None or not place.is_thin:
            return _NOBODY
        if not is_unpatched():
            return self._patched()
        if not (place.watch.holds() if place.watch else table.holds(place)):
            # The next request has them read again.
            self._table = None
            _log.info("the app's routes have changed; FastAPI finds one for a request")
            return _NOBODY
        return place, child

    def _patched(self) -> tuple[None, Scope]:
        self._tell(f"{', '.join(replaced_functions())} was replaced")
        return _NOBODY

    def _looked_at(self) -> Table:
        table = Table(self._router)
        for reason in table.reasons:
            self._tell(reason)
        return table

    def _tell(self, reason: str) -> None:
        """Log why requests go another way, once for each reason."""
        if reason not in self._told and len(self._told) < _MOST_TOLD:
            self._told.add(reason)
            _tell(reason)


def _tell(reason: str) -> None:
    said = {"action": "fastapi_way", "reason": reason}
    _log.warning("requests go FastAPI's own way: %s", reason, extra=said)


class ShortCut:
    """A way past FastAPI's two innermost layers for what they have nothing to do for.

    They catch exceptions and close files. Where they and the router inside of them are
    FastAPI's own, untouched, an answer of the thin way passes them by. Every other
    request, and every exception, goes through them.
    """

    def __init__(self, app: Any, early: EarlyRoutes) -> None:
        self.app = app
        self._early = early
        self._known = read_layers(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let FastAPI's layers and the router do it."""
        if scope["type"] != "http" or read_layers(self.app) != self._known:
            await self.app(scope, receive, send)
            return
        place, child = self._early.found(scope)
        way = None if place is None else place.way()
        if place is None or way is None or not way.is_closed:
            scope[_BEGUN] = Begun(place, child)
            await self.app(scope, receive, send)
            return
        scope["starlette.exception_handlers"] = handlers_of(self.app)
        self._early.enter(place, child, scope)
        request = way.request(scope, receive, send)
        try:
            response = await way.respond(request)
        except Exception as exc:  # noqa: BLE001 - the app's handlers are for any
            scope[_BEGUN] = Begun(failed=partial(handle_error, exc, request))
            await self.app(scope, request.receive, send)
            return
        if response is None:
            scope[_BEGUN] = Begun(place, child, is_left=True)
            await self.app(scope, request.receive, send)
            return
        try:
            await response(scope, request.receive, send)
        except Exception as exc:  # noqa: BLE001 - as above
            await handle_error(exc, request, request.receive, send, started=True)


@dataclass(slots=True)
class Begun:
    """What is known of a request already where the router stands."""

    place: Place | None = None
    child: Scope = field(default_factory=dict)
    is_left: bool = False
    """Whether the thin way has left it to FastAPI's."""
    failed: Callable[[Receive, Send], Awaitable[None]] | None = None
    """Lets the app's handlers answer an exception that was raised for it."""


_BEGUN = "howdah.begun"
_NOBODY: tuple[None, Scope] = (None, {})
_MOST_TOLD = 100
