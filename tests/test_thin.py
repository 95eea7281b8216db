"""The thin way to a route answers what FastAPI's own way would, and skips nothing."""

import datetime as dt
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import httpx
import pytest
from catalogue import NOTEBOOK, Items, client_of
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response
from fastapi import routing as fastapi_routing
from fastapi.security import APIKeyHeader, HTTPBearer
from sqlalchemy import true
from sqlmodel import Field, SQLModel
from starlette.middleware import Middleware
from ways import Watch, WholeRoute, note_routing, said, way

from howdah import Resource, connect, problems
from howdah.errors import Invalid
from howdah.memory import MemoryDatabase
from howdah.resource import ResourceRoute

pytestmark = pytest.mark.anyio

NOON = dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC)


class Asked(Items):
    filters = ("name", "price")
    sort = ("name", "price")


@pytest.fixture
def memory():
    return MemoryDatabase(now=lambda: NOON)


@pytest.fixture
def watch():
    return Watch()


@pytest.fixture
def make(memory, watch):
    """Make a connected app, watched, that anything may be added to."""

    def make(**options: Any) -> FastAPI:
        app = FastAPI(middleware=[Middleware(watch)], **options)
        connect(app, memory)
        return note_routing(app)

    return make


REQUESTS = [
    pytest.param("POST", "/items/", NOTEBOOK, id="create"),
    pytest.param("POST", "/items/batch", [NOTEBOOK, NOTEBOOK], id="create many"),
    pytest.param("GET", "/items/", None, id="list"),
    pytest.param("GET", "/items/?limit=2&sort=-price", None, id="sorted list"),
    pytest.param("GET", "/items/search?q=note", None, id="search"),
    pytest.param("GET", "/items/count", None, id="count"),
    pytest.param("POST", "/items/search", {"q": "note"}, id="search by body"),
    pytest.param("GET", "/items/1", None, id="get"),
    pytest.param("PUT", "/items/1", {"price": 5}, id="update"),
    pytest.param("PATCH", "/items/1", {"tax": None}, id="patch"),
    pytest.param("PATCH", "/items/batch", [{"id": 1, "price": 5}], id="update many"),
    pytest.param("DELETE", "/items/1", None, id="delete"),
    pytest.param("DELETE", "/items/batch", [1], id="delete many"),
    pytest.param("POST", "/items/1/restore", None, id="restore"),
]


@pytest.mark.parametrize(("method", "path", "body"), REQUESTS)
async def test_a_request_goes_the_thin_way_where_nothing_is_to_be_solved(
    make, memory, watch, method, path, body
):
    app = make()
    app.include_router(Asked(memory).router(prefix="/items"))
    async with client_of(app) as client:
        await client.post("/items/", json=NOTEBOOK)
        response = await client.request(method, path, json=body)

    assert response.is_success, response.text
    assert watch.last == "early"


@pytest.mark.parametrize(("method", "path", "body"), REQUESTS)
async def test_it_is_thin_without_the_middleware_of_connect(
    memory, watch, method, path, body
):
    app = FastAPI(middleware=[Middleware(watch)])
    problems.install(app)
    note_routing(app).include_router(Asked(memory).router(prefix="/items"))
    async with client_of(app) as client:
        await client.post("/items/", json=NOTEBOOK)
        response = await client.request(method, path, json=body)

    assert response.is_success, response.text
    assert watch.last == "thin"


class Door:
    """A dependency that counts who comes, and may be shut."""

    def __init__(self) -> None:
        self.count = 0
        self.shut = False

    async def __call__(self, request: Request) -> None:
        self.count += 1
        assert request.url.path
        if self.shut:
            raise HTTPException(401, "shut")


Builder = Callable[[FastAPI, MemoryDatabase, Any], None]


def of_an_action(app, memory, door):
    class Guarded(Asked):
        dependencies: ClassVar = {"read": [Depends(door)], "write": [Depends(door)]}

    app.include_router(Guarded(memory).router(prefix="/items"))


def of_the_router(app, memory, door):
    router = Asked(memory).router(prefix="/items", dependencies=[Depends(door)])
    app.include_router(router)


def of_the_inclusion(app, memory, door):
    router = Asked(memory).router(prefix="/items")
    app.include_router(router, dependencies=[Depends(door)])


