"""The dispatcher in the place of an app's router: what it says, keeps, leaves alone."""

import gc
import json
import logging
import os
import re
import subprocess
import sys
from collections import deque
from pathlib import Path as FilePath
from typing import Annotated, ClassVar

import pytest
from catalogue import NOTEBOOK, Items, client_of
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.convertors import StringConvertor
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.middleware import Middleware
from ways import Watch, note_routing

from howdah import connect
from howdah.errors import Misconfigured
from howdah.memory import MemoryDatabase
from howdah.route import internals
from howdah.route.early import EarlyRoutes, ShortCut
from howdah.route.heard import Heard
from howdah.route.internals import Inclusion

pytestmark = pytest.mark.anyio


@pytest.fixture
def memory():
    return MemoryDatabase()


@pytest.fixture
def watch():
    return Watch()


@pytest.fixture
def app(memory, watch):
    """An app with a resource, whose requests say which way they went."""
    app = FastAPI(middleware=[Middleware(watch)])
    connect(app, memory)
    note_routing(app).include_router(Items(memory).router(prefix="/items"))
    return app


async def guard() -> None:
    raise HTTPException(401)


def reasons(caplog) -> list[str]:
    """Return why requests went FastAPI's way, as the log has it."""
    return [it.reason for it in caplog.records if hasattr(it, "reason")]


async def test_the_log_says_once_why_requests_go_fastapis_way(
    app, watch, caplog, monkeypatch
):
    def tool(self, scope):
        return original(self, scope)

    original = APIRoute.matches
    async with client_of(app) as client:
        await client.get("/items/")
        monkeypatch.setattr(APIRoute, "matches", tool)
        for _ in range(3):
            await client.get("/items/")
        monkeypatch.undo()
        await client.get("/items/")

    assert watch.ways == ["early", "whole", "whole", "whole", "early"]
    assert reasons(caplog) == ["APIRoute.matches was replaced"]


async def test_the_log_says_which_dependencies_only_fastapi_solves(memory, caplog):
    async def opened():
        yield

    caplog.set_level(logging.INFO, logger="howdah.route")
    app = FastAPI()
    connect(app, memory)
    router = Items(memory).router(prefix="/items", dependencies=[Depends(opened)])
    app.include_router(router)
    async with client_of(app) as client:
        for _ in range(2):
            await client.get("/items/")

    assert reasons(caplog) == ["it has dependencies of kinds that FastAPI alone solves"]


async def test_requests_are_early_again_once_changed_routes_were_read(app, watch):
    async with client_of(app) as client:
        await client.get("/items/")
        app.router.routes.insert(0, APIRoute("/mine", guard))
        for _ in range(3):
            await client.get("/items/")
        refused = await client.get("/mine")

    assert refused.status_code == 401
    assert watch.ways[-2] == "early"


async def test_inclusions_that_are_taken_out_again_leave_memory(app, memory):
    def included() -> int:
        gc.collect()
        return sum(type(it) is Inclusion for it in gc.get_objects())

    router = Items(memory).router(prefix="/more")
    async with client_of(app) as client:
        counts = []
        for _ in range(10):
            app.include_router(router)
            assert (await client.get("/more/")).status_code == 200
            del app.router.routes[-1]
            assert (await client.get("/more/")).status_code == 404
            counts.append(included())

    assert counts[-1] == counts[0]


async def test_a_router_that_has_an_app_of_its_own_keeps_it(memory):
    async def closed(scope, receive, send):
        await Response(status_code=401)(scope, receive, send)

    app = FastAPI()
    app.router.middleware_stack = closed
    connect(app, memory)
    app.include_router(Items(memory).router(prefix="/items"))
    async with client_of(app) as client:
        response = await client.get("/items/")

    assert response.status_code == 401
    assert app.router.middleware_stack is closed


async def test_everything_goes_fastapis_way_where_the_environment_says_so(
    memory, monkeypatch
):
    monkeypatch.setenv("HOWDAH_DISPATCH", "fastapi")
    watch = Watch()
    app = FastAPI(middleware=[Middleware(watch)])
    connect(app, memory)
    app.include_router(Items(memory).router(prefix="/items"))
    async with client_of(app) as client:
        made = await client.post("/items/", json=NOTEBOOK)
        read = await client.get("/items/1")

    assert (made.status_code, read.status_code) == (201, 200)
    assert watch.ways == ["whole", "whole"]
    assert not isinstance(app.router.middleware_stack, EarlyRoutes)


