"""Guards of every kind, and the places and moments at which people add them to an app.

An ingredient is a function of what is built and of its own name. One that is a
generator goes on later, between two requests, after each `yield`.
"""

import functools
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any

from fastapi import BackgroundTasks, Depends, Header, HTTPException, Request, Response
from fastapi import Security as Secured
from fastapi import routing as of_fastapi
from fastapi.dependencies.utils import get_parameterless_sub_dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute, APIRouter
from fastapi.security import SecurityScopes
from starlette import routing as of_starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.routing import Host, Match, Mount, Route, WebSocketRoute, compile_path

__all__ = ("INGREDIENTS", "Ingredient", "Mishap", "around", "at", "depend")


@dataclass(frozen=True)
class Ingredient:
    """Something that is put into an app at one stage of its life."""

    family: str
    name: str
    stage: str
    put: Callable[[Any, str], Any]


INGREDIENTS: list[Ingredient] = []
NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})
LEVELS = ("app", "parent", "router")
LATE = ("included", "lifespan", "serving")
EARLY = ("created", "connected", "included")


def at(*stages, named="", **options):
    """Register an ingredient once for each stage at which it may be put in."""

    def register(put):
        what = f"{put.__name__} {named}".strip()
        for stage in stages:
            bound = functools.partial(put, **options) if options else put
            kept = Ingredient(put.__name__, f"{what} @{stage}", stage, bound)
            INGREDIENTS.append(kept)
        return put

    return register


def each(name, values, *stages, more=NO_OPTIONS):
    """Register an ingredient for each of many values, and for each stage."""

    def register(put):
        for value in values:
            options = {name: value, **more}
            known = " ".join(
                getattr(it, "__name__", str(it)) for it in options.values()
            )
            at(*stages, named=known, **options)(put)
        return put

    return register


# What a guard is: it says that it was asked, and refuses where the request says so.


class Mishap(Exception):
    """An error of the app's own."""


REFUSED = Response("no", 401, {"x-guard": "no"})


def around(built, name, inner):
    """Return an ASGI app that asks a guard before another one."""

    async def guarded(scope, receive, send):
        refused = scope["type"] == "http" and built.asks(name)
        await (REFUSED if refused else inner)(scope, receive, send)

    return guarded


def watching(built, name, matches):
    """Return how a route matches that nobody finds who is refused."""

    def watched(*arguments):
        refused = built.asks(f"match:{name}")
        return (Match.NONE, {}) if refused else matches(*arguments)

    return watched


def refuse(built, name):
    if built.asks(name):
        raise HTTPException(401, name, headers={"x-guard": "no"})


def depend(built, name):
    """Return a dependency that is a guard."""

    async def guard():
        refuse(built, name)

    return Depends(guard)


# Middleware


class Pure:
    def __init__(self, app, *, built, name):
        self.app = around(built, name, app)

    async def __call__(self, scope, receive, send):
        await self.app(scope, receive, send)


class Base(BaseHTTPMiddleware):
    def __init__(self, app, *, built, name):
        super().__init__(app)
        self.asks = functools.partial(built.asks, name)

    async def dispatch(self, request, call_next):
        return REFUSED if self.asks() else await call_next(request)


def closure(app, *, built, name):
    return around(built, name, app)


KINDS = (Pure, Base, closure)


def add(app, kind, options):
    app.add_middleware(kind, **options)


def append(app, kind, options):
    app.user_middleware.append(Middleware(kind, **options))


def insert(app, kind, options):
    app.user_middleware.insert(0, Middleware(kind, **options))


def extend(app, kind, options):
    app.user_middleware += [Middleware(kind, **options)]


def assign(app, kind, options):
    app.user_middleware = [*app.user_middleware, Middleware(kind, **options)]


@each("way", (add, append, insert, extend, assign), *EARLY, "lifespan")
def middleware(built, name, way):
    way(built.app, Pure, {"built": built, "name": name})


@each("kind", (Base, closure), "created", "connected")
def middleware_of_a_kind(built, name, kind):
    add(built.app, kind, {"built": built, "name": name})


@each("kind", KINDS, "before")
def middleware_option(built, name, kind):
    given = built.app_options.setdefault("middleware", [])
    given.append(Middleware(kind, built=built, name=name))


@at("before")
def stack_is_wrapped_by_a_subclass(built, name):
    class App(built.app_class):
        def build_middleware_stack(self):
            return around(built, name, super().build_middleware_stack())

    built.app_class = App


