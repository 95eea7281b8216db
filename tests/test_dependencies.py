"""Dependencies on the thin way: what FastAPI would call, when, how and how often."""

import datetime as dt
import json
from contextlib import AsyncExitStack
from contextvars import ContextVar
from enum import Enum
from functools import partial, wraps
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

import pytest
from catalogue import NOTEBOOK, client_of
from fastapi import (
    APIRouter,
    BackgroundTasks,
    Body,
    Cookie,
    Depends,
    FastAPI,
    Header,
    HTTPException,
    Query,
    Request,
    Response,
    Security,
)
from fastapi.dependencies import utils as fastapi_dependencies
from fastapi.dependencies.utils import get_dependant, solve_dependencies
from fastapi.exceptions import RequestValidationError
from fastapi.security import (
    APIKeyCookie,
    APIKeyHeader,
    APIKeyQuery,
    HTTPAuthorizationCredentials,
    HTTPBasic,
    HTTPBasicCredentials,
    HTTPBearer,
    OAuth2PasswordBearer,
    SecurityScopes,
)
from pydantic import AfterValidator, AliasChoices, BaseModel
from sqlalchemy import true
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection
from ways import NOON, Asked, Log, Mishap, Watch, answers_of, on_the_router

from howdah import connect
from howdah.errors import Forbidden
from howdah.memory import MemoryDatabase
from howdah.route import tree

pytestmark = pytest.mark.anyio


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Paging(BaseModel):
    level: int = 3
    tag: list[str] = []


class Level(BaseModel):
    level: int = 3


class Sent(BaseModel):
    x_level: int | None = None
    x_tag: list[str] = []


current: ContextVar[str] = ContextVar("current", default="nobody")


def of_functions(log):
    async def first() -> str:
        return log.note("first", "a")

    def second() -> str:
        return log.note("second", "b")

    return [first, second]


def of_a_class(log):
    class Common:
        def __init__(
            self, level: int = 1, x_name: Annotated[str, Header()] = ""
        ) -> None:
            log.note("class", level, x_name)

    return [Common]


def of_a_model(log):
    async def outer(level: Annotated[Level, Depends()]) -> None:
        log.note("model", level)

    return [outer]


class Door:
    def __init__(self, log, name) -> None:
        self.log = log
        self.name = name

    async def __call__(self, request: Request) -> None:
        self.log.note(self.name, request.url.path)


class PlainDoor(Door):
    def __call__(self, x_name: Annotated[str | None, Header()] = None) -> None:
        self.log.note(self.name, x_name)

    async def method(self, level: int = 1) -> None:
        self.log.note(self.name, level)


def of_instances(log):
    return [Door(log, "door"), PlainDoor(log, "plain")]


def of_a_method(log):
    return [PlainDoor(log, "bound").method]


def logged(log):
    def decorate(call):
        @wraps(call)
        async def around(*args, **kwargs):
            log.note("around", kwargs)
            return await call(*args, **kwargs)

        return around

    return decorate


def of_something_wrapped(log):
    async def inner(level: int = 2) -> None:
        log.note("inner", level)

    @wraps(inner)
    def plainly(**kwargs):
        return inner(**kwargs)

    return [logged(log)(inner), plainly]


def of_headers(log):
    async def take(
        authorization: Annotated[str, Header()] = "none",
        x_level: Annotated[int | None, Header()] = None,
        name: Annotated[str | None, Header(alias="X-Name")] = None,
        x_moment: Annotated[dt.datetime | None, Header()] = None,
        x_odd: Annotated[str, Header(convert_underscores=False)] = "?",
    ) -> None:
        log.note("headers", authorization, x_level, name, x_moment, x_odd)

    return [take]


def of_a_required_header(log):
    async def take(authorization: Annotated[str, Header()]) -> None:
        log.note("required", authorization)

    return [take]


def of_many_headers(log):
    async def take(
        x_tag: Annotated[list[str], Header()] = [],  # noqa: B006 - FastAPI copies it
        x_level: Annotated[list[int] | None, Header()] = None,
    ) -> None:
        x_tag.append("mine")
        log.note("many", x_tag, x_level)

    return [take]


