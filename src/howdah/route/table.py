"""The routes of an app as FastAPI would ask them, and whether they still are the same.

What is known here is known of exactly the routers, lists, inclusions and routes that
were looked at. A route that may match anything ends the table: what stands behind it
is for FastAPI to find.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from operator import attrgetter, is_, itemgetter
from types import SimpleNamespace
from typing import Any, NamedTuple, Self

from fastapi import APIRouter
from starlette.routing import BaseRoute, Mount, compile_path

from howdah.route.changes import Changes, Noticed
from howdah.route.choice import Choice, is_sure
from howdah.route.contexts import routes_in
from howdah.route.internals import (
    Inclusion,
    asks_for_other_types,
    combined,
    effective,
    is_plain_inclusion,
    known_candidates,
    version_of,
)
from howdah.route.late import LateRoute
from howdah.route.quick import QuickRouter
from howdah.route.solved import Solved
from howdah.route.thin import Decision, ThinRoute

__all__ = ("Place", "Table")


@dataclass(eq=False, slots=True)
class Place:
    """A route where FastAPI would ask it."""

    route: Any
    number: int
    """Of the app's own routes, which one it is or is inside of."""
    endpoint: Any
    methods: Any
    path_regex: Any
    param_convertors: Any
    context: Any = None
    """FastAPI's context of an included route, once FastAPI would have made it."""
    inclusions: tuple[Any, ...] = ()
    is_thin: bool = False
    """Whether the route is one of ours, and handles requests by our own method."""
    watch: "Watch | None" = None
    """Whether FastAPI would find it still; None until FastAPI has made it once."""
    decision: Decision | None = None
    """Which way its route goes, as long as nothing changes."""

    def way(self) -> Solved | None:
        """Return the thin way of the route there, None where it goes FastAPI's."""
        there = self.context or self.route
        if self.decision is None:
            self.decision = self.route.decided(there)
        return self.decision.way if self.decision.app is there.app else None


class Table:
    """The routes of a router up to the first that is unknown."""

    def __init__(self, router: APIRouter) -> None:
        self.changes = Changes.count
        self.reasons: list[str] = []
        """Why requests of some routes go FastAPI's way."""
        self._router, self._list = router, router.routes
        self.length = len(router.routes)
        self._looks: list[_Look] = []
        self._watches: dict[int, Watch] = {}
        self._made = 0
        places: list[Place] = []
        try:
            for number, route in enumerate(router.routes):
                self._looks.append(_Look(route))
                places.extend(_places_of(route, number))
        except Unknown as exc:
            self.reasons.append(f"{exc}, and others stand behind it")
        except Exception as exc:  # noqa: BLE001 - of objects of any kind
            self.reasons.append(f"the app's routes cannot be read: {exc!r}")
        self._places = places
        self._find_thin()
        self.first = Choice(places).first
        """Returns the place of the route that answers, and what it adds to a scope."""
        self._numbers = {id(place): n for n, place in enumerate(places)}

    def _find_thin(self) -> None:
        """Mark the places whose routes are ours, and handle requests as ours do."""
        for place in self._places:
            if isinstance(place.route, ThinRoute):
                reason = _own_handle(place.route)
                place.is_thin = reason is None
                if reason is not None and reason not in self.reasons:
                    self.reasons.append(reason)

    def holds(self, place: Place) -> bool:
        """Return whether FastAPI would find this very place, nothing before it."""
        if place.watch is not None:
            return place.watch.holds()
        watch = self._watches.get(place.number)
        if watch is None:
            looks = self._looks[: place.number + 1]
            watch = Watch(self._router, self._list, looks)
            self._watches[place.number] = watch
        if not watch.holds() or not self._make_up_to(place):
            return False
        place.watch = watch
        return True

    def _make_up_to(self, place: Place) -> bool:
        """Let FastAPI make the routes that it would make to find this one.

        Returns False where they are others than those that were looked at.
        """
        wanted = self._numbers[id(place)] + 1
        if wanted > self._made:
            made = list(islice(_made(self._router.routes), wanted))
            if not all(map(_is_of, self._places, made)) or len(made) < wanted:
                return False
            for known, (context, inclusions) in zip(self._places, made, strict=False):
                known.context = context if inclusions else None
                known.inclusions = inclusions
            self._made = wanted
        return True