def shortcut_of(app: FastAPI) -> ShortCut:
    """Return the short cut in an app's middleware."""
    layer = app.build_middleware_stack()
    app.middleware_stack = layer
    while not isinstance(layer, ShortCut):
        layer = layer.app
    return layer


@pytest.mark.parametrize("layer", ["exceptions", "stack", "router", "class"])
async def test_a_guard_between_fastapis_innermost_layers_is_asked(
    memory, layer, monkeypatch
):
    app = FastAPI()
    connect(app, memory)
    app.include_router(Items(memory).router(prefix="/items"))

    async def closed(scope, receive, send):
        await Response(status_code=401)(scope, receive, send)

    async def closed_call(self, scope, receive, send):
        await closed(scope, receive, send)

    shortcut = shortcut_of(app)
    async with client_of(app) as client:
        before = await client.get("/items/")
        if layer == "exceptions":
            shortcut.app = closed
        elif layer == "stack":
            shortcut.app.app = closed
        elif layer == "router":
            shortcut.app.app.app = closed
        else:
            monkeypatch.setattr(type(shortcut.app), "__call__", closed_call)
        after = await client.get("/items/")

    assert (before.status_code, after.status_code) == (200, 401)


async def test_an_exception_of_a_handler_is_handled_as_fastapi_does(memory):
    class Mishap(Exception):
        pass

    async def fail() -> None:
        raise Mishap

    app = FastAPI()
    connect(app, memory)

    @app.exception_handler(Mishap)
    async def handle(request: Request, exc: Exception) -> Response:
        raise HTTPException(418, "from the handler")

    resource = Items(memory).router(prefix="/items", dependencies=[Depends(fail)])
    app.include_router(resource)
    app.add_api_route("/own", fail)
    async with client_of(app) as client:
        own, items = await client.get("/own"), await client.get("/items/")

    assert own.status_code == items.status_code == 418
    assert own.json()["detail"] == items.json()["detail"]


async def test_a_handler_may_read_a_body_that_was_too_large(memory):
    class Short(Items):
        body = 20

    app = FastAPI()
    connect(app, memory)

    @app.exception_handler(StarletteHTTPException)
    async def handle(request: Request, exc: HTTPException) -> Response:
        return Response(await request.body(), exc.status_code)

    app.include_router(Short(memory).router(prefix="/items"))
    async with client_of(app) as client:
        response = await client.post("/items/", json=NOTEBOOK)

    assert (response.status_code, response.content) == (413, b"")


@pytest.mark.parametrize("way", ["direct", "fastapi"])
async def test_one_request_is_shown_to_dependencies_and_handlers(
    memory, way, monkeypatch
):
    monkeypatch.setenv("HOWDAH_DISPATCH", way)
    seen = []

    async def mark(request: Request) -> None:
        request.mark = "mine"
        seen.append(request)

    app = FastAPI()
    connect(app, memory)

    @app.exception_handler(RequestValidationError)
    async def handle(request: Request, exc: Exception) -> Response:
        seen.append(request)
        return Response(await request.body(), 422)

    router = Items(memory).router(prefix="/items", dependencies=[Depends(mark)])
    app.include_router(router)
    async with client_of(app) as client:
        response = await client.post("/items/", json={"name": 5})

    assert response.content == b'{"name":5}'
    assert seen[0] is seen[1]


@pytest.mark.parametrize("way", ["direct", "fastapi"])
@pytest.mark.parametrize(("set_to", "status"), [(None, 201), (202, 202), (204, 204)])
async def test_what_a_dependency_writes_is_in_the_answer(
    memory, way, set_to, status, monkeypatch
):
    monkeypatch.setenv("HOWDAH_DISPATCH", way)

    async def renew(response: Response) -> None:
        response.headers["x-session"] = "new"
        response.set_cookie("session", "abc")
        response.status_code = set_to

    app = FastAPI()
    connect(app, memory)
    router = Items(memory).router(prefix="/items", dependencies=[Depends(renew)])
    app.include_router(router)
    async with client_of(app) as client:
        made = await client.post("/items/", json=NOTEBOOK)
        missing = await client.get("/items/9")

    assert made.status_code == status
    assert made.headers["x-session"] == "new"
    assert made.cookies["session"] == "abc"
    assert (made.content == b"") == (status == 204)
    assert missing.status_code == 404
    assert "x-session" not in missing.headers