def of_a_model_of_headers(log):
    async def take(sent: Annotated[Sent, Header()]) -> None:
        log.note("sent", sent)

    return [take]


def of_the_query(log):
    async def take(
        level: Annotated[int, Query(ge=1)] = 1,
        colour: Colour = Colour.RED,
        kind: Literal["a", "b"] | None = None,
        key: UUID | None = None,
        flag: bool = False,  # noqa: FBT001, FBT002 - it is a parameter of the query
    ) -> None:
        log.note("query", level, colour, kind, key, flag)

    return [take]


def of_a_list_in_the_query(log):
    async def take(tag: Annotated[list[str], Query()] = ["none"]) -> None:  # noqa: B006 - FastAPI copies it
        tag.append("mine")
        log.note("tags", tag)

    return [take]


def of_a_model_of_the_query(log):
    async def take(paging: Annotated[Paging, Query()]) -> None:
        log.note("paging", paging)

    return [take]


def of_aliases(log):
    chosen = Query(validation_alias=AliasChoices("level", "stage"))

    async def take(
        level: Annotated[int | None, chosen] = None,
        tag: Annotated[str | None, Query(alias="kind")] = None,
        made: Annotated[str, Query(default_factory=lambda: "made")] = ...,
    ) -> None:
        log.note("aliases", level, tag, made)

    return [take]


def of_defaults_that_are_checked(log):
    async def take(
        level: Annotated[int, Query(validate_default=True)] = "7",
    ) -> None:
        log.note("checked", level)

    return [take]


def of_cookies(log):
    async def take(
        session: Annotated[str | None, Cookie()] = None,
        number: Annotated[int, Cookie()] = 0,
    ) -> None:
        log.note("cookies", session, number)

    return [take]


def of_the_path(log):
    async def take(item_id: int) -> None:
        log.note("path", item_id)

    return [take]


def of_a_validator_of_ones_own(log):
    def check(value: int) -> int:
        log.note("validator", value, current.get())
        if value > 5:
            raise ValueError("too much")
        return value

    async def first() -> None:
        current.set("first")

    async def take(level: Annotated[int, AfterValidator(check)] = 1) -> None:
        log.note("checked", level)

    return [first, take, take]


def of_no_type(log):
    async def take(x_name=Header(default="none"), level=1) -> None:  # noqa: B008 - FastAPI's
        log.note("untyped", x_name, level)

    return [take]


def of_the_request(log):
    async def take(request: Request, connection: HTTPConnection) -> None:
        assert request is connection
        request.state.seen = [*getattr(request.state, "seen", []), "a"]
        log.note("request", request.path_params, request.scope["route"].path)
        log.note("scope", request.query_params, request.headers.get("x-name"))

    async def later(request: Request) -> None:
        log.note("later", request.state.seen, request.scope["endpoint"].__name__)

    return [take, later]


def of_the_body(log):
    async def take(request: Request) -> None:
        log.note("body", await request.body())
        log.note("gone", await request.is_disconnected())

    return [take]


def of_a_changed_body(log):
    async def take(request: Request) -> None:
        if b"price" in await request.body():
            read = await request.json()
            if isinstance(read, dict):
                read["price"] = 7

    return [take]


def of_a_changed_scope(log):
    async def change(request: Request) -> None:
        request.scope["headers"] = [(b"x-name", b"changed")]
        request.scope["query_string"] = b"level=9"
        request.path_params["item_id"] = "2"

    async def take(
        request: Request,
        x_name: Annotated[str | None, Header()] = None,
        level: int | None = None,
        session: Annotated[str | None, Cookie()] = None,
    ) -> None:
        log.note("changed", x_name, level, session, request.query_params)

    return [change, take]


def of_the_response(log):
    async def write(response: Response) -> None:
        response.headers["x-mine"] = "1"
        response.status_code = 299
        log.note("response", dict(response.headers))

    def look(response: Response) -> None:
        log.note("look", dict(response.headers), response.status_code)

    return [write, look]