def of_the_second_inclusion(app, memory, door):
    router = Asked(memory).router()
    app.include_router(router, prefix="/open")
    app.include_router(router, prefix="/items", dependencies=[Depends(door)])


def of_an_outer_router(app, memory, door):
    outer = APIRouter(prefix="/items", dependencies=[Depends(door)])
    outer.include_router(Asked(memory).router())
    app.include_router(outer)


def of_an_inclusion_in_between(app, memory, door):
    inner, outer = APIRouter(), APIRouter()
    inner.include_router(Asked(memory).router(prefix="/items"))
    outer.include_router(inner, dependencies=[Depends(door)])
    app.include_router(outer)


def of_the_app(app, memory, door):
    app.router.dependencies.append(Depends(door))
    app.include_router(Asked(memory).router(prefix="/items"))


def of_a_dependency(app, memory, door):
    async def outer(inner: Annotated[None, Depends(door)]) -> None:
        assert inner is None

    router = Asked(memory).router(prefix="/items", dependencies=[Depends(outer)])
    app.include_router(router)


def of_an_override(app, memory, door):
    def nothing() -> None:
        raise AssertionError("it is overridden")

    router = Asked(memory).router(prefix="/items", dependencies=[Depends(nothing)])
    app.include_router(router)
    app.dependency_overrides[nothing] = door


def of_a_yield(app, memory, door):
    async def around(request: Request):
        await door(request)
        yield

    router = Asked(memory).router(prefix="/items", dependencies=[Depends(around)])
    app.include_router(router)


def of_a_scope(app, memory, door):
    class Scoped(Asked):
        def scope(self, entered: Annotated[None, Depends(door)]):
            assert entered is None
            return true()

    app.include_router(Scoped(memory).router(prefix="/items"))


def of_a_route_by_hand(app, memory, door):
    """As a tool might do it that knows how FastAPI works."""
    router = Asked(memory).router(prefix="/items")
    plain = APIRouter()

    @plain.get("/", dependencies=[Depends(door)])
    async def endpoint() -> None: ...

    (added,) = plain.routes[0].dependant.dependencies
    app.router.routes.extend(router.routes)
    for route in router.routes:
        route.dependant.dependencies.append(added)


def of_a_mounted_app(app, memory, door):
    inner = FastAPI(dependencies=[Depends(door)])
    connect(inner, memory)
    inner.include_router(Asked(memory).router())
    app.mount("/items", inner)


ATTACHED = [
    (of_an_action, "early"),
    (of_the_router, "early"),
    (of_the_inclusion, "early"),
    (of_the_second_inclusion, "early"),
    (of_an_outer_router, "early"),
    (of_an_inclusion_in_between, "early"),
    (of_the_app, "early"),
    (of_a_dependency, "early"),
    (of_an_override, "whole"),
    (of_a_yield, "whole"),
    (of_a_scope, "early"),
    (of_a_route_by_hand, "early"),
    (of_a_mounted_app, "thin"),
]


@pytest.mark.parametrize(("attach", "gone"), ATTACHED)
@pytest.mark.parametrize(("method", "path", "body"), REQUESTS)
async def test_a_dependency_is_never_skipped(
    make, memory, watch, method, path, body, attach, gone
):
    app, door = make(), Door()
    attach(app, memory, door)
    async with client_of(app) as client:
        await client.post("/items/", json=NOTEBOOK)
        came = door.count
        response = await client.request(method, path, json=body)
        assert response.is_success, response.text
        assert door.count == came + 1
        assert watch.last == gone
        door.shut = True
        refused = await client.request(method, path, json=body)

    assert refused.status_code == 401
    assert door.count == came + 2


async def test_a_hook_is_never_skipped(make, memory):
    said = []

    class Hooked(Asked):
        async def before_write(self, change):
            said.append(f"before {change.action}")

        async def after_write(self, change):
            said.append(f"after {change.action}")

    app = make()
    app.include_router(Hooked(memory).router(prefix="/items"))
    async with client_of(app) as client:
        await client.post("/items/", json=NOTEBOOK)

    assert said == ["before create", "after create"]


