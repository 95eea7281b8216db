"""What FastAPI and Starlette do inside, as far as the thin way has to know it.

All of their private names that routes use stand here. What is known holds for exactly
the code that was looked at: a function that somebody has put in the place of one of
theirs is seen, at once, by whoever asks `replaced_functions`.
"""

import re
from collections.abc import Callable, Collection, Mapping
from operator import attrgetter, is_
from pathlib import Path
from types import CodeType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any

import fastapi
import fastapi.dependencies.utils
import fastapi.routing
import starlette
from fastapi.dependencies import models
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from fastapi.routing import APIRoute, APIRouter, APIWebSocketRoute
from starlette.middleware import exceptions as starlette_exceptions
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.routing import Mount, Route, Router, WebSocketRoute
from starlette.types import Receive, Scope, Send

if TYPE_CHECKING:
    from fastapi.routing import _EffectiveRouteContext, _IncludedRouter
else:

    class _Absent:
        """What a release does not have; nothing is one."""

        handle = matches = _handle_selected = _match = None

    _EffectiveRouteContext = getattr(
        fastapi.routing, "_EffectiveRouteContext", type("_Absent", (_Absent,), {})
    )
    _IncludedRouter = getattr(
        fastapi.routing, "_IncludedRouter", type("_Absent", (_Absent,), {})
    )

__all__ = (
    "UNTESTED",
    "Candidates",
    "EffectiveContext",
    "Inclusion",
    "apply_form_limits",
    "around_exceptions",
    "asks_for_other_types",
    "builds_as_it_came",
    "candidates_of",
    "combined",
    "effective",
    "fastapi_handler",
    "handle_error",
    "handlers_of",
    "inner_code",
    "is_awaited",
    "is_own_function",
    "is_plain_inclusion",
    "is_plain_router_app",
    "is_unpatched",
    "known_candidates",
    "matches_by_pattern",
    "read_layers",
    "replaced_functions",
    "route_being_built",
    "version_of",
)

# As modules they have names that they do not say to be theirs.
routing: Any = fastapi.routing
utils: Any = fastapi.dependencies.utils
exceptions: Any = starlette_exceptions

EffectiveContext = _EffectiveRouteContext
"""A route at the place where a router includes it."""
Inclusion = _IncludedRouter
"""A router at the place where another one includes it."""

TESTED = {"fastapi": "0.165", "starlette": "1.10"}
"""The releases whose private names were tested; any patch of them will do."""


def _untested() -> str | None:
    found = {"fastapi": fastapi.__version__, "starlette": starlette.__version__}
    for name, version in found.items():
        if ".".join(version.split(".")[:2]) != TESTED[name]:
            return f"{name} {version} was not tested with this Howdah"
    return None


UNTESTED = _untested()
"""Which release was not tested, None where all were.

With one of them every request goes FastAPI's way, and routes are built at once.
"""

_PLACES = (str(Path(fastapi.__file__).parent), str(Path(starlette.__file__).parent))


def is_own_function(function: Any) -> bool:
    """Return whether a function is FastAPI's or Starlette's, in nobody's wrapper."""
    return (
        type(function) is FunctionType
        and not hasattr(function, "__wrapped__")
        and function.__code__.co_filename.startswith(_PLACES)
    )


# What FastAPI's way to an endpoint calls, while it serves.
_WATCHED: tuple[tuple[Any, str], ...] = (
    (APIRoute, "handle"),
    (APIRoute, "matches"),
    (APIRouter, "handle"),
    (APIRouter, "matches"),
    (_EffectiveRouteContext, "matches"),
    (_IncludedRouter, "_handle_selected"),
    (_IncludedRouter, "_match"),
    (_IncludedRouter, "handle"),
    (_IncludedRouter, "matches"),
    (Mount, "matches"),
    (Route, "handle"),
    (Route, "matches"),
    (routing, "run_endpoint_function"),
    (routing, "solve_dependencies"),
    (routing, "wrap_app_handling_exceptions"),
    (utils, "request_params_to_args"),
    (utils, "run_in_threadpool"),
    (utils, "solve_dependencies"),
)
_KNOWN = tuple(getattr(owner, name, None) for owner, name in _WATCHED)
_WERE_OWN = (
    UNTESTED is None
    and all(map(is_own_function, _KNOWN))
    and routing.Request is Request
)
(
    _route_handle,
    _route_matches,
    _router_handle,
    _router_matches,
    _context_matches,
    _inclusion_selected,
    _inclusion_match,
    _inclusion_handle,
    _inclusion_matches,
    _mount_matches,
    _plain_handle,
    _plain_matches,
    _run_endpoint,
    _solve,
    _wrap,
    _read_parameters,
    _run_in_thread,
    _solve_inner,
) = _KNOWN