def of_nested_ones(log):
    async def user(authorization: Annotated[str | None, Header()] = None) -> str:
        return log.note("user", authorization or "nobody")

    def account(user: Annotated[str, Depends(user)], level: int = 1) -> str:
        return log.note("account", f"{user} {level}")

    async def admin(
        account: Annotated[str, Depends(account)], user: Annotated[str, Depends(user)]
    ) -> str:
        return log.note("admin", account, user)

    async def other(user: Annotated[str, Depends(user, use_cache=False)]) -> str:
        return log.note("other", user)

    return [user, admin, other, account]


def of_the_context(log):
    async def enter() -> None:
        current.set("ada")

    def look() -> None:
        log.note("plain", current.get())
        current.set("lost")

    async def later() -> None:
        log.note("later", current.get())

    return [enter, look, later]


def of_a_guard(log):
    async def guard(x_raise: Annotated[str | None, Header()] = None) -> None:
        log.note("guard", x_raise)
        if x_raise == "401":
            raise HTTPException(401, "who?", headers={"WWW-Authenticate": "Bearer"})
        if x_raise == "403":
            raise Forbidden("not you")
        if x_raise == "418":
            raise Mishap("oh")
        if x_raise == "422":
            raise RequestValidationError([{"type": "a", "loc": ("b",), "msg": "c"}])
        if x_raise == "500":
            raise RuntimeError("oh")

    async def after() -> None:
        log.note("after")

    return [guard, after]


def of_schemes(log):
    async def bearer(
        found: Annotated[
            HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))
        ],
    ) -> None:
        log.note("bearer", found)

    async def oauth(
        token: Annotated[
            str | None, Depends(OAuth2PasswordBearer("token", auto_error=False))
        ],
    ) -> None:
        log.note("oauth", token)

    async def keys(
        one: Annotated[
            str | None, Security(APIKeyHeader(name="X-Name", auto_error=False))
        ],
        two: Annotated[
            str | None, Depends(APIKeyQuery(name="level", auto_error=False))
        ],
        three: Annotated[
            str | None, Depends(APIKeyCookie(name="session", auto_error=False))
        ],
    ) -> None:
        log.note("keys", one, two, three)

    return [bearer, oauth, keys]


def of_a_bearer(log):
    return [HTTPBearer()]


def of_a_password(log):
    async def take(
        found: Annotated[HTTPBasicCredentials, Depends(HTTPBasic())],
    ) -> None:
        log.note("basic", found)

    return [take]


class Strict(HTTPBearer):
    async def __call__(self, request: Request) -> Any:
        found = await super().__call__(request)
        if found and found.credentials != "good":
            raise HTTPException(403, "another one")
        return found


def of_a_scheme_of_ones_own(log):
    return [Strict()]


def of_faults_in_many_places(log):
    async def one(x_level: Annotated[int, Header()]) -> int:
        return log.note("one", x_level)

    async def two(level: int, one: Annotated[int, Depends(one)]) -> int:
        return log.note("two", level + one)

    def three(session: Annotated[str, Cookie()]) -> str:
        return log.note("three", session)

    async def four() -> None:
        log.note("four")

    return [two, one, three, four]


class Same:
    """One of those that are all alike."""

    def __init__(self, log, name) -> None:
        self.log = log
        self.name = name

    def __eq__(self, other):
        return isinstance(other, Same)

    def __hash__(self):
        return 1

    async def __call__(self) -> None:
        self.log.note(self.name)


def of_equal_ones(log):
    return [Same(log, "a"), Same(log, "b")]


def of_a_stack_of_fastapi(log):
    async def resource():
        log.note("open")
        try:
            yield "it"
        finally:
            log.note("close")

    async def user(it: Annotated[str, Depends(resource)]) -> None:
        log.note("use", it)

    async def by_hand(request: Request) -> None:
        tree = get_dependant(path="/", call=user)
        solved = await solve_dependencies(
            request=request,
            dependant=tree,
            async_exit_stack=AsyncExitStack(),
            embed_body_fields=False,
        )
        await user(**solved.values)

    async def guard(x_raise: Annotated[str | None, Header()] = None) -> None:
        if x_raise:
            raise HTTPException(401)

    return [by_hand, guard]