@pytest.mark.parametrize("scheme", [HTTPBearer(), APIKeyHeader(name="X-Key")])
async def test_a_security_scheme_is_never_skipped(make, memory, scheme):
    app = make()
    router = Asked(memory).router(prefix="/items", dependencies=[Depends(scheme)])
    app.include_router(router)
    headers = {"X-Key": "a", "Authorization": "Bearer a"}
    async with client_of(app) as client:
        refused = await client.get("/items/")
        let_in = await client.get("/items/", headers=headers)

    assert refused.status_code in {401, 403}
    assert let_in.status_code == 200


async def test_an_override_counts_from_the_moment_it_is_made(make, memory):
    def refuse() -> None:
        raise HTTPException(401)

    def let() -> None: ...

    app = make()
    router = Asked(memory).router(prefix="/items", dependencies=[Depends(refuse)])
    app.include_router(router)
    async with client_of(app) as client:
        first = await client.get("/items/")
        app.dependency_overrides[refuse] = let
        second = await client.get("/items/")
        app.dependency_overrides.clear()
        third = await client.get("/items/")

    assert [each.status_code for each in (first, second, third)] == [401, 200, 401]


async def test_a_dependency_that_a_tool_adds_to_a_route_in_use_counts(make, memory):
    app, door = make(), Door()
    router = Asked(memory).router(prefix="/items")
    app.router.routes.extend(router.routes)
    async with client_of(app) as client:
        before = await client.get("/items/")
        door.shut = True
        plain = APIRouter(dependencies=[Depends(door)])
        plain.add_api_route("/", lambda: None)
        for route in router.routes:
            route.dependant.dependencies += plain.routes[0].dependant.dependencies
        after = await client.get("/items/")

    assert (before.status_code, after.status_code) == (200, 401)


@pytest.mark.parametrize("late", [False, True])
async def test_middleware_is_around_everything(make, memory, watch, late):
    said = []

    def teller(name):
        async def tell(request: Request, call_next) -> Response:
            said.append(f"{name} {request.url.path}")
            response = await call_next(request)
            response.headers[f"x-{name}"] = request.scope["endpoint"].__name__
            return response

        return tell

    app = FastAPI(middleware=[Middleware(watch)])
    if late:
        connect(app, memory)
    app.middleware("http")(teller("inner"))
    app.middleware("http")(teller("outer"))
    if not late:
        connect(app, memory)
    app.include_router(Asked(memory).router(prefix="/items"))
    async with client_of(app) as client:
        response = await client.get("/items/")

    assert said == ["outer /items/", "inner /items/"]
    assert response.headers["x-inner"] == response.headers["x-outer"] == "list_items"
    assert watch.last == "early"


async def test_a_mounted_app_and_a_root_path_are_thin_as_well(make, memory, watch):
    inner = FastAPI(middleware=[Middleware(watch)])
    connect(inner, memory)
    note_routing(inner).include_router(Asked(memory).router(prefix="/items"))
    app = FastAPI()
    app.mount("/v1", inner)
    proxied = httpx.ASGITransport(app, root_path="/shop")
    async with httpx.AsyncClient(transport=proxied, base_url="http://test") as client:
        made = await client.post("/shop/v1/items/", json=NOTEBOOK)
        read = await client.get(made.headers["location"])

    assert made.headers["location"] == "/shop/v1/items/1"
    assert read.status_code == 200
    assert watch.ways == ["early", "early"]


async def test_two_databases_are_one_way(make):
    app = make()
    before = app.router.middleware_stack

    connect(app, MemoryDatabase())

    assert app.router.middleware_stack is before


async def test_the_scope_tells_middleware_what_has_answered(make, memory):
    app, scopes = make(), []

    async def remember(scope, receive, send):
        await app(scope, receive, send)
        scopes.append(scope)

    app.include_router(Asked(memory).router(prefix="/items"))
    async with client_of(remember) as client:
        await client.post("/items/", json=NOTEBOOK)
        await client.get("/items/1")

    (_, scope) = scopes
    assert way(scope) == "early"
    assert scope["path_params"] == {"item_id": "1"}
    assert scope["route"].path == "/items/{item_id}"
    assert scope["endpoint"] is scope["route"].endpoint
    assert scope["router"] is app.router


