"""The router of a resource: whatever else is put on it comes before the resource's own.

So a plain endpoint replaces an action, and a fixed path is never taken for a key: not
by a route that stands before it, nor by those of methods that it has not.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from howdah.route import NoticedList, ThinRoute

__all__ = ("PlacedRoute", "give_way")


class PlacedRoute(ThinRoute):
    """A route that leaves to others the paths that are theirs."""

    fixed: Collection[str] = ()
    """The paths without parameters that it leaves alone, without their last slash."""

    def leaves(self, values: Mapping[str, Any]) -> bool:
        """Say whether these parameters make the path of another route."""
        # Values may be those of a prefix, or of a mount, as well.
        has_own = "{" in self.path_format
        return has_own and self.path_format.format_map(values) in self.fixed


def give_way(router: APIRouter) -> None:
    """Let the routes of a router stand behind all that are added from now on."""
    router.routes = _Routes(router.routes)


class _Routes(NoticedList):
    """Routes in which new ones stand before those that were there at first."""

    def __init__(self, own: Iterable[BaseRoute]) -> None:
        super().__init__(own)
        self._added = 0
        self._own = frozenset(path for route in self for path in _fixed(route))
        self._fixed = set(self._own)
        for route in self:
            if isinstance(route, PlacedRoute):
                route.fixed = self._fixed

    def append(self, route: BaseRoute, /) -> None:
        """Put a route before the own ones; of those, it replaces what it answers."""
        self.insert(self._added, route)
        self._added += 1
        self._fixed.update(_fixed(route))
        if isinstance(route, PlacedRoute):
            # Among themselves they are matched in their order, as on any router.
            route.fixed = self._own
        if isinstance(route, APIRoute):
            own = (each for each in self[self._added :] if not _answers(route, each))
            self[self._added :] = list(own)


def _fixed(route: BaseRoute) -> Iterable[str]:
    if isinstance(route, APIRoute) and "{" not in route.path:
        yield route.path.rstrip("/")


def _answers(new: APIRoute, own: BaseRoute) -> bool:
    return (
        isinstance(own, APIRoute)
        and _form(new.path) == _form(own.path)
        and (own.methods or set()) <= (new.methods or set())
    )


def _form(path: str) -> str:
    """Return a path without its last slash, and without the names in it."""
    return re.sub(r"\{[^}]*\}", "{}", path.rstrip("/"))