def of_part_of_a_function(log):
    async def take(name: str, level: int = 1) -> None:
        log.note(name, level)

    return [partial(take, name="part")]


KNOWN = [
    of_functions,
    of_a_class,
    of_a_model,
    of_instances,
    of_a_method,
    of_something_wrapped,
    of_headers,
    of_a_required_header,
    of_many_headers,
    of_a_model_of_headers,
    of_the_query,
    of_a_list_in_the_query,
    of_a_model_of_the_query,
    of_aliases,
    of_defaults_that_are_checked,
    of_cookies,
    of_the_path,
    of_a_validator_of_ones_own,
    of_no_type,
    of_the_request,
    of_the_body,
    of_a_changed_body,
    of_a_changed_scope,
    of_the_response,
    of_nested_ones,
    of_the_context,
    of_a_guard,
    of_schemes,
    of_a_bearer,
    of_a_password,
    of_a_scheme_of_ones_own,
    of_faults_in_many_places,
    of_equal_ones,
    of_a_stack_of_fastapi,
    of_part_of_a_function,
]


def of_a_yield(log):
    async def around():
        log.note("open")
        yield
        log.note("close")

    return [around]


def of_a_plain_yield(log):
    def around():
        log.note("open")
        yield
        log.note("close")

    return [around]


def of_a_wrapped_yield(log):
    def around():
        log.note("open")
        yield

    @wraps(around)
    def plainly():
        return around()

    return [plainly]


def of_an_instance_that_yields(log):
    class Around:
        async def __call__(self):
            log.note("open")
            yield
            log.note("close")

    return [Around()]


def of_tasks(log):
    async def later(tasks: BackgroundTasks) -> None:
        tasks.add_task(log.note, "task")
        log.note("dependency")

    return [later]


def of_scopes(log):
    async def user(scopes: SecurityScopes) -> None:
        log.note("scopes", scopes.scopes)

    async def admin(user: Annotated[None, Security(user, scopes=["admin"])]) -> None:
        log.note("admin", user)

    return [admin, user]


def of_scopes_alone(log):
    async def user() -> None:
        log.note("user")

    async def one(user: Annotated[None, Security(user, scopes=["a"])]) -> None:
        log.note("one", user)

    async def two(user: Annotated[None, Security(user, scopes=["b"])]) -> None:
        log.note("two", user)

    return [one, two]


def of_a_body(log):
    async def take(extra: Annotated[dict[str, Any] | None, Body()] = None) -> None:
        log.note("extra", extra)

    return [take]


def of_a_place_in_time(log):
    async def take() -> None:
        log.note("function")

    async def outer(it: Annotated[None, Depends(take, scope="function")]) -> None:
        log.note("outer", it)

    return [outer]


def of_a_limit(log):
    async def take() -> None:
        log.note("limited")

    async def outer(it: Annotated[None, Depends(take, max_concurrency=1)]) -> None:
        log.note("outer", it)

    return [outer]


UNKNOWN = [
    of_a_limit,
    of_a_yield,
    of_a_plain_yield,
    of_a_wrapped_yield,
    of_an_instance_that_yields,
    of_tasks,
    of_scopes,
    of_scopes_alone,
    of_a_body,
    of_a_place_in_time,
]