async def test_the_document_is_the_same_however_it_is_answered(make, memory):
    whole, early = FastAPI(), make()
    problems.install(whole)
    for app in (whole, early):
        app.include_router(Asked(memory).router(prefix="/items", tags=["items"]))
    paths = early.openapi()["paths"]

    assert {k: v for k, v in paths.items() if "health" not in k} == whole.openapi()[
        "paths"
    ]


TAG = '"1"'
JSON = {"content-type": "application/json"}
KEY = {"Idempotency-Key": "a"}
GOOD = json.dumps(NOTEBOOK)
SAID: list[tuple[str, str, dict[str, str], bytes | str]] = [
    ("POST", "/items/", JSON, GOOD),
    ("POST", "/items", JSON, GOOD),
    ("POST", "/items/", JSON, json.dumps({**NOTEBOOK, "price": 12.50})),
    ("POST", "/items/", {"content-type": "application/json; charset=utf-8"}, GOOD),
    ("POST", "/items/", {"content-type": "APPLICATION/JSON"}, GOOD),
    ("POST", "/items/", {"content-type": "application/ld+json"}, GOOD),
    ("POST", "/items/", {"content-type": "text/plain"}, GOOD),
    ("POST", "/items/", {"content-type": ""}, GOOD),
    ("POST", "/items/", {}, GOOD),
    ("POST", "/items/", {}, ""),
    ("POST", "/items/", JSON, ""),
    ("POST", "/items/", JSON, "null"),
    ("POST", "/items/", JSON, "[]"),
    ("POST", "/items/", JSON, "{"),
    ("POST", "/items/", JSON, b'{"name": "\xff"}'),
    ("POST", "/items/", JSON, '{"name": "a", "name": "b", "price": 1}'),
    ("POST", "/items/", JSON, '{"name": "a", "price": NaN}'),
    ("POST", "/items/", JSON, '{"name": "a", "price": "1"}'),
    ("POST", "/items/", JSON, '{"name": "a", "price": 1, "colour": "red"}'),
    ("POST", "/items/", JSON, '{"name": "", "price": -1, "tax": {}}'),
    ("POST", "/items/?colour=red", JSON, GOOD),
    ("POST", "/items/", JSON | KEY, GOOD),
    ("POST", "/items/", JSON | KEY, GOOD),
    ("POST", "/items/", JSON | KEY, '{"name": "other", "price": 1}'),
    ("POST", "/items/batch", JSON, f"[{GOOD}, {GOOD}]"),
    ("POST", "/items/batch", JSON, f"[{GOOD}, 1]"),
    ("POST", "/items/batch", JSON, "[]"),
    ("POST", "/items/search", JSON, '{"q": "note", "limit": 1}'),
    ("POST", "/items/search?limit=1", JSON, '{"q": "note"}'),
    ("POST", "/items/search", JSON, '{"colour": "red"}'),
    ("GET", "/items/", {}, ""),
    ("GET", "/items", {}, ""),
    ("HEAD", "/items/", {}, ""),
    ("GET", "/items/?limit=2&skip=1&sort=-price,name&price__gt=1&count=exact", {}, ""),
    ("GET", "/items/?limit=2&price__in=12.5&price__in=1500000", {}, ""),
    ("GET", "/items/?name=a%20b&name=c", {}, ""),
    ("GET", "/items/?name=%zz", {}, ""),
    ("GET", "/items/?name=%00", {}, ""),
    ("GET", "/items/?limit=0&colour=red&sort=colour", {}, ""),
    ("GET", "/items/?fields=name,price&limit=1", {}, ""),
    ("GET", "/items/search?q=note&limit=1", {}, ""),
    ("GET", "/items/search/?q=note&limit=1", {}, ""),
    ("GET", "/items/search", {}, ""),
    ("GET", "/items/count", {}, ""),
    ("GET", "/items/count?price__gt=1", {}, ""),
    ("GET", "/items/count?sort=price", {}, ""),
    ("GET", "/items/1", {}, ""),
    ("GET", "/items/1/", {}, ""),
    ("HEAD", "/items/1", {}, ""),
    ("GET", "/items/1", {"If-None-Match": TAG}, ""),
    ("GET", "/items/1", {"If-None-Match": '"0", W/"1"'}, ""),
    ("GET", "/items/1", {"If-None-Match": "*"}, ""),
    ("GET", "/items/1?fields=name", {}, ""),
    ("GET", "/items/1?fields=colour", {}, ""),
    ("GET", "/items/1?", {}, ""),
    ("GET", "/items/%31", {}, ""),
    ("GET", "/items/1%2F2", {}, ""),
    ("GET", "/items/%zz", {}, ""),
    ("GET", "/items/%ff", {}, ""),
    ("GET", "/items/ 1", {}, ""),
    ("GET", "/items/1_0", {}, ""),
    ("GET", "/items/99999999999999999999", {}, ""),
    ("GET", "/items/-1", {}, ""),
    ("GET", "/items/999", {}, ""),
    ("GET", "/items/one", {}, ""),
    ("GET", "/items//", {}, ""),
    ("GET", "//items/", {}, ""),
    ("GET", "/items/1/2", {}, ""),
    ("GET", "/other", {}, ""),
    ("PUT", "/items/1", JSON, '{"price": 2.5}'),
    ("PUT", "/items/1/", JSON, '{"price": 2.50}'),
    ("PUT", "/items/1", JSON, "{}"),
    ("PUT", "/items/1", JSON, ""),
    ("PUT", "/items/1", JSON, "null"),
    ("PUT", "/items/1", {}, "{}"),
    ("PUT", "/items/1", JSON, "{"),
    ("PUT", "/items/one", JSON, '{"price": "a"}'),
    ("PUT", "/items/999", JSON, '{"price": 1}'),
    ("PUT", "/items/1", JSON | {"If-Match": '"0"'}, '{"price": 1}'),
    ("PUT", "/items/1", JSON | {"If-Match": "*"}, '{"price": 1}'),
    ("PATCH", "/items/2", JSON, '{"tax": null}'),
    ("PATCH", "/items/batch", JSON, '[{"id": 1, "price": 3}]'),
    ("PATCH", "/items/batch", JSON, '[{"id": true, "price": 3}]'),
    ("PATCH", "/items/batch", JSON, '[{"id": 1}, {"id": 999}]'),
    ("DELETE", "/items/2", {}, ""),
    ("DELETE", "/items/2?hard_delete=true", {}, ""),
    ("DELETE", "/items/2?hard_delete=maybe", {}, ""),
    ("DELETE", "/items/2?colour=red", {}, ""),
    ("DELETE", "/items/999", {}, ""),
    ("POST", "/items/1/restore", {}, ""),
    ("POST", "/items/1/restore", JSON, "{}"),
    ("DELETE", "/items/batch", JSON, "[3]"),
    ("DELETE", "/items/batch?id=4", {}, ""),
    ("DELETE", "/items/batch", {}, ""),
    ("DELETE", "/items/", {}, ""),
    ("OPTIONS", "/items/1", {}, ""),
    ("PUT", "/items/", JSON, GOOD),
    ("GET", "/items/batch", {}, ""),
    ("BREW", "/items/", {}, ""),
]


