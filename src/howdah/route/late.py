"""A route that is known at once, and built for FastAPI when somebody looks into it.

FastAPI makes validators of each parameter, body and answer of a route, and makes them
anew for each place in which the route is included. A project of fifty resources has
seven hundred routes, and a process that starts is asked for a few of them. What others
have put in front of an endpoint, dependencies, is looked at when the route is made all
the same: who has declared it in a wrong way is to hear of it then.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cached_property
from threading import RLock
from typing import Any

from fastapi import Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from fastapi.security.base import SecurityBase
from fastapi.utils import is_body_allowed_for_status_code

from howdah.route.internals import builds_as_it_came
from howdah.route.strict import StrictRoute

__all__ = (
    "BUILDING",
    "RESPONSE",
    "Endpoint",
    "LateRoute",
    "Later",
    "asks_who",
    "merged",
    "now",
)


class Later:
    """An option of a route that is worked out when it is first needed."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make


class Endpoint:
    """An endpoint whose parameters are given as a list, and that answers a Response."""

    def __init__(
        self,
        run: Callable[..., Awaitable[Response]],
        parameters: Callable[[], Sequence[inspect.Parameter]],
        *,
        name: str,
        solved: Sequence[inspect.Parameter] = (),
        quick: Callable[[bytes], Any] | None = None,
    ) -> None:
        self.run = run
        self.solved = solved
        """Those parameters beside the others that are dependencies."""
        self.quick = quick
        """Reads a body as FastAPI would, or returns None for one that it leaves."""
        self._parameters = parameters
        self.__name__ = name
        self.__doc__ = run.__doc__

    @cached_property
    def __signature__(self) -> inspect.Signature:
        """What FastAPI reads."""
        return inspect.Signature([*self._parameters(), *self.solved, _WRITTEN])

    async def __call__(self, **given: Any) -> Response:
        """Answer, with what FastAPI has solved."""
        written: Response = given.pop(RESPONSE)
        return merged(await self.run(**given), written)

    def alone(self) -> "Endpoint":
        """Return the endpoint as if it took nothing but its dependencies."""
        return Endpoint(self.run, tuple, name=self.__name__, solved=self.solved)


RESPONSE = "__response"
"""The parameter by which an endpoint gets what dependencies have written."""
_WRITTEN = inspect.Parameter(
    RESPONSE, inspect.Parameter.KEYWORD_ONLY, annotation=Response
)


def merged(response: Response, written: Response) -> Response:
    """Return an answer with the headers and the status that dependencies have set.

    As FastAPI does it for endpoints that return a model; an answer that is no success
    keeps its status.
    """
    raw = response.raw_headers
    if written.status_code and 200 <= response.status_code < 300:  # noqa: PLR2004
        response.status_code = written.status_code
        if not is_body_allowed_for_status_code(written.status_code):
            response.body = b""
            raw = [line for line in raw if line[0] != b"content-length"]
    response.raw_headers = [*raw, *written.raw_headers]
    return response


class LateRoute(StrictRoute):
    """A route to an `Endpoint` whose validators are made when they are first needed."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        self._late: dict[str, Later] = {}
        self._dependencies: Dependant | None = None
        own_handler = type(self).get_route_handler is not StrictRoute.get_route_handler
        # What a tool makes of a route that is built now, it has to make now.
        at_once = own_handler or not builds_as_it_came()
        if at_once or not isinstance(endpoint, Endpoint):
            super().__init__(path, endpoint, **now(options))
            return
        # FastAPI itself says what the route is, but for what it takes and answers.
        plain = {n: it for n, it in options.items() if not isinstance(it, Later)}
        super().__init__(path, endpoint.alone(), **plain)
        self.endpoint = endpoint
        self._dependencies = self.dependant
        self._late = {n: it for n, it in options.items() if isinstance(it, Later)}
        self._options = options
        for name in (*_BUILT, *self._late):
            del self.__dict__[name]

    @property
    def dependencies_alone(self) -> Dependant:
        """What is solved before the endpoint; nothing is built to tell."""
        return self.__dict__.get("dependant") or self._dependencies or self.dependant

    @property
    def is_late(self) -> bool:
        """Whether FastAPI need not build it before somebody asks."""
        return "_options" in self.__dict__

    def __getattr__(self, name: str) -> Any:
        """Work out or build what is asked for and has not been there yet."""
        late: dict[str, Later] = self.__dict__.get("_late", {})
        if name in late or (name in _BUILT and "_options" in self.__dict__):
            with BUILDING:
                if name not in self.__dict__:
                    self._build() if name in _BUILT else self._work_out(name)
            return self.__dict__[name]
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")

    def _work_out(self, name: str) -> None:
        self.__dict__[name] = self._late[name].make()

    def _build(self) -> None:
        """Let FastAPI build the route; what has been changed on it stays."""
        for name in self._late:
            getattr(self, name)
        known = dict(self.__dict__)
        options = {**self._options, **{name: known[name] for name in self._late}}
        self.__dict__["_is_building"] = True
        try:
            APIRoute.__init__(self, self.path, self.endpoint, **options)
        finally:
            del self.__dict__["_is_building"]
        self.__dict__.update(known)


def asks_who(route: APIRoute) -> bool:
    """Say whether a security scheme is among what is solved for a route."""
    if isinstance(route, LateRoute):
        return _is_secured(route.dependencies_alone)
    return _is_secured(route.dependant)


def _is_secured(dependant: Dependant) -> bool:
    of_scheme = isinstance(dependant.call, SecurityBase)
    return of_scheme or any(map(_is_secured, dependant.dependencies))


_BUILT = ("_embed_body_fields", "app", "body_field", "dependant", "response_field")
"""What FastAPI makes of an endpoint's parameters and of its answer."""

BUILDING = RLock()
"""Held while a part of a route is built, which several threads may ask for."""


def now(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options of a route, those worked out that would be later."""
    return {n: it.make() if isinstance(it, Later) else it for n, it in options.items()}