@at("before")
def stack_is_added_to_by_a_subclass(built, name):
    class App(built.app_class):
        def build_middleware_stack(self):
            append(self, Pure, {"built": built, "name": name})
            return super().build_middleware_stack()

    built.app_class = App


@at(*EARLY, "lifespan")
def stack_is_wrapped_on_the_app(built, name):
    build = built.app.build_middleware_stack
    built.app.build_middleware_stack = lambda: around(built, name, build())


@at("serving")
def stack_is_wrapped_when_it_stands(built, name):
    before = built.app.middleware_stack
    if before is not None:
        built.app.middleware_stack = around(built, name, before)
        yield
        built.app.middleware_stack = before


@at(*EARLY, "lifespan", "serving")
def stack_of_the_router(built, name):
    before = built.app.router.middleware_stack
    built.app.router.middleware_stack = around(built, name, before)


# Routers


def subclass_of(built, name, router, method):
    """Return a subclass of a router's class, one method of which is a guard."""
    kind = type(router)

    async def guarded(self, scope, receive, send):
        inner = functools.partial(getattr(kind, method), self)
        await around(built, name, inner)(scope, receive, send)

    def matches(self, scope):
        return watching(built, name, kind.matches)(self, scope)

    own = matches if method == "matches" else guarded
    return type("Guarded", (kind,), {method: own})


@each("method", ("__call__",), "created", "connected")
@each("method", ("__call__", "handle", "matches"), *LATE)
def router_of_another_class(built, name, method):
    for router in (built.app.router, built.parent):
        if router is not None:
            router.__class__ = subclass_of(built, name, router, method)


@each("method", ("__call__", "app"), *EARLY)
def router_replaced(built, name, method):
    before = built.app.router
    kind = subclass_of(built, name, before, method)
    after = kind.__new__(kind)
    after.__dict__.update(before.__dict__)
    if method != "__call__":
        after.middleware_stack = after.app
    built.app.router = after


@each("method", ("handle", "matches"), "before")
def outer_router_of_ones_own(built, name, method):
    built.outer_class = subclass_of(built, name, APIRouter(), method)


@each("method", ("__call__", "handle", "matches"), "included", "serving")
def resource_router_of_another_class(built, name, method):
    built.router.__class__ = subclass_of(built, name, built.router, method)


def attach(built, name, thing, attribute):
    """Put a guard into an attribute of one object."""
    before = getattr(thing, attribute)
    wrap = watching if attribute == "matches" else around
    setattr(thing, attribute, wrap(built, name, before))


@each("attribute", ("handle", "matches"), *LATE)
def method_of_a_router_object(built, name, attribute):
    attach(built, name, built.router, attribute)
    yield
    built.router.__dict__.pop(attribute, None)


@each("attribute", ("handle", "matches"), *LATE)
def method_of_an_inclusion_object(built, name, attribute):
    for inclusion in built.inclusions:
        attach(built, name, inclusion, attribute)


@each("attribute", ("handle", "matches", "app"), *LATE)
def attribute_of_a_route_object(built, name, attribute):
    for route in built.routes:
        attach(built, name, route, attribute)


@each("method", ("handle", "matches", "get_route_handler"), "before")
def route_class_of_ones_own(built, name, method):
    class Guarded(built.route_class):
        pass

    def get_route_handler(self):
        return asking(built, name, super(Guarded, self).get_route_handler())

    made = subclass_of(built, name, Guarded.__new__(built.route_class), method)
    if method == "get_route_handler":
        made = Guarded
        Guarded.get_route_handler = get_route_handler
    built.router_options["route_class"] = built.route_class = made


@each("change", ("add", "discard"), *LATE)
def methods_of_a_route(built, name, change):
    for route in built.routes:
        getattr(route.methods, change)("GET")
        # FastAPI takes a route that has no methods for one that has all.
        route.methods.add("TRACE")


@at(*LATE)
def pattern_of_a_route(built, name):
    for route in built.routes:
        route.path_regex = compile_path("/elsewhere")[0]


@at(*LATE)
def dependant_of_a_route(built, name):
    given = depend(built, name)
    for route in built.routes:
        more = get_parameterless_sub_dependant(depends=given, path=route.path)
        route.dependant.dependencies.append(more)


# Functions of FastAPI and of Starlette, replaced for all