async def test_every_way_answers_the_same_bytes():
    answers = []
    for kind in ("early", "thin", "whole"):
        memory, watch = MemoryDatabase(now=lambda: NOON), Watch()
        app = FastAPI(middleware=[Middleware(watch)])
        options = {"route_class": WholeRoute} if kind == "whole" else {}
        if kind == "early":
            connect(app, memory)
        else:
            problems.install(app)
        router = Asked(memory).router(prefix="/items", **options)
        note_routing(app).include_router(router)
        async with client_of(app) as client:
            answers.append([(ask, await said(client, *ask)) for ask in SAID])
        assert kind in watch.ways
    early, thin, whole = answers

    assert early == whole
    assert thin == whole


@dataclass
class Sent:
    """What an ASGI app has sent."""

    messages: list[dict] = field(default_factory=list)

    async def __call__(self, message) -> None:
        self.messages.append(message)


async def ask(app, said, headers=JSON) -> Sent:
    """Send a creation as these messages."""
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/items/",
        "query_string": b"",
        "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
    }
    coming, sent = iter(said), Sent()

    async def receive():
        return next(coming)

    await app(scope, receive, sent)
    return sent


def chunks(*parts: bytes) -> list[dict]:
    *first, last = ({"type": "http.request", "body": part} for part in parts)
    return [*({**each, "more_body": True} for each in first), last]


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        pytest.param([GOOD.encode()], 201, id="one"),
        pytest.param([b"{", b"", GOOD.encode()[1:-1], b"}"], 201, id="many"),
        pytest.param([GOOD.encode()[:-1], b""], 422, id="unfinished"),
        pytest.param([b'{"name": 1, ', b'"price": "x"}'], 422, id="invalid"),
    ],
)
async def test_a_body_may_come_in_pieces(make, memory, parts, status):
    app = make()
    app.include_router(Asked(memory).router(prefix="/items"))

    sent = await ask(app, chunks(*parts))

    assert sent.messages[0]["status"] == status