JSON = {"content-type": "application/json"}
GOOD = json.dumps(NOTEBOOK)
USER = {"authorization": "Bearer good"}
SAID: list[tuple[str, str, Any, bytes | str]] = [
    ("POST", "/items/", JSON, GOOD),
    ("POST", "/items/", JSON | USER, GOOD),
    ("POST", "/items/?level=2", JSON | {"x-raise": "401"}, GOOD),
    ("POST", "/items/", JSON | USER, '{"name": "", "price": -1}'),
    ("POST", "/items/?level=a", JSON | {"x-level": "a"}, '{"name": "", "price": -1}'),
    ("POST", "/items/", JSON | USER, "{"),
    ("POST", "/items/", JSON | USER, ""),
    ("POST", "/items/", USER, GOOD),
    ("POST", "/items/batch", JSON | USER, f"[{GOOD}, {GOOD}]"),
    ("POST", "/items/batch?level=a", JSON, f"[{GOOD}, {GOOD}]"),
    ("POST", "/items/batch", JSON | USER, f"[{GOOD}, 1]"),
    ("GET", "/items/", {}, ""),
    ("GET", "/items/", USER, ""),
    ("GET", "/items/?limit=1", USER | {"x-name": "ada", "x-level": "4"}, ""),
    ("GET", "/items/?level=2&tag=a&tag=b&kind=a&colour=blue&flag=on", USER, ""),
    ("GET", "/items/?level=a&colour=green&kind=c&key=1&flag=maybe", USER, ""),
    ("GET", "/items/?level=0&session=1", USER, ""),
    ("GET", "/items/?level=9&stage=8", USER, ""),
    ("GET", "/items/?stage=8", USER, ""),
    ("GET", "/items/?level=", USER, ""),
    ("GET", "/items/?level=%zz", USER, ""),
    ("GET", "/items/?item_id=1", USER, ""),
    ("GET", "/items/?unknown=1", USER, ""),
    ("GET", "/items/1", {}, ""),
    ("GET", "/items/1", USER, ""),
    ("GET", "/items/1", {"authorization": "Bearer bad"}, ""),
    ("GET", "/items/1", {"authorization": "Basic YWRhOnNlY3JldA=="}, ""),
    ("GET", "/items/1", {"authorization": "Basic rubbish"}, ""),
    ("GET", "/items/1", [("X-Name", "a"), ("X-Name", "b"), ("X-Tag", "c")], ""),
    ("GET", "/items/1", [("X-Tag", "a"), ("X-Tag", "b"), ("X-Level", "7")], ""),
    ("GET", "/items/1", {"x-level": "many", "x-moment": "soon"}, ""),
    ("GET", "/items/1", {"x-moment": "2026-05-01T12:00:00Z", "x_odd": "1"}, ""),
    ("GET", "/items/1", {"x-name": ""}, ""),
    ("GET", "/items/1", {"x-name": b"\xe9"}, ""),
    ("GET", "/items/1?level=2", USER | {"x-level": "4", "cookie": "session=1"}, ""),
    ("GET", "/items/1", {"cookie": "session=abc; number=4; session=later"}, ""),
    ("GET", "/items/1", {"cookie": "number=four"}, ""),
    ("GET", "/items/one", {}, ""),
    ("GET", "/items/one?level=a", USER | {"x-level": "a"}, ""),
    ("GET", "/items/999", USER, ""),
    ("HEAD", "/items/1", USER, ""),
    *(("GET", "/items/1", {"x-raise": it}, "") for it in ("401", "403", "418")),
    *(("GET", "/items/1", {"x-raise": it}, "") for it in ("422", "500")),
    ("GET", "/items/one", {"x-raise": "401"}, ""),
    ("PUT", "/items/1", JSON | USER, '{"price": 2.5}'),
    ("PUT", "/items/one?level=6", JSON, '{"price": "a"}'),
    ("DELETE", "/items/1", {}, ""),
    ("DELETE", "/items/1?hard_delete=maybe", USER, ""),
    ("DELETE", "/items/2?hard_delete=true", USER, ""),
]


@pytest.mark.parametrize("make", [*KNOWN, *UNKNOWN])
async def test_every_way_calls_the_same_and_answers_the_same(make):
    early, _ = await answers_of("early", on_the_router(make), SAID)
    thin, _ = await answers_of("thin", on_the_router(make), SAID)
    whole, ways = await answers_of("whole", on_the_router(make), SAID)

    assert early == whole
    assert thin == whole
    assert {*ways} == {"whole"}