class Unread(APIRoute):
    """A route class of one's own that looks at nothing."""


class Logged(APIRoute):
    """One that FastAPI's documentation shows: a handler around the handler."""

    seen: ClassVar[list[str]] = []

    def get_route_handler(self):
        handle = super().get_route_handler()

        async def logged(request: Request) -> Response:
            self.seen.append(request.url.path)
            return await handle(request)

        return logged


class Typed(APIRoute):
    """One that looks at what a route answers."""

    models: ClassVar[list[object]] = []

    def __init__(self, path, endpoint, **options):
        self.models.append(options["response_model"])
        super().__init__(path, endpoint, **options)


@pytest.mark.parametrize("route_class", [APIRoute, Unread, Logged, Typed])
async def test_a_route_class_of_ones_own_is_taken(memory, route_class):
    app = FastAPI()
    connect(app, memory)
    router = Items(memory).router(prefix="/items", route_class=route_class)
    app.include_router(router)
    async with client_of(app) as client:
        made = await client.post("/items/", json=NOTEBOOK)
        twice = await client.post(
            "/items/",
            content='{"name": "a", "name": "b"}',
            headers={"content-type": "application/json"},
        )

    assert made.status_code == 201
    assert twice.status_code == 422
    assert all(isinstance(route, route_class) for route in router.routes)
    if route_class is Logged:
        assert Logged.seen == ["/items/", "/items/"]
    if route_class is Typed:
        assert Items(memory).read_schema in Typed.models


@pytest.mark.parametrize("route_class", [None, 5, dict, FastAPI])
def test_a_route_class_of_another_kind_is_refused(memory, route_class):
    with pytest.raises(Misconfigured, match="subclass of FastAPI's APIRoute"):
        Items(memory).router(route_class=route_class)


def operation_ids(app: FastAPI) -> list[str]:
    paths = app.openapi()["paths"]
    return [
        operation["operationId"]
        for path, operations in paths.items()
        for operation in operations.values()
        if path.startswith("/items")
    ]


def test_operations_keep_their_names_without_a_function_for_them(memory):
    app = FastAPI()
    app.include_router(Items(memory).router(prefix="/items"))

    assert {"items_create", "items_list", "items_get"} <= {*operation_ids(app)}


@pytest.mark.parametrize("place", ["app", "router", "inclusion"])
def test_a_function_for_unique_ids_names_operations(memory, place):
    def named(route: APIRoute) -> str:
        return f"mine-{route.name}"

    options = {"generate_unique_id_function": named}
    app = FastAPI(**(options if place == "app" else {}))
    of_router = options if place == "router" else {}
    router = Items(memory).router(prefix="/items", **of_router)
    app.include_router(router, **(options if place == "inclusion" else {}))

    assert all(it.startswith("mine-") for it in operation_ids(app))


async def test_a_number_that_a_convertor_cannot_read_is_no_path(memory):
    app = FastAPI()
    connect(app, memory)
    app.include_router(Items(memory).router(prefix="/shops/{shop:int}/items"))
    async with client_of(app) as client:
        found = await client.get("/shops/5/items/")
        long = await client.get(f"/shops/{'9' * 5000}/items/")

    assert (found.status_code, long.status_code) == (200, 404)


async def test_a_route_for_head_goes_before_get_and_leaves_others_alone(memory):
    router = Items(memory).router(prefix="/items")

    @router.head("/ping")
    async def ping() -> Response:
        return Response(headers={"x-ping": "1"})

    @router.head("/")
    async def exists() -> Response:
        return Response(headers={"x-exists": "1"})

    app = FastAPI()
    connect(app, memory)
    app.include_router(router)
    async with client_of(app) as client:
        await client.post("/items/", json=NOTEBOOK)
        answers = [await client.head(f"/items/{it}") for it in ("ping", "", "1")]
        listed = await client.get("/items/")

    assert [it.status_code for it in answers] == [200, 200, 200]
    assert answers[0].headers["x-ping"] == answers[1].headers["x-exists"] == "1"
    assert "etag" in answers[2].headers
    assert len(listed.json()) == 1