class Small(Asked):
    body = 100


@pytest.mark.parametrize(
    ("parts", "headers"),
    [
        pytest.param([b" " * 101], JSON, id="at once"),
        pytest.param([b" " * 60, b" " * 60, b""], JSON, id="in pieces"),
        pytest.param([b"{}"], JSON | {"content-length": "101"}, id="announced"),
    ],
)
async def test_a_body_that_is_too_large_is_refused(make, memory, parts, headers):
    app = make()
    app.include_router(Small(memory).router(prefix="/items"))

    sent = await ask(app, chunks(*parts), headers)

    assert sent.messages[0]["status"] == 413


async def test_a_client_that_goes_away_writes_nothing(make, memory):
    app = make()
    app.include_router(Asked(memory).router(prefix="/items"))
    (begun, _) = chunks(GOOD.encode(), b"")

    sent = await ask(app, [begun, {"type": "http.disconnect"}])

    assert sent.messages[0]["status"] == 400
    async with client_of(app) as client:
        assert (await client.get("/items/count")).json() == {"total": 0}


class Mishap(Exception):
    pass


@pytest.mark.parametrize(
    ("error", "status"),
    [
        pytest.param(Mishap("oh"), 418, id="with a handler"),
        pytest.param(Invalid("no"), 422, id="ours"),
        pytest.param(HTTPException(409, "no"), 409, id="FastAPI's"),
        pytest.param(RuntimeError("oh"), 500, id="a fault"),
    ],
)
async def test_an_error_reaches_the_handlers_of_the_app_once(
    make, memory, watch, error, status
):
    tries, handled = [], []

    class Failing(Asked):
        async def create(self, values, *, once=None):
            await super().create(values, once=once)
            tries.append(values)
            raise error

    app = make()

    @app.exception_handler(Mishap)
    async def handle(request: Request, exc: Exception) -> Response:
        handled.append(request.scope["route"].path)
        return Response(status_code=418)

    app.include_router(Failing(memory).router(prefix="/items"))
    async with client_of(app) as client:
        response = await client.post("/items/", json=NOTEBOOK)

    assert response.status_code == status
    assert len(tries) == 1
    assert handled == (["/items/"] if status == 418 else [])
    if status != 418:
        assert response.headers["content-type"] == "application/problem+json"


async def test_an_action_that_is_overridden_is_called(make, memory, watch):
    class Greeting(Asked):
        async def get(self, key, **options):
            row = await super().get(key, **options)
            return type(row)(body=b'"hello"', tag=row.tag)

    app = make()
    app.include_router(Greeting(memory).router(prefix="/items"))
    async with client_of(app) as client:
        await client.post("/items/", json=NOTEBOOK)
        response = await client.get("/items/1")

    assert response.content == b'"hello"'
    assert watch.last == "early"


async def test_an_endpoint_of_ones_own_goes_the_way_of_fastapi(make, memory, watch):
    app = make()
    router = Asked(memory).router(prefix="/items")
    async with client_of(app) as client:

        @router.get("/{item_id}")
        async def mine(item_id: str) -> dict[str, str]:
            return {"mine": item_id}

        app.include_router(router)
        response = await client.get("/items/1")

    assert response.json() == {"mine": "1"}
    assert watch.last == "whole"


class Note(SQLModel, table=True):
    __tablename__ = "thin_notes"

    id: int | None = Field(default=None, primary_key=True)
    text: str = ""


