"""Private names of FastAPI that routes use: each does what is believed."""

import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import APIRoute
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request

from howdah.route import StrictRoute, internals
from howdah.route.strict import StrictRequest
from howdah.route.thin import _STRICTLY

pytestmark = pytest.mark.anyio

WATCHED = [
    pytest.param(owner, name, id=f"{owner.__name__}.{name}")
    for owner, name in internals._WATCHED
]


def nothing():
    """Be an endpoint, a dependency, or what a tool puts in the place of a function."""


@pytest.fixture
def router():
    """A router with a route that is strict, and one that is not."""
    router = APIRouter(prefix="/things")
    router.add_api_route("/strict", nothing, name="strict")
    router.routes[-1] = StrictRoute("/things/strict", nothing)
    router.add_api_route("/plain", nothing, name="plain")
    return router


@pytest.fixture
def included(router):
    """The same router where an app includes it."""
    app = FastAPI()
    app.include_router(router, prefix="/v1", dependencies=[Depends(nothing)])
    return app.router.routes[-1]


def built_by_fastapi(_included, _route):
    return None


def test_fastapi_is_as_it_came():
    assert internals.is_unpatched()
    assert internals.replaced_functions() == []


@pytest.mark.parametrize(("owner", "name"), WATCHED)
def test_a_function_that_a_tool_replaces_is_seen_until_it_is_back(
    monkeypatch, owner, name
):
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, nothing)

        assert not internals.is_unpatched()
        assert internals.replaced_functions() == [f"{owner.__name__}.{name}"]

    assert internals.is_unpatched()


def test_another_request_class_of_fastapi_is_seen(monkeypatch):
    monkeypatch.setattr("fastapi.routing.Request", type("Other", (Request,), {}))

    assert not internals.is_unpatched()
    assert internals.replaced_functions() == ["fastapi.routing.Request"]


@pytest.mark.parametrize(
    ("owner", "name"),
    [pytest.param(owner, it, id=it) for owner, it in internals._BUILDERS],
)
def test_a_function_that_builds_routes_is_seen_when_it_is_replaced(
    monkeypatch, owner, name
):
    assert internals.builds_as_it_came()

    monkeypatch.setattr(owner, name, nothing)

    assert not internals.builds_as_it_came()


def test_fastapis_innermost_layers_are_found_where_they_are_untouched():
    app = FastAPI()
    stack = app.build_middleware_stack()

    outer = internals.around_exceptions(stack, app.router)

    assert outer is not None
    assert internals.handlers_of(outer.app) == (
        outer.app._exception_handlers,
        outer.app._status_handlers,
    )
    known = internals.read_layers(outer.app)
    assert internals.read_layers(outer.app) == known
    outer.app.app = nothing
    assert internals.read_layers(outer.app) != known


def test_layers_of_another_kind_are_not_taken_for_fastapis(monkeypatch):
    app = FastAPI()
    stack = app.build_middleware_stack()
    other = APIRouter()

    assert internals.around_exceptions(stack, other) is None
    monkeypatch.setattr(ExceptionMiddleware, "__call__", nothing)
    assert internals.around_exceptions(stack, app.router) is None


def test_the_app_of_a_strict_route_tells_what_fastapi_would_solve():
    route = StrictRoute("/", nothing, dependencies=[Depends(nothing)])

    made = internals.fastapi_handler(route.app, _STRICTLY)

    assert made is not None
    assert made["dependant"] is route.dependant
    assert made["body_field"] is route.body_field
    assert made["dependency_overrides_provider"] is None


def test_an_app_that_is_not_fastapis_own_tells_nothing():
    plain, strict = APIRoute("/", nothing), StrictRoute("/", nothing)

    async def around(scope, receive, send):
        await strict.app(scope, receive, send)

    limited = StrictRoute("/", nothing, max_body_size=9)

    for app in (plain.app, around, limited.app):
        assert internals.fastapi_handler(app, _STRICTLY) is None


def test_fastapi_says_for_which_inclusion_it_builds_a_route(included, router):
    built = []

    class Told(StrictRoute):
        def get_route_handler(self):
            built.append(internals.route_being_built(self))
            return super().get_route_handler()

    router.routes[:] = [route := Told("/things/told", nothing)]

    (context,) = included.effective_candidates()

    assert built[0] is route
    assert built[1] is context


def test_candidates_are_those_that_fastapi_keeps(included, router):
    assert internals.known_candidates(included) is None

    made = internals.candidates_of(included, built_by_fastapi)

    assert included.effective_candidates() is made
    assert internals.known_candidates(included) is made
    assert [each.original_route for each in made] == router.routes
    assert [each.path for each in made] == ["/v1/things/strict", "/v1/things/plain"]


def test_candidates_are_made_anew_once_a_router_has_changed(included, router):
    before = internals.candidates_of(included, built_by_fastapi)
    version = internals.version_of(router)
    router.add_api_route("/new", nothing)

    assert internals.version_of(router) == version + 1
    assert internals.known_candidates(included) is None
    assert len(internals.candidates_of(included, built_by_fastapi)) == len(before) + 1


def test_an_inclusion_inside_of_another_one_is_what_fastapi_makes_of_it(router):
    middle, app = APIRouter(prefix="/a"), FastAPI()
    middle.include_router(router, prefix="/b", dependencies=[Depends(nothing)])
    app.include_router(middle, prefix="/c")
    outer = app.router.routes[-1]

    (of_fastapi,) = outer.effective_candidates()
    own = internals.combined(outer, middle.routes[0])

    assert own.original_router is of_fastapi.original_router
    assert own.include_context == of_fastapi.include_context
    assert [it.path for it in of_fastapi.effective_candidates()] == [
        "/c/a/b/things/strict",
        "/c/a/b/things/plain",
    ]


@pytest.mark.parametrize("name", internals._METHODS)
def test_an_inclusion_or_a_router_with_methods_of_its_own_is_not_plain(
    included, router, name
):
    matches = (APIRouter.matches,)
    assert internals.is_plain_inclusion(included, matches)

    for owner in (included, router):
        vars(owner)[name] = nothing
        assert not internals.is_plain_inclusion(included, matches)
        del vars(owner)[name]

    assert internals.is_plain_inclusion(included, matches)


def test_a_router_with_an_app_of_its_own_is_not_plain():
    class Guarded(APIRouter):
        async def app(self, scope, receive, send):
            await super().app(scope, receive, send)

    wrapped = APIRouter()
    wrapped.middleware_stack = nothing

    assert internals.is_plain_router_app(FastAPI().router)
    assert not internals.is_plain_router_app(Guarded())
    assert not internals.is_plain_router_app(wrapped)


def test_limits_of_forms_are_where_fastapi_looks_for_them():
    scope = {"type": "http"}

    internals.apply_form_limits(scope, {"max_files": 2})

    assert scope["fastapi"] == {"form_limits": {"max_files": 2}}


async def test_a_body_that_was_read_is_there_for_whoever_asks_a_request():
    async def receive():
        raise AssertionError("nothing is left to receive")

    request = StrictRequest({"type": "http", "headers": []}, receive)
    request.take_body(b'{"a": 1}')

    assert await request.body() == b'{"a": 1}'
    assert [it async for it in request.stream()] == [b'{"a": 1}', b""]
    assert await request.json() == {"a": 1}