_handle = ThinRoute.handle


def _own_handle(route: ThinRoute) -> str | None:
    """Return what has a `handle` that is not ours, None where nothing has."""
    if "handle" in vars(route):
        return f"{route!r} has a handle of its own"
    if type(route).handle is not _handle:
        # The class itself is made for one resource, of a class that people have made.
        return f"{type(route).__bases__[0].__qualname__} has a handle of its own"
    return None


class Unknown(Exception):
    """A route, a router or an inclusion of which nobody knows what it may do."""


def _places_of(route: Any, number: int) -> Iterator[Place]:
    """Yield the places of a route of the app's own, or of those that it includes."""
    if isinstance(route, Inclusion):
        yield from _inside(route, number)
    elif not asks_for_other_types(route):
        yield _sure(route, number, route)


def _inside(included: Inclusion, number: int) -> Iterator[Place]:
    """Yield the places of an inclusion: those that FastAPI has, or would have."""
    if not is_plain_inclusion(included, _MATCHES):
        raise Unknown(f"the inclusion of {included.original_router!r} has own methods")
    known = known_candidates(included)
    for each in included.original_router.routes if known is None else known:
        route = getattr(each, "original_route", each)
        if isinstance(each, Inclusion):
            inner = combined(included, each) if known is None else each
            yield from _inside(inner, number)
        elif not asks_for_other_types(route):
            there = _as_included(route, included) if known is None else effective(each)
            yield _sure(route, number, there)


_MATCHES = (APIRouter.matches, QuickRouter.matches)


def _sure(route: Any, number: int, there: Any) -> Place:
    """Return the place of a route that is somewhere, or raise Unknown."""
    try:
        place = Place(
            route=route,
            number=number,
            endpoint=getattr(there, "endpoint", None),
            methods=getattr(there, "methods", None),
            path_regex=there.path_regex,
            param_convertors=there.param_convertors,
        )
    except AttributeError:
        raise Unknown(f"{route!r} has no path") from None
    if not is_sure(place) or not _is_as_written(there):
        raise Unknown(f"{route!r} may match any path")
    return place


def _is_as_written(there: Any) -> bool:
    """Return whether the pattern of a route is that of its path, and nobody's own."""
    path: str = there.path
    if "path" in there.param_convertors and not path.endswith("{path:path}"):
        path = f"{path}/{{path:path}}"
    return bool(there.path_regex == _pattern_of(path))


@lru_cache(maxsize=4096)
def _pattern_of(path: str) -> re.Pattern[str]:
    return compile_path(path)[0]


def _as_included(route: Any, included: Inclusion) -> Any:
    """Return a route as FastAPI would match it there."""
    path = getattr(route, "path", None)
    if path is None:
        return route
    path = included.include_context.path_for(route)
    if isinstance(route, Mount):
        path = f"{path.rstrip('/')}/{{path:path}}"
    regex, _, convertors = compile_path(path)
    return SimpleNamespace(
        path=path,
        endpoint=getattr(route, "endpoint", None),
        methods=getattr(route, "methods", None),
        path_regex=regex,
        param_convertors=convertors,
    )


Made = tuple[Any, tuple[Inclusion, ...]]


def _made(routes: Iterable[Any]) -> Iterator[Made]:
    """Yield routes as FastAPI has made them, with the inclusions that lead to them."""
    for route in routes:
        if isinstance(route, Inclusion):
            yield from _made_inside((route,))
        elif not asks_for_other_types(route):
            yield route, ()


def _made_inside(inclusions: tuple[Inclusion, ...]) -> Iterator[Made]:
    for each in routes_in(inclusions[-1]):
        if isinstance(each, Inclusion):
            yield from _made_inside((*inclusions, each))
        elif not asks_for_other_types(each.original_route):
            yield each, inclusions