def is_unpatched() -> bool:
    """Return whether FastAPI's functions are those that it came with.

    Written out, since it is asked for each request: 0.4 us, a loop takes 2.
    """
    return (
        _WERE_OWN
        and APIRoute.handle is _route_handle
        and APIRoute.matches is _route_matches
        and APIRouter.handle is _router_handle
        and APIRouter.matches is _router_matches
        and _EffectiveRouteContext.matches is _context_matches
        and _IncludedRouter._handle_selected is _inclusion_selected
        and _IncludedRouter._match is _inclusion_match
        and _IncludedRouter.handle is _inclusion_handle
        and _IncludedRouter.matches is _inclusion_matches
        and Mount.matches is _mount_matches
        and Route.handle is _plain_handle
        and Route.matches is _plain_matches
        and routing.run_endpoint_function is _run_endpoint
        and routing.solve_dependencies is _solve
        and routing.wrap_app_handling_exceptions is _wrap
        and routing.Request is Request
        and utils.request_params_to_args is _read_parameters
        and utils.run_in_threadpool is _run_in_thread
        and utils.solve_dependencies is _solve_inner
    )


_BUILDERS: tuple[tuple[Any, str], ...] = (
    (APIRoute, "__init__"),
    (APIRoute, "get_route_handler"),
    (routing, "get_request_handler"),
    (routing, "request_response"),
    (routing, "wrap_app_with_body_limit"),
)
_BUILT_BY = tuple(getattr(owner, name, None) for owner, name in _BUILDERS)


def builds_as_it_came() -> bool:
    """Return whether FastAPI builds routes by the functions that it came with."""
    now = (getattr(owner, name, None) for owner, name in _BUILDERS)
    return (
        UNTESTED is None
        and all(map(is_, now, _BUILT_BY))
        and all(map(is_own_function, _BUILT_BY))
    )


def replaced_functions() -> list[str]:
    """Return the names of FastAPI's functions that somebody has replaced."""
    watched = zip(_WATCHED, _KNOWN, strict=True)
    found = [
        f"{owner.__name__}.{name}"
        for (owner, name), known in watched
        if getattr(owner, name) is not known or not is_own_function(known)
    ]
    return found if routing.Request is Request else [*found, "fastapi.routing.Request"]


_BY_PATTERN = (_route_matches, _mount_matches, _plain_matches)
_OF_OTHER_TYPES = (APIWebSocketRoute.matches, WebSocketRoute.matches)


def matches_by_pattern(route: Any) -> bool:
    """Return whether a route of theirs matches by its path and methods alone."""
    return isinstance(route, Mount | Route) and type(route).matches in _BY_PATTERN


def asks_for_other_types(route: Any) -> bool:
    """Return whether a route never matches a request of HTTP."""
    return type(route).matches in _OF_OTHER_TYPES and "matches" not in vars(route)


def is_awaited(call: Any) -> bool | None:
    """Return whether FastAPI awaits a dependency, or runs it in a thread.

    Returns None for one that it enters and leaves, as it does with generators.
    """
    if models._is_gen_callable(call) or models._is_async_gen_callable(call):
        return None
    return models._is_coroutine_callable(call)


def route_being_built(route: APIRoute) -> Any:
    """Return the context for which FastAPI asks a route for its handler, or the route.

    This is how `get_route_handler` of FastAPI itself knows where the route is included.
    """
    building = getattr(routing, "_effective_route_context_var", None)
    context = None if building is None else building.get()
    is_of = context is not None and context.original_route is route
    return context if is_of else route


def apply_form_limits(scope: Scope, limits: Mapping[str, Any]) -> None:
    """Lay a router's limits of forms into a scope, as the router would."""
    routing._apply_router_form_limits(scope, limits)


class Candidates(list[Any]):
    """The routes of an inclusion, each at its place there."""

    pattern: re.Pattern[str] | None = None
    """What any of them may match, as far as that is known."""
    looked_at = -1
    """The count of changes when the pattern was made."""


def candidates_of(
    included: Inclusion, make: Callable[[Inclusion, Any], EffectiveContext | None]
) -> list[Any]:
    """Return the routes of an inclusion as FastAPI keeps them, made when they change.

    This is `effective_candidates` of FastAPI, at the same moments, with contexts that
    `make` may return in the place of FastAPI's.
    """
    router = included.original_router
    if router._get_routes_version() == included._effective_candidates_version:
        return included._effective_candidates
    with included._effective_routes_lock:
        version = router._get_routes_version()
        if version != included._effective_candidates_version:
            found = [_candidate(included, route, make) for route in router.routes]
            known = Candidates(it for it in found if it is not None)
            included._effective_candidates = known
            included._effective_candidates_version = version
        return included._effective_candidates


def _candidate(
    included: Inclusion, route: Any, make: Callable[[Inclusion, Any], Any]
) -> Any:
    if isinstance(route, Inclusion):
        return combined(included, route)
    return make(included, route) or included._build_effective_context(route)


def combined(outer: Inclusion, inner: Inclusion) -> Inclusion:
    """Return an inclusion as it is where its router is included itself."""
    return Inclusion(
        original_router=inner.original_router,
        include_context=outer.include_context.combine(inner.include_context),
    )


def effective(context: Any) -> Any:
    """Return what matches where a route is included: the context, or what it has."""
    return context.starlette_route or context