def asking(built, name, handle):
    """Return what answers a request once a guard has been asked."""

    async def asked(*arguments, **options):
        refuse(built, name)
        return await handle(*arguments, **options)

    return asked


def making(built, name, make):
    """Return what makes a handler, so that it makes one with a guard."""

    def made(*arguments, **options):
        return asking(built, name, make(*arguments, **options))

    return made


PATCHED = (
    (APIRoute, "handle", asking),
    (APIRoute, "matches", watching),
    (APIRoute, "get_route_handler", making),
    (APIRouter, "app", asking),
    (APIRouter, "handle", asking),
    (APIRouter, "matches", watching),
    (of_fastapi._IncludedRouter, "handle", asking),
    (of_fastapi._IncludedRouter, "matches", watching),
    (of_fastapi._IncludedRouter, "_handle_selected", asking),
    (of_starlette.Route, "handle", asking),
    (of_fastapi, "solve_dependencies", asking),
    (of_fastapi, "run_endpoint_function", asking),
    (of_fastapi, "request_response", making),
    (of_fastapi, "get_request_handler", making),
)


def patch(built, name, owner, attribute, wrap):
    before = getattr(owner, attribute)
    # A function, so that it is a method where the owner is a class.
    after = functools.wraps(before)(wrap(built, name, before))
    built.patches.setattr(owner, attribute, after)
    yield
    built.patches.setattr(owner, attribute, before)


for _owner, _attribute, _wrap in PATCHED:
    at(
        *("before", "included", "serving"),
        named=f"{_owner.__name__}.{_attribute}",
        owner=_owner,
        attribute=_attribute,
        wrap=_wrap,
    )(patch)


# Dependencies of every shape


def awaited(built, name):
    return depend(built, name)


def plain(built, name):
    def guard():
        refuse(built, name)

    return Depends(guard)


def kind(built, name):
    class Guard:
        def __init__(self):
            refuse(built, name)

    return Depends(Guard)


class Asked:
    def __init__(self, built, name):
        self.refuse = functools.partial(refuse, built, name)

    def __call__(self):
        self.refuse()

    async def awaited(self):
        self.refuse()


class AskedLater(Asked):
    async def __call__(self):
        self.refuse()


def instance(built, name):
    return Depends(Asked(built, name))


def awaited_instance(built, name):
    return Depends(AskedLater(built, name))


def method(built, name):
    return Depends(Asked(built, name).awaited)


def partial(built, name):
    return Depends(functools.partial(depend(built, name).dependency))


def partial_with_values(built, name):
    return Depends(functools.partial(refuse, built, name))


def wrapped(built, name):
    inner = depend(built, name).dependency

    @functools.wraps(inner)
    async def guard(*arguments, **options):
        return await inner(*arguments, **options)

    return Depends(guard)


def wrapping_a_generator(built, name):
    class Guard:
        def __call__(self):
            refuse(built, name)
            yield

    def plainly(): ...

    functools.update_wrapper(Guard, plainly, updated=())
    guard = Guard()

    @functools.wraps(Guard)
    def wrapper():
        return guard()

    return Depends(wrapper)


def generator(built, name):
    def guard():
        refuse(built, name)
        yield
        built.log.append(f"left {name}")

    return Depends(guard)


def awaited_generator(built, name, scope=None):
    async def guard():
        refuse(built, name)
        try:
            yield
        finally:
            built.log.append(f"left {name}")

    return Depends(guard, scope=scope)


def function_scope(built, name):
    return awaited_generator(built, name, "function")


def security(built, name):
    async def guard(scopes: SecurityScopes):
        refuse(built, name)
        built.log.append(" ".join(scopes.scopes))

    return Secured(guard, scopes=["notes"])


def security_without_scopes(built, name):
    return Secured(depend(built, name).dependency)


def anonymous(built, name):
    return Depends(lambda: refuse(built, name))


def not_kept(built, name):
    inner = depend(built, name).dependency

    async def guard(
        one: Annotated[None, Depends(inner, use_cache=False)],
        two: Annotated[None, Depends(inner, use_cache=False)],
        three: Annotated[None, Depends(inner)],
    ):
        built.log.append(f"behind {name}")

    return Depends(guard)


def header(built, name):
    async def guard(x_no: Annotated[str | None, Header()] = None):
        refuse(built, name)
        built.log.append(str(x_no))

    return Depends(guard)


def writes(write):
    def shape(built, name):
        async def guard(response: Response):
            refuse(built, name)
            write(response)

        return Depends(guard)

    shape.__name__ = write.__name__
    return shape