async def test_a_router_of_a_router_is_early(memory, watch):
    outer, inner = APIRouter(prefix="/a"), APIRouter(prefix="/b")
    inner.include_router(Items(memory).router(prefix="/items"))
    outer.include_router(inner)
    app = FastAPI(middleware=[Middleware(watch)])
    connect(app, memory)
    note_routing(app).include_router(outer)
    async with client_of(app) as client:
        answers = [await client.get("/a/b/items/") for _ in range(2)]

    assert [it.status_code for it in answers] == [200, 200]
    assert watch.ways == ["early", "early"]


def open_and_guarded(memory, change, path) -> FastAPI:
    """Make an app with a guarded route of its own before an open resource."""
    app = FastAPI()
    connect(app, memory)
    app.add_api_route(path, guard)
    app.include_router(Items(memory).router(prefix="/items"))
    change(app.router.routes[-2])
    return app


def without_case(route) -> None:
    route.path_regex = re.compile(route.path_regex.pattern, re.IGNORECASE)


def without_end(route) -> None:
    route.path_regex = re.compile("^/items")


def with_a_flag_inside(route) -> None:
    route.path_regex = re.compile("(?i)^/ITEMS/?$")


def with_a_choice(route) -> None:
    route.path_regex = re.compile("^/items/$|^/other$")


def with_a_reference(route) -> None:
    route.path_regex = re.compile("^/items(?P<a>/)(?P=a)?$")
    route.param_convertors = {"a": StringConvertor()}


@pytest.mark.parametrize(
    "change",
    [without_case, without_end, with_a_flag_inside, with_a_choice, with_a_reference],
)
async def test_a_pattern_that_is_not_that_of_its_path_is_left_to_fastapi(
    memory, change
):
    app = open_and_guarded(memory, change, "/ITEMS/")
    async with client_of(app) as client:
        answers = [await client.get("/items/") for _ in range(3)]

    assert [it.status_code for it in answers] == [401, 401, 401]


async def test_methods_that_change_in_a_list_of_ones_own_are_seen(memory):
    methods = ["POST"]

    def own_list(route):
        route.methods = methods

    app = open_and_guarded(memory, own_list, "/items/")
    async with client_of(app) as client:
        before = await client.get("/items/")
        methods.append("GET")
        after = [await client.get("/items/") for _ in range(2)]

    assert before.status_code == 200
    assert [it.status_code for it in after] == [401, 401]


async def test_a_routes_property_is_left_to_fastapi(memory):
    class Listed(APIRouter):
        @property
        def routes(self):
            return list(self.kept)

        @routes.setter
        def routes(self, value):
            self.kept = value

    outer = Listed()
    app = FastAPI()
    connect(app, memory)
    outer.kept.append(APIRoute("/mine", guard))
    app.include_router(outer)
    app.include_router(Items(memory).router(prefix="/items"))
    async with client_of(app) as client:
        answers = [await client.get(path) for path in ("/items/", "/mine", "/items/")]

    assert [it.status_code for it in answers] == [200, 401, 200]


@pytest.mark.parametrize("name", ["matches", "handle"])
async def test_a_route_class_that_gets_a_guard_later_is_asked(memory, name):
    class Mine(APIRoute):
        pass

    app = FastAPI()
    connect(app, memory)
    app.include_router(Items(memory).router(prefix="/items", route_class=Mine))

    def guarded(self, *args):
        raise HTTPException(401)

    async with client_of(app) as client:
        before = await client.get("/items/")
        setattr(Mine, name, guarded)
        after = [await client.get("/items/") for _ in range(2)]

    assert before.status_code == 200
    assert [it.status_code for it in after] == [401, 401]


async def test_a_parameter_that_no_path_has_is_422(memory):
    async def tenant(tenant: Annotated[str, Path()]) -> None: ...

    app = FastAPI()
    connect(app, memory)
    router = Items(memory).router(prefix="/items", dependencies=[Depends(tenant)])
    app.include_router(router)
    async with client_of(app) as client:
        response = await client.get("/items/")

    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "tenant"