def version_of(router: APIRouter) -> int:
    """Return FastAPI's count of the changes of a router's own routes."""
    return router._routes_version


def is_plain_router_app(router: APIRouter) -> bool:
    """Return whether a router answers by FastAPI's own code, with nothing around it."""
    app = router.middleware_stack
    return (
        isinstance(app, MethodType)
        and app.__self__ is router
        and app.__func__ is _router_app
        and is_own_function(_router_app)
    )


_router_app = APIRouter.app


def around_exceptions(stack: Any, router: APIRouter) -> Any | None:
    """Return the middleware around FastAPI's innermost two layers.

    Returns None where they are not there as FastAPI puts them, around this router.
    """
    outer = stack
    for _ in range(_MOST_LAYERS):
        inner = getattr(outer, "app", None)
        if inner is None:
            return None
        if type(inner) is ExceptionMiddleware:
            stacked = inner.app
            plain = type(stacked) is AsyncExitStackMiddleware and stacked.app is router
            return outer if plain and _have_own_calls(inner, stacked, router) else None
        outer = inner
    return None


_MOST_LAYERS = 1000
_CALLS = tuple(
    layer.__call__ for layer in (ExceptionMiddleware, AsyncExitStackMiddleware, Router)
)


def _have_own_calls(*layers: Any) -> bool:
    calls = [type(layer).__call__ for layer in layers]
    own = (*calls, exceptions.wrap_app_handling_exceptions)
    return all(map(is_, calls, _CALLS)) and all(map(is_own_function, own))


def read_layers(layer: Any) -> tuple[Any, ...]:
    """Return all by which FastAPI's innermost layers and the router do their work."""
    try:
        return (*_read_layers(layer), exceptions.wrap_app_handling_exceptions)
    except AttributeError:
        return ()


# Methods of instances are equal as long as they are the same ones of the same.
_read_layers = attrgetter(
    "__call__",
    "app",
    "app.__call__",
    "app.app",
    "app.app.__call__",
    "app.app.middleware_stack",
)


def handlers_of(layer: Any) -> tuple[Any, Any]:
    """Return an app's handlers of exceptions as FastAPI leaves them in a scope."""
    return layer._exception_handlers, layer._status_handlers


def is_plain_inclusion(included: Inclusion, matches: Collection[Any]) -> bool:
    """Return whether an inclusion and its router ask their routes as FastAPI's do.

    Given are the methods by which such a router may match.
    """
    router = included.original_router
    own = {*vars(included), *vars(router)}
    return (
        type(included) is Inclusion
        and own.isdisjoint(_METHODS)
        # What a property makes anew cannot be told from what it was.
        and "routes" in vars(router)
        and type(router).matches in matches
        and type(router).handle is _router_handle
        and type(router).__getattribute__ is object.__getattribute__
    )


_METHODS = ("_handle_selected", "_match", "effective_candidates", "handle", "matches")


def known_candidates(included: Inclusion) -> list[Any] | None:
    """Return the routes of an inclusion that FastAPI would not make anew."""
    version = included.original_router._get_routes_version()
    current = version == included._effective_candidates_version
    return included._effective_candidates if current else None


def inner_code(function: Any, name: str) -> CodeType | None:
    """Return the code of a function that another one makes, None in a wrapper."""
    if type(function) is not FunctionType:
        return None
    constants = function.__code__.co_consts
    codes = (it for it in constants if isinstance(it, CodeType))
    return next((it for it in codes if it.co_name == name), None)


_RESPONSE_CODE = inner_code(getattr(routing, "request_response", None), "app")
_HANDLER_CODE = inner_code(getattr(routing, "get_request_handler", None), "app")


def fastapi_handler(app: Any, wrapper: CodeType | None) -> Mapping[str, Any] | None:
    """Return what FastAPI's handler of a route was made with, None for any other.

    The app of a route has to be what `request_response` makes of a function with the
    code `wrapper`, which calls what `get_request_handler` makes.
    """
    wrapping = _variables(app, _RESPONSE_CODE).get("f")
    handler = _variables(wrapping, wrapper).get("handle")
    return _variables(handler, _HANDLER_CODE) or None


def _variables(function: Any, code: CodeType | None) -> Mapping[str, Any]:
    """Return the variables around a function, none where its code is another."""
    if type(function) is not FunctionType or function.__code__ is not code:
        return {}
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    return {name: cell.cell_contents for name, cell in cells}


async def handle_error(
    error: Exception,
    request: Request,
    receive: Receive,
    send: Send,
    *,
    started: bool = False,
) -> None:
    """Let the app's handlers answer an error, as around an endpoint of FastAPI's.

    An error that was raised when the answer had `started` can no longer be answered.
    """

    async def fail(_scope: Scope, _receive: Receive, send: Send) -> None:
        if started:
            await send({"type": "http.response.start"})
        raise error

    handled = routing.wrap_app_handling_exceptions(fail, request)
    await handled(request.scope, receive, _swallow if started else send)


async def _swallow(_message: Any) -> None:
    """Send nothing."""