def writes_a_header(response):
    response.headers["x-dependency"] = "1"


def writes_a_cookie(response):
    response.set_cookie("seen", "1")


def writes_the_status(response):
    response.status_code = 202


def takes(take):
    def shape(built, name):
        async def guard(request: Request):
            built.log.append(str(await take(request)))
            refuse(built, name)

        return Depends(guard)

    shape.__name__ = take.__name__
    return shape


async def sets_state(request):
    request.state.seen = "state"


async def sets_an_attribute(request):
    request.seen = "attribute"


current: ContextVar[str] = ContextVar("current", default="nobody")


async def sets_a_variable(request):
    before = current.get()
    current.set("somebody")
    return before


async def reads_the_body(request):
    return await request.body()


async def reads_a_form(request):
    return dict(await request.form())


async def reads_the_stream(request):
    return [chunk async for chunk in request.stream()]


async def reads_json(request):
    return await request.json() if await request.body() else None


def ends_on_the_stacks(built, name):
    async def guard(request: Request):
        refuse(built, name)
        for stack in ("middleware", "inner", "function"):
            ended = functools.partial(built.log.append, f"ended {stack}")
            request.scope[f"fastapi_{stack}_astack"].callback(ended)

    return Depends(guard)


def raises(error):
    def shape(built, name):
        async def guard():
            if built.asks(name):
                raise error()

        return Depends(guard)

    shape.__name__ = f"raises_{getattr(error, '__name__', error)}"
    return shape


def group():
    return ExceptionGroup("refused", [HTTPException(401)])


def tasks(built, name):
    async def guard(background: BackgroundTasks):
        refuse(built, name)
        background.add_task(built.log.append, f"behind {name}")

    return Depends(guard)


WRITING = (writes_a_header, writes_a_cookie, writes_the_status)
TAKING = (
    *(sets_state, sets_an_attribute, sets_a_variable, reads_the_body, reads_a_form),
    *(reads_the_stream, reads_json),
)
SHAPES = (
    *(awaited, plain, kind, instance, awaited_instance, method, partial, wrapped),
    *(partial_with_values, wrapping_a_generator, generator, awaited_generator),
    *(function_scope, security, security_without_scopes, anonymous, not_kept, header),
    *map(writes, WRITING),
    *map(takes, TAKING),
    *map(raises, (Mishap, group, ValueError)),
    *(ends_on_the_stacks, tasks),
)
PLACES = ("app", "inclusion", "outer", "read", "router", "write")


@each("shape", SHAPES, "before")
def dependency(built, name, shape):
    built.dependencies["inclusion" if built.included else "router"].append(
        shape(built, name)
    )


@each("place", PLACES, "before")
def dependency_at(built, name, place):
    chosen = SHAPES[sum(map(ord, built.seed)) % len(SHAPES)]
    built.dependencies[place].append(chosen(built, name))


@each("place", PLACES, "before")
def override(built, name, place):
    given, own = depend(built, name), depend(built, f"{name} overriding").dependency
    built.dependencies[place].append(given)
    yield
    built.app.dependency_overrides[given.dependency] = own
    yield
    built.app.dependency_overrides.clear()


@at("before")
def override_changed(built, name):
    """Override the guards of all dependencies, by another one each time."""
    built.dependencies["inclusion"].append(depend(built, name))
    for way in ("first", "second"):
        yield
        given = [it.dependency for each in built.dependencies.values() for it in each]
        own = depend(built, f"{name} {way}").dependency
        built.app.dependency_overrides = dict.fromkeys(given, own)


@at("created", "connected", "included")
def dependency_of_a_router(built, name):
    built.app.router.dependencies.append(depend(built, name))


@each("place", ("app_options", "router_options"), "before")
def largest_body(built, name, place):
    getattr(built, place)["max_body_size"] = 12


@each("bump", (False, True), *LATE)
def dependency_of_an_inclusion(built, name, bump):
    for inclusion in built.inclusions:
        inclusion.include_context.dependencies.append(depend(built, name))
    if bump:
        built.router._mark_routes_changed()


# Lists of routes


def own_route(built, name, path):
    """Return a route of the app's own, which refuses everybody."""

    async def own():
        built.asks(name)
        raise HTTPException(403, name, headers={"x-guard": "own"})

    return APIRoute(path, own, methods=["GET", "POST"])


def in_front(routes, own, guarded):
    routes.insert(0, own("/{anything:path}"))