@pytest.mark.parametrize("make", KNOWN)
async def test_dependencies_of_known_kinds_are_solved_on_the_thin_way(make):
    answers, ways = await answers_of("early", on_the_router(make), SAID)

    for ((method, _, _, _), (status, _, _), _), way in zip(answers, ways, strict=True):
        assert way == "early" or status >= 300 or method == "HEAD"
    # An answer that is no success is given there as well, if it was begun there.
    assert ways.count("whole") < 10


@pytest.mark.parametrize("make", UNKNOWN)
async def test_dependencies_of_other_kinds_are_left_to_fastapi(make):
    _, ways = await answers_of("early", on_the_router(make), SAID)

    assert {*ways} == {"whole"}


def of_a_scope(log, app, memory, route_class):
    def level(level: int = 1) -> int:
        return log.note("level", level)

    async def user(authorization: Annotated[str | None, Header()] = None) -> str | None:
        return log.note("user", authorization)

    class Mine(Asked):
        async def scope(
            self,
            user: Annotated[str, Depends(user)],
            level: Annotated[int, Depends(level)],
        ):
            log.note("scope", user, level)
            if user is None:
                raise HTTPException(401)
            return true()

        def before_write(
            self,
            change,
            user: Annotated[str, Depends(user)],
            x_name: Annotated[str, Header()] = "nobody",
        ):
            log.note("before", change.action, user, x_name)

        async def after_write(self, change, level: Annotated[int, Depends(level)]):
            log.note("after", change.action, level)

    router = Mine(memory).router(prefix="/items", route_class=route_class)
    app.include_router(router, dependencies=[Depends(user)])


def of_many_places(log, app, memory, route_class):
    def at(name):
        async def come(
            request: Request, level: Annotated[int, Query(alias=name)] = 1
        ) -> None:
            log.note(name, level, request.scope["route"].path)

        return Depends(come)

    class Guarded(Asked):
        dependencies: ClassVar = {it: [at(it)] for it in ("read", "write", "get")}

    app.router.dependencies.append(at("app"))
    outer, between = APIRouter(prefix="/items", dependencies=[at("outer")]), APIRouter()
    router = Guarded(memory).router(dependencies=[at("own")], route_class=route_class)
    between.include_router(router, dependencies=[at("inclusion")])
    outer.include_router(between)
    app.include_router(outer, dependencies=[at("last")])


@pytest.mark.parametrize("attach", [of_a_scope, of_many_places])
async def test_dependencies_of_all_places_are_called_alike(attach):
    early, ways = await answers_of("early", attach, SAID)
    thin, _ = await answers_of("thin", attach, SAID)
    whole, _ = await answers_of("whole", attach, SAID)

    assert early == whole
    assert thin == whole
    assert "early" in ways


async def test_what_is_wrong_is_told_to_handlers_alike():
    def attach(log, app, memory, route_class):
        async def one(x_level: Annotated[int, Header()]) -> int:
            return x_level

        @app.exception_handler(RequestValidationError)
        async def tell(request: Request, exc: RequestValidationError) -> Response:
            log.note(str(exc), exc.body, str(exc.errors()), request.path_params)
            return Response(status_code=400)

        on_the_router(lambda _: [one])(log, app, memory, route_class)

    early, _ = await answers_of("early", attach, SAID)
    thin, _ = await answers_of("thin", attach, SAID)
    whole, _ = await answers_of("whole", attach, SAID)

    assert early == whole
    assert thin == whole
    assert any(called for _, _, called in whole)


@pytest.fixture
def watch():
    return Watch()


@pytest.fixture
def app(watch):
    """A connected app, watched, that anything may be added to."""
    app = FastAPI(middleware=[Middleware(watch)])
    connect(app, MemoryDatabase(now=lambda: NOON))
    return app


async def user() -> str:
    return "ada"


async def account(user: Annotated[str, Depends(user)]) -> str:
    return f"of {user}"


async def refuse() -> None:
    raise HTTPException(401)