async def test_routes_that_are_added_later_count_at_once(make, memory):
    app, outer = make(), APIRouter()
    router = Asked(memory).router(prefix="/items")
    outer.include_router(router)
    app.include_router(outer)
    said = []
    async with client_of(app) as client:

        async def look() -> None:
            said.append([(await client.get(p)).text for p in ("/items/count", "/new")])

        await look()
        app.add_api_route("/new", lambda: "of the app")
        await look()
        router.add_api_route("/count", lambda: "of the router")
        await look()
        outer.add_api_route("/items/count", lambda: "too late")
        await look()

    assert [new for _, new in said[1:]] == ['"of the app"'] * 3
    assert [count for count, _ in said] == [
        '{"total": 0}',
        '{"total": 0}',
        '"of the router"',
        '"of the router"',
    ]


class Strange(fastapi_routing.APIRoute):
    """A route that matches by more than its pattern."""

    def matches(self, scope):
        match, child = super().matches({**scope, "path": scope["path"].lower()})
        return match, child


def an_endpoint_of_the_app(app: FastAPI) -> None:
    app.add_api_route("/items/count", lambda: "first")


def a_mount(app: FastAPI) -> None:
    async def answer(scope, receive, send) -> None:
        await Response('"first"')(scope, receive, send)

    app.mount("/items", answer)


def a_strange_route(app: FastAPI) -> None:
    router = APIRouter(route_class=Strange)
    router.add_api_route("/items/count", lambda: "first")
    app.include_router(router)


def a_host(app: FastAPI) -> None:
    async def answer(scope, receive, send) -> None:
        await Response('"first"')(scope, receive, send)

    app.host("test", answer)


class StrangeRouter(APIRouter):
    def matches(self, scope):
        return super().matches(scope)


def a_strange_router(app: FastAPI) -> None:
    router = StrangeRouter()
    router.add_api_route("/items/count", lambda: "first")
    app.include_router(router)


@pytest.mark.parametrize(
    "add", [an_endpoint_of_the_app, a_mount, a_strange_route, a_host, a_strange_router]
)
async def test_what_stands_before_a_resource_answers_first(make, memory, add):
    app = make()
    add(app)
    app.include_router(Asked(memory).router(prefix="/items"))
    async with client_of(app) as client:
        response = await client.get("/items/count")

    assert response.text == '"first"'


async def test_a_route_class_with_a_handler_of_its_own_is_asked(make, memory, watch):
    said = []

    class Timed(ResourceRoute):
        def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:
            handle = super().get_route_handler()

            async def timed(request: Request) -> Response:
                said.append(request.url.path)
                return await handle(request)

            return timed

    app = make()
    app.include_router(Asked(memory).router(prefix="/items", route_class=Timed))
    async with client_of(app) as client:
        await client.get("/items/")

    assert said == ["/items/"]
    assert watch.last == "whole"


async def test_a_tool_that_watches_fastapi_sees_every_endpoint(
    make, memory, monkeypatch, watch
):
    run, said = fastapi_routing.run_endpoint_function, []

    async def watching(*, dependant, **options):
        said.append(dependant.call.__name__)
        return await run(dependant=dependant, **options)

    monkeypatch.setattr(fastapi_routing, "run_endpoint_function", watching)
    app = make()
    app.include_router(Asked(memory).router(prefix="/items"))
    async with client_of(app) as client:
        await client.get("/items/")

    assert said == ["list_items"]
    assert watch.last == "whole"


async def test_a_limit_of_fastapi_on_bodies_is_kept(memory, watch):
    app = FastAPI(max_body_size=50, middleware=[Middleware(watch)])
    connect(app, memory)
    app.include_router(Asked(memory).router(prefix="/items"))
    async with client_of(app) as client:
        response = await client.post("/items/", json={**NOTEBOOK, "name": "a" * 60})

    assert response.status_code == 413


async def test_a_resource_of_schemas_that_are_derived_is_thin(make, memory, watch):
    class Notes(Resource[Note]):
        pass

    app = make()
    app.include_router(Notes(memory).router(prefix="/notes"))
    async with client_of(app) as client:
        response = await client.post("/notes/", json={"text": "a"})

    assert response.json() == {"id": 1, "text": "a"}
    assert isinstance(response, httpx.Response)
    assert watch.last == "early"