@pytest.mark.parametrize("path", ["/items%0A", "/items/%0A", "/items/1/%0A"])
async def test_a_line_feed_at_the_end_is_part_of_a_path(memory, path, monkeypatch):
    statuses = []
    for way in ("direct", "fastapi"):
        monkeypatch.setenv("HOWDAH_DISPATCH", way)
        app = FastAPI()
        connect(app, memory)
        app.include_router(Items(memory).router(prefix="/items"))
        async with client_of(app) as client:
            statuses.append((await client.get(path)).status_code)

    assert statuses[0] == statuses[1] != 200


async def test_fixed_paths_are_theirs_under_a_prefix_with_a_parameter(memory):
    app, inner = FastAPI(), FastAPI()
    connect(app, memory)
    connect(inner, memory)
    app.include_router(Items(memory).router(), prefix="/t/{tenant}/items")
    inner.include_router(Items(memory).router(prefix="/items"))
    app.mount("/m/{tenant}", inner)
    async with client_of(app) as client:
        counts = [
            await client.get("/t/a/items/count"),
            await client.get("/m/a/items/count"),
        ]

    assert [it.status_code for it in counts] == [200, 200]


async def test_messages_of_a_body_are_said_again_without_moving_the_others():
    messages = [{"type": "http.request", "body": b"x", "more_body": True}] * 3
    messages += [{"type": "http.request", "body": b"", "more_body": True}] * 3
    messages += [{"type": "http.request", "body": b"y", "more_body": False}]
    coming = iter(messages)

    async def receive():
        return next(coming)

    heard = Heard(receive)

    assert await heard.body(None) == b"xxxy"
    # A list would move them all for each that is said: a body in a hundred thousand
    # parts would keep the server for seconds. Parts without anything are not kept.
    assert type(heard._said) is deque
    assert [(await heard())["body"] for _ in range(4)] == [b"x", b"x", b"x", b"y"]


OF_ANOTHER_RELEASE = """
import asyncio, json, logging, sys
import fastapi, starlette

module, version = sys.argv[1:]
{"fastapi": fastapi, "starlette": starlette}[module].__version__ = version

from catalogue import NOTEBOOK, Items, client_of
from fastapi import FastAPI
from ways import Watch
from starlette.middleware import Middleware

from howdah import connect
from howdah.memory import MemoryDatabase

logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
memory, watch = MemoryDatabase(), Watch()
app = FastAPI(middleware=[Middleware(watch)])
connect(app, memory)
app.include_router(Items(memory).router(prefix="/items"))


async def ask():
    async with client_of(app) as client:
        made = await client.post("/items/", json=NOTEBOOK)
        read = await client.get("/items/1")
        listed = await client.get("/items/?limit=1")
    return [made.status_code, read.status_code, len(listed.json())]


print(json.dumps([asyncio.run(ask()), watch.ways]))
"""


def of_release(module: str, version: str) -> tuple[object, list[str]]:
    """Return what an app answers on a release of another number, and what it logs."""
    ran = subprocess.run(
        [sys.executable, "-c", OF_ANOTHER_RELEASE, module, version],
        check=True,
        capture_output=True,
        cwd=FilePath(__file__).parent,
        text=True,
        env={**os.environ, "PYTHONPATH": "."},
    )
    return json.loads(ran.stdout), ran.stderr.splitlines()


@pytest.mark.parametrize("module", ["fastapi", "starlette"])
def test_a_release_that_was_not_tested_goes_fastapis_way_and_says_so_once(module):
    (answers, ways), log = of_release(module, "99.1.0")

    assert answers == [201, 200, 1]
    assert {*ways} == {"whole"}
    reason = f"{module} 99.1.0 was not tested with this Howdah"
    assert log == [f"requests go FastAPI's own way: {reason}"]


def test_a_patch_of_a_tested_release_goes_the_thin_way():
    version = f"{internals.TESTED['fastapi']}.99"

    (answers, ways), log = of_release("fastapi", version)

    assert answers == [201, 200, 1]
    assert "whole" not in ways
    assert log == []