def in_front_of_the_list(routes, own, guarded):
    routes.insert(0, own())


def all_replaced(routes, own, guarded):
    routes[:] = [own("/{anything:path}")]


def last_replaced(routes, own, guarded):
    routes[-1] = own("/{anything:path}")


def last_guarded(routes, own, guarded):
    routes[-1] = guarded(routes[-1])


def last_removed(routes, own, guarded):
    routes.pop()


CHANGES = (
    *(in_front, in_front_of_the_list, all_replaced, last_replaced, last_guarded),
    last_removed,
)


def change_of_routes(built, name, change, level, how=""):
    router = built.levels[level]
    before = list(router.routes)
    routes = list(before) if how == "assigned" else router.routes
    own = functools.partial(own_route, built, name)
    path = built.list_path(level)
    guarded = functools.partial(guarded_inclusion, built, name)
    change(routes, lambda it=path: own(it), guarded)
    router.routes = routes
    if how == "bump":
        router._mark_routes_changed()
    yield
    router.routes[:] = before


def guarded_inclusion(built, name, route):
    """Return an inclusion, mount or route that is another one with a guard around."""
    if isinstance(route, of_fastapi._IncludedRouter):
        other = APIRouter()
        prefix = route.include_context.prefix
        given = [*route.include_context.dependencies, depend(built, name)]
        other.include_router(route.original_router, prefix=prefix, dependencies=given)
        return other.routes[0]
    if isinstance(route, Mount | Host):
        where = route.path if isinstance(route, Mount) else route.host
        return type(route)(where, around(built, name, route.app))
    return own_route(built, name, route.path)


for _level in LEVELS:
    for _change in CHANGES:
        _named = f"{_change.__name__} {_level}"
        _given = {"change": _change, "level": _level}
        at(*LATE, named=_named, **_given)(change_of_routes)
        for _more in ("bump", "assigned"):
            at("serving", named=f"{_named} {_more}", **_given, how=_more)(
                change_of_routes
            )


def last_moved(routes):
    routes.insert(0, routes.pop())


def turned(routes):
    routes.reverse()


@each("level", LEVELS, *LATE)
@each("level", LEVELS, *LATE, more={"change": turned})
def moved_to_the_front(built, name, level, change=last_moved):
    """Put a route behind all others, where nobody asks it, and move it later on."""
    routes = built.levels[level].routes
    routes.insert(len(routes), own_route(built, name, built.list_path(level)))
    yield
    change(routes)


@at(*LATE)
def maintenance(built, name):
    async def away(request):
        built.asks(name)
        return Response("away", 503, {"x-guard": "away"})

    before = list(built.app.router.routes)
    methods = ["DELETE", "GET", "OPTIONS", "PATCH", "POST", "PUT"]
    built.app.router.routes[:] = [Route("/{path:path}", away, methods=methods)]
    yield
    built.app.router.routes[:] = before


@at("created", "included", "serving")
def other_routes(built, name):
    """Add routes that are no guards, but stand between others."""

    async def socket(websocket):
        await websocket.close()

    answer = around(built, name, Response("mounted"))
    routes = built.app.router.routes
    routes.append(WebSocketRoute("/ws", socket))
    routes.insert(0, Mount("/mounted", answer))
    routes.insert(0, Host("elsewhere", answer))
    routes.insert(0, Mount("/unknown", answer))


# Handlers of errors

HANDLED = (HTTPException, RequestValidationError, Mishap, 401, 404, 405, 422, Exception)
RAISED = {
    Mishap: Mishap,
    Exception: KeyError,
    401: functools.partial(HTTPException, 401),
}


@each("error", HANDLED, "created", "connected", "included")
def handler(built, name, error):
    """Handle errors; a dependency raises one when it has left something behind."""
    raised = RAISED.get(error, functools.partial(HTTPException, 422))

    async def failing(request: Request):
        request.seen = request.state.seen = "seen"
        if built.asks(name):
            raise raised()

    built.dependencies["router"].append(Depends(failing))

    async def handle(request: Request, exc: Exception) -> Response:
        body = None if error is Exception else await request.body()
        of_request = (
            getattr(request, "seen", None),
            getattr(request.state, "seen", None),
        )
        built.log.append(f"{name} {type(exc).__name__} {body} {of_request}")
        return Response("handled", getattr(exc, "status_code", 418))

    built.app.add_exception_handler(error, handle)
