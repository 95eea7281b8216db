"""A route that is known at once, and built for FastAPI when somebody looks into it.

FastAPI makes validators of each parameter, body and answer of a route, and makes them
anew for each place in which the route is included. A project of fifty resources has
seven hundred routes, and a process that starts is asked for a few of them. What others
have put in front of an endpoint, dependencies, is looked at when the route is made all
the same: who has declared it in a wrong way is to hear of it then.
"""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property
from threading import RLock
from typing import Any

from fastapi import Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from fastapi.security.base import SecurityBase

from howdah.route.strict import StrictRoute

__all__ = ("Endpoint", "LateRoute", "Later", "asks_who")


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
        return inspect.Signature([*self._parameters(), *self.solved])

    async def __call__(self, **given: Any) -> Response:
        """Answer, with what FastAPI has solved."""
        return await self.run(**given)

    def alone(self) -> "Endpoint":
        """Return the endpoint as if it took nothing but its dependencies."""
        return Endpoint(self.run, tuple, name=self.__name__, solved=self.solved)


class LateRoute(StrictRoute):
    """A route to an `Endpoint` whose validators are made when they are first needed."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        self._late: dict[str, Later] = {}
        self._dependencies: Dependant | None = None
        own_handler = type(self).get_route_handler is not StrictRoute.get_route_handler
        if not isinstance(endpoint, Endpoint) or own_handler:
            super().__init__(path, endpoint, **_now(options))
            self._own_app: Any = self.app
            return
        # FastAPI itself says what the route is, but for what it takes and answers.
        plain = {n: it for n, it in options.items() if not isinstance(it, Later)}
        super().__init__(path, endpoint.alone(), **plain)
        self.endpoint = endpoint
        self._dependencies = self.dependant
        self._late = {n: it for n, it in options.items() if isinstance(it, Later)}
        self._options, self._own_app = options, None
        for name in (*_BUILT, *self._late):
            del self.__dict__[name]

    @property
    def dependencies_alone(self) -> Dependant:
        """What is solved before the endpoint; nothing is built to tell."""
        return self.__dict__.get("dependant") or self._dependencies or self.dependant

    @property
    def has_own_app(self) -> bool:
        """Whether nobody has put an app of theirs in the place of FastAPI's."""
        return self.__dict__.get("app") is self._own_app

    def __getattr__(self, name: str) -> Any:
        """Work out or build what is asked for and has not been there yet."""
        late: dict[str, Later] = self.__dict__.get("_late", {})
        if name in late or (name in _BUILT and "_options" in self.__dict__):
            with _building:
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
        options = {name: known[name] for name in self._late}
        APIRoute.__init__(
            self, self.path, self.endpoint, **{**self._options, **options}
        )
        self._own_app = self.app
        self.__dict__.update({n: it for n, it in known.items() if n != "_own_app"})


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

_building = RLock()


def _now(options: dict[str, Any]) -> dict[str, Any]:
    return {n: it.make() if isinstance(it, Later) else it for n, it in options.items()}
