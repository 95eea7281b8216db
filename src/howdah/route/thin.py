"""A route that answers straight from the request where it may.

FastAPI's way to an endpoint (exit stacks, a tree of dependencies, parameters gathered
from five places) takes more time than the endpoint. What it would do is read from the
app that FastAPI has made for the route; where all of it is known, `solved` does it in
less. Everything else is left to FastAPI's way.
"""

import logging
import os
from typing import Any

from starlette.types import Receive, Scope, Send

from howdah.route.changes import Changes
from howdah.route.internals import UNTESTED, fastapi_handler, inner_code, is_unpatched
from howdah.route.late import Endpoint, LateRoute
from howdah.route.solved import THIN, Solved
from howdah.route.strict import StrictRoute

__all__ = ("THIN", "Decision", "ThinRoute", "why_switched_off")

_log = logging.getLogger("howdah.route")


def why_switched_off() -> str | None:
    """Return why all routes go FastAPI's way, None where they need not."""
    if os.environ.get("HOWDAH_DISPATCH") == "fastapi":
        return "HOWDAH_DISPATCH=fastapi"
    return UNTESTED


class ThinRoute(LateRoute):
    """A route that has two ways to an `Endpoint`, FastAPI's and a thin one."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the thin way where that is FastAPI's answer too, else its way."""
        # A router's own dependencies are known to the context in which it is included.
        place = scope.get("fastapi", {}).get("effective_route_context")
        if place is None or place.original_route is not self:
            place = self
        # FastAPI's telemetry follows its own way step by step.
        known = scope.get("fastapi.telemetry") is None and is_unpatched()
        thin = self.way(place, scope) if known else None
        unread = receive if thin is None else await thin.answer(scope, receive, send)
        if unread is not None:
            await self.handle_slowly(scope, unread, send)

    async def handle_slowly(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer FastAPI's way."""
        await super().handle(scope, receive, send)

    def way(self, place: Any, scope: Scope) -> Solved | None:
        """Return the thin way at a place, None where FastAPI's has to be gone."""
        known = vars(place)
        decision: Decision | None = known.get(_DECISION)
        if decision is None or decision.changes != Changes.count:
            decision = known[_DECISION] = self.decided(place)
        if decision.app is not known.get("app"):
            known.pop(_DECISION, None)
            return None
        return decision.way if scope["method"] in place.methods else None

    def decided(self, place: Any) -> "Decision":
        """Return which way requests go at a place, and say why it is not the thin."""
        app = place.app
        try:
            return Decision(self._way(app), app)
        except _NotThin as exc:
            said = {"action": "fastapi_way", "reason": str(exc)}
            _log.info("%s goes FastAPI's own way: %s", place.path, exc, extra=said)
            return Decision(None, app)

    def _way(self, app: Any) -> Solved:
        """Return the thin way that does what FastAPI's app does, or raise."""
        if (reason := why_switched_off()) is not None:
            raise _NotThin(reason)
        made = fastapi_handler(app, _STRICTLY)
        if made is None:
            raise _NotThin("its app is not FastAPI's own")
        if not isinstance(made["dependant"].call, Endpoint):
            raise _NotThin("it is no action of a resource")
        way = Solved.of(made, self.largest_body)
        if way is None:
            raise _NotThin("it has dependencies of kinds that FastAPI alone solves")
        return way


class Decision:
    """Which way a route goes at a place, until something changes."""

    __slots__ = ("app", "changes", "way")

    def __init__(self, way: Solved | None, app: Any) -> None:
        self.way = way
        self.app = app
        self.changes = Changes.count


class _NotThin(Exception):
    """Why a route goes FastAPI's way."""


_DECISION = "_howdah_decision"
_STRICTLY = inner_code(StrictRoute.get_route_handler, "strictly")