def _is_of(place: Place, made: Made) -> bool:
    """Return whether a route that FastAPI has made is that of a place."""
    context, inclusions = made
    route = context.original_route if inclusions else context
    there = effective(context) if inclusions else context
    return (
        route is place.route
        and there.path_regex.pattern == place.path_regex.pattern
        and set(getattr(there, "methods", None) or ()) == set(place.methods or ())
    )


class _Look:
    """What a route of the app's own was like, and all that it includes.

    Routes and routers of ours count their changes themselves, see `changes`; of one
    that stands on the app itself, the set of methods does not.
    """

    def __init__(self, route: Any) -> None:
        self.route = route
        self.seen: list[_Seen] = []
        self.routers: list[_Router] = []
        self._classes: set[type[Any]] = set()
        self._look_at(route)
        if isinstance(route, LateRoute):
            self.seen.append(_Seen.of(route))

    def _look_at(self, route: Any) -> None:
        if not isinstance(route, BaseRoute):
            raise Unknown(f"{route!r} is no route of Starlette's")
        if not isinstance(route, LateRoute):
            self.seen.append(_Seen.of(route))
        elif type(route) not in self._classes:
            self._classes.add(type(route))
            if any(map(_is_of_people, type(route).__mro__)):
                self.seen.append(_Seen.of_class(type(route)))
        if isinstance(route, Inclusion):
            router = route.original_router
            if not isinstance(router, QuickRouter):
                self.seen.append(_Seen.of(router))
                self.routers.append(_Router(router))
            for each in router.routes:
                self._look_at(each)


def _is_of_people(kind: type[Any]) -> bool:
    """Return whether a class is neither ours nor FastAPI's, and tells no change."""
    known = isinstance(kind, type(Noticed)) or kind is object
    return not known and not kind.__module__.startswith(("fastapi.", "starlette."))


class _Seen(NamedTuple):
    """An object, and what it was found by; its methods tell of its class as well."""

    it: Any
    names: tuple[str, ...]
    values: tuple[Any, ...]

    @classmethod
    def of(cls, it: Any) -> Self:
        """Look at an object."""
        found_by = (name for name in _FOUND_BY if hasattr(it, name))
        names = ("matches", "handle", *found_by)
        values = {name: getattr(it, name) for name in names}
        if "methods" in values:
            # Compared with what they were, and not with themselves.
            values["methods"] = copy(values["methods"])
        return cls(it, names, tuple(values.values()))

    @classmethod
    def of_class(cls, kind: type[Any]) -> Self:
        """Look at a class of routes."""
        names = ("matches", "handle", "__getattribute__")
        return cls(kind, names, tuple(getattr(kind, name) for name in names))


_FOUND_BY = ("path_regex", "methods", "original_router")


class Watch:
    """Whether the first routes of a router are as they were when looked at."""

    def __init__(
        self, router: APIRouter, routes: list[Any], looks: Sequence[_Look]
    ) -> None:
        self._router, self._list = router, routes
        self._first = [look.route for look in looks]
        self._routers = [each for look in looks for each in look.routers]
        seen = [each for look in looks for each in look.seen]
        self._groups = [
            (
                attrgetter(*names),
                [each.it for each in seen if each.names == names],
                [each.values for each in seen if each.names == names],
            )
            for names in {each.names for each in seen}
        ]

    def holds(self) -> bool:
        """Return whether nothing has changed since."""
        live, known = self._router.routes, self._first
        if live is not self._list or len(live) < len(known):
            return False
        try:
            for read, objects, values in self._groups:
                if [*map(read, objects)] != values:
                    return False
        except (AttributeError, KeyError):
            return False
        return all(map(is_, known, live)) and (
            not self._routers or all(map(_Router.holds, self._routers))
        )


class _Router:
    """Whether the routes of a router that somebody else has made are as they were."""

    def __init__(self, router: APIRouter) -> None:
        self._known, self._list = vars(router), router.routes
        self._version = version_of(router)
        self._routes = tuple(router.routes)

    def holds(self) -> bool:
        """Return whether they are the same."""
        routes, version = _read_routes(self._known)
        return (
            routes is self._list
            and version == self._version
            and len(routes) == len(self._routes)
            and all(map(is_, routes, self._routes))
        )


_read_routes = itemgetter("routes", "_routes_version")