def include(app: FastAPI, *dependencies: Any) -> APIRouter:
    given = [Depends(each) for each in dependencies]
    router = Asked(MemoryDatabase()).router(prefix="/items", dependencies=given)
    app.include_router(router)
    return router


async def test_an_override_of_what_stands_deep_counts_at_once(app, watch):
    include(app, account)
    async with client_of(app) as client:
        before = await client.get("/items/")
        app.dependency_overrides[user] = refuse
        between = await client.get("/items/")
        app.dependency_overrides.clear()
        after = await client.get("/items/")

    assert [it.status_code for it in (before, between, after)] == [200, 401, 200]
    assert watch.ways == ["early", "whole", "early"]


async def test_an_override_of_something_else_changes_nothing(app, watch):
    include(app, account)
    app.dependency_overrides[refuse] = user
    async with client_of(app) as client:
        response = await client.get("/items/")

    assert response.status_code == 200
    assert watch.last == "whole"


def deep(dependant: Any) -> Any:
    """Return the dependant of `user`, which `account` depends on."""
    (found,) = (it for it in dependant.dependencies if it.call is account)
    return found.dependencies[0]


def replace_the_call(dependant):
    deep(dependant).call = refuse


def add_another(dependant):
    deep(dependant).dependencies.append(get_dependant(path="/", call=refuse))


def replace_all(dependant):
    dependant.dependencies[:] = [get_dependant(path="/", call=refuse)]


@pytest.mark.parametrize("change", [replace_the_call, add_another, replace_all])
async def test_what_a_tool_changes_in_a_tree_in_use_counts(app, watch, change):
    router = Asked(MemoryDatabase()).router(
        prefix="/items", dependencies=[Depends(account)]
    )
    app.router.routes.extend(router.routes)
    async with client_of(app) as client:
        before = await client.get("/items/")
        for route in router.routes:
            change(route.dependant)
        after = await client.get("/items/")

    assert (before.status_code, after.status_code) == (200, 401)
    assert watch.ways[0] == "early"


@pytest.mark.parametrize(
    "name", ["solve_dependencies", "request_params_to_args", "run_in_threadpool"]
)
async def test_a_tool_that_watches_dependencies_sees_them(
    app, watch, monkeypatch, name
):
    known = getattr(fastapi_dependencies, name)

    @wraps(known)
    def watching(*args, **options):
        return known(*args, **options)

    monkeypatch.setattr(fastapi_dependencies, name, watching)
    include(app, account)
    async with client_of(app) as client:
        await client.get("/items/")

    assert watch.last == "whole"


async def test_a_fastapi_that_knows_more_of_dependencies_is_not_outrun(
    app, watch, monkeypatch
):
    monkeypatch.setattr(tree, "_FIELDS", tree._FIELDS - {"concurrency"})
    include(app, account)
    async with client_of(app) as client:
        response = await client.get("/items/")

    assert response.status_code == 200
    assert watch.last == "whole"


async def test_what_stands_on_a_stack_is_closed_behind_the_answer(app, watch):
    log = Log()

    async def put(request: Request) -> None:
        for name in ("fastapi_function_astack", "fastapi_inner_astack"):
            request.scope[name].callback(log.note, name)

    include(app, put)

    async def listening(scope, receive, send) -> None:
        async def tell(message) -> None:
            log.note(message["type"])
            await send(message)

        await app(scope, receive, tell)

    async with client_of(listening) as client:
        await client.get("/items/")

    assert log == [
        ("fastapi_function_astack",),
        ("http.response.start",),
        ("http.response.body",),
        ("fastapi_inner_astack",),
    ]
    assert watch.last == "early"


async def test_a_scheme_of_fastapi_costs_no_stacks(app):
    scopes = []

    async def remember(scope, receive, send) -> None:
        await app(scope, receive, send)
        scopes.append(scope)

    include(app, HTTPBearer())
    async with client_of(remember) as client:
        await client.get("/items/", headers=USER)

    assert "howdah.thin" in scopes[0]
    assert "fastapi_inner_astack" not in scopes[0]
