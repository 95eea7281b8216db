"""The router of a resource: whatever else is put on it comes before the resource's own.

So a plain endpoint replaces an action, and a fixed path is not taken for a key.
"""

import re
from collections.abc import Iterable

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from howdah.route import Routes

__all__ = ("give_way",)


def give_way(router: APIRouter) -> None:
    """Let the routes of a router stand behind all that are added from now on."""
    router.routes = _Routes(router.routes)


class _Routes(Routes):
    """Routes in which new ones stand before those that were there at first."""

    def __init__(self, own: Iterable[BaseRoute]) -> None:
        super().__init__(own)
        self._added = 0

    def append(self, route: BaseRoute, /) -> None:
        """Put a route before the own ones; of those, it replaces what it answers."""
        self.changes += 1
        self.insert(self._added, route)
        self._added += 1
        if isinstance(route, APIRoute):
            own = (each for each in self[self._added :] if not _answers(route, each))
            self[self._added :] = list(own)


def _answers(new: APIRoute, own: BaseRoute) -> bool:
    return (
        isinstance(own, APIRoute)
        and _form(new.path) == _form(own.path)
        and (own.methods or set()) <= (new.methods or set())
    )


def _form(path: str) -> str:
    """Return a path without its last slash, and without the names in it."""
    return re.sub(r"\{[^}]*\}", "{}", path.rstrip("/"))
