"""Apps as chance makes them answer alike, whichever way their requests go.

Each is built three times: with the direct way to a resource's action, without it, and
with plain FastAPI routes in the place of the resource.
"""

import asyncio
import contextlib
import datetime as dt
import inspect
import itertools
import json
import os
import random
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request
from fastapi.routing import APIRoute
from pydantic import BaseModel
from random_apps import INGREDIENTS, Ingredient
from sqlmodel import Field, SQLModel

from howdah import Resource, connect, problems
from howdah.errors import FieldError, Invalid, NotFound
from howdah.memory import MemoryDatabase
from howdah.resource import ResourceRoute

pytestmark = pytest.mark.anyio

NOON = dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC)
APPS = int(os.environ.get("DISPATCH_APPS", "150"))
WAYS = ("direct", "fastapi", "plain")


# What is served: a resource, and the same by hand


class DispatchedNote(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    text: str
    owner: str | None = None


class Sent(BaseModel):
    text: str
    owner: str | None = None


class Notes(Resource[DispatchedNote]):
    only = ("create", "list", "get", "delete")
    create_schema = Sent


def resource_router(built, options) -> APIRouter:
    class Guarded(Notes):
        dependencies: ClassVar = {n: built.dependencies[n] for n in ("read", "write")}

    return Guarded(built.db).router(**options)


def plain_router(built, options) -> APIRouter:
    """Return the same actions as FastAPI's tutorial would write them."""
    router = APIRouter(**options)
    rows: dict[int, dict[str, Any]] = {}
    numbers = itertools.count(1)
    read, write = built.dependencies["read"], built.dependencies["write"]

    async def create(note: Sent) -> Any:
        number = next(numbers)
        rows[number] = {"id": number, **note.model_dump()}
        return rows[number]

    async def list_notes(request: Request) -> Any:
        if unknown := [*request.query_params]:
            raise Invalid(
                errors=(
                    FieldError(field=unknown[0], code="unknown", message="unknown"),
                )
            )
        return list(rows.values())

    async def get(note_id: int) -> Any:
        if note_id not in rows:
            raise NotFound
        return rows[note_id]

    async def delete(note_id: int) -> None:
        if rows.pop(note_id, None) is None:
            raise NotFound

    router.post("/", status_code=201, dependencies=write, operation_id="a")(create)
    router.get("/", dependencies=read, operation_id="b")(list_notes)
    router.get("/{note_id}", dependencies=read, operation_id="c")(get)
    path = "/{note_id}"
    router.delete(path, status_code=204, dependencies=write, operation_id="d")(delete)
    return router


# An app, from its options to its end


@dataclass
class Built:
    """An app while it is built and served, and what its guards have been asked."""

    way: str
    seed: str
    included: bool
    patches: pytest.MonkeyPatch
    log: list[str] = field(default_factory=list)
    refused: str = ""
    direct: int = 0
    app_class: type[FastAPI] = FastAPI
    app_options: dict[str, Any] = field(default_factory=dict)
    router_options: dict[str, Any] = field(default_factory=dict)
    outer_class: type[APIRouter] = APIRouter
    parent: APIRouter | None = None

    def __post_init__(self) -> None:
        self.db = MemoryDatabase(now=lambda: NOON)
        places = ("app", "inclusion", "outer", "read", "router", "write")
        self.dependencies: dict[str, list[Any]] = {name: [] for name in places}
        self.route_class = APIRoute if self.way == "plain" else ResourceRoute

    def asks(self, name: str) -> bool:
        """Note that a guard is asked; say whether it refuses this request."""
        self.log.append(name)
        return self.refused in {"all", name.removeprefix("match:")}

    @property
    def levels(self) -> dict[str, APIRouter]:
        top = self.app.router
        return {"app": top, "parent": self.parent or top, "router": self.router}

    @property
    def routes(self) -> list[APIRoute]:
        return [it for it in self.router.routes if isinstance(it, APIRoute)]

    @property
    def inclusions(self) -> list[Any]:
        outer = [self.parent.routes] if self.parent else []
        routes = itertools.chain(self.app.router.routes, *outer)
        return [it for it in routes if hasattr(it, "original_router")]

    def list_path(self, level: str) -> str:
        """Return the path of the list, as a router at some level has it."""
        own = self.router.prefix + "/"
        return own if level == "router" else self.above[level] + own

    above: dict[str, str] = field(default_factory=dict)

    def make_app(self) -> None:
        lifespan = {"lifespan": self.lifespan}
        dependencies = {"dependencies": self.dependencies["app"]}
        options = {**self.app_options, **lifespan, **dependencies}
        self.app = self.served = self.app_class(**options)

    def connect(self) -> None:
        if self.way == "plain":
            problems.install(self.app)
        else:
            connect(self.app, self.db)

    def include(self, layout) -> None:
        prefix = {"prefix": "" if layout.prefix else "/notes"}
        given = {"dependencies": self.dependencies["router"]}
        options = {**prefix, **given, **self.router_options}
        make = plain_router if self.way == "plain" else resource_router
        self.router = make(self, options)
        self.above = {"app": layout.above + layout.prefix, "parent": layout.prefix}
        layout.put(self, {"dependencies": self.dependencies["inclusion"]})

    @contextlib.asynccontextmanager
    async def lifespan(self, _app):
        self.started()
        yield

    def started(self) -> None:
        """Do what is to be done in the lifespan."""


# Where the resource is


@dataclass(frozen=True)
class Layout:
    put: Any
    bases: tuple[str, ...]
    above: str = ""
    prefix: str = ""

    @property
    def name(self) -> str:
        return self.put.__name__


def included(built, options):
    built.app.include_router(built.router, **options)


def prefixed(built, options):
    built.app.include_router(built.router, prefix="/notes", **options)


def nested(built, options):
    built.parent = built.outer_class(
        prefix="/v1", dependencies=built.dependencies["outer"]
    )
    built.parent.include_router(built.router, **options)
    built.app.include_router(built.parent)


def nested_twice(built, options):
    built.parent = built.outer_class(dependencies=built.dependencies["outer"])
    outer = APIRouter()
    built.parent.include_router(built.router, **options)
    outer.include_router(built.parent, prefix="/v1")
    built.app.include_router(outer)


def doubled(built, options):
    built.app.include_router(built.router, prefix="/open")
    built.app.include_router(built.router, prefix="/closed", **options)


def extended(built, options):
    built.app.router.routes.extend(built.router.routes)


def mounted_router(built, options):
    built.app.mount("/sub", built.router)


def mounted_app(built, options):
    built.app.include_router(built.router, **options)
    built.served = FastAPI()
    built.served.mount("/sub", built.app)


def hosted_app(built, options):
    built.app.include_router(built.router, **options)
    built.served = FastAPI()
    built.served.host("test", built.app)


LAYOUTS = (
    Layout(included, ("/notes",)),
    Layout(prefixed, ("/notes",), prefix="/notes"),
    Layout(nested, ("/v1/notes",), above="/v1"),
    Layout(nested_twice, ("/v1/notes",), above="/v1"),
    Layout(doubled, ("/open/notes", "/closed/notes"), above="/closed"),
    Layout(extended, ("/notes",)),
    Layout(mounted_router, ("/sub/notes",), above="/sub"),
    Layout(mounted_app, ("/sub/notes",)),
    Layout(hosted_app, ("/notes",)),
)


# What is asked


@dataclass(frozen=True)
class Ask:
    method: str
    path: str
    content: str = ""
    content_type: str = "application/json"
    refused: str = ""
    ours: bool = False
    """Whether a resource answers it in a way of its own."""

    @property
    def headers(self) -> dict[str, str]:
        typed = self.content and self.content_type
        said = {"content-type": self.content_type} if typed else {}
        return {**said, **({"x-no": self.refused} if self.refused else {})}


GOOD = '{"text": "a"}'
ASKS = (
    Ask("POST", "/", GOOD),
    Ask("GET", "/"),
    Ask("GET", "/1"),
    Ask("POST", "/", '{"text": 1}'),
    Ask("POST", "/", "{no JSON"),
    Ask("GET", "/99"),
    Ask("GET", "/one"),
    Ask("GET", "/?nonsense=1"),
    Ask("PUT", "/1", GOOD),
    Ask("OPTIONS", "/"),
    Ask("DELETE", "/99"),
    Ask("DELETE", "/1"),
    Ask("GET", "", ours=True),
    Ask("GET", "/1/", ours=True),
    Ask("POST", "", '{"text": 1}', ours=True),
    Ask("POST", "/", GOOD, "", ours=True),
    Ask("POST", "/", GOOD, "text/plain", ours=True),
    Ask("POST", "/", ours=True),
    Ask("GET", "/?limit=1", ours=True),
    Ask("HEAD", "/", ours=True),
    Ask("HEAD", "/1", ours=True),
    Ask("GET", "/a%2Fb", ours=True),
    Ask("GET", "//", ours=True),
    Ask("GET", "//1", ours=True),
    Ask("GET", "/unknown/path"),
)


# A plan, and what comes of it


@dataclass(frozen=True)
class Plan:
    """An app and its requests; each ingredient with the moments at which it goes on."""

    seed: str
    layout: Layout
    ingredients: tuple[tuple[Ingredient, int, int], ...]
    asks: tuple[Ask, ...]

    def __str__(self) -> str:
        names = [f"{it.name} {moments}" for it, *moments in self.ingredients]
        return f"seed {self.seed}, {self.layout.name}, {', '.join(names)}"


def chance(seed: int) -> Plan:
    """Return the plan of an app as chance makes it."""
    of = random.Random(seed)
    layout = of.choice(LAYOUTS)
    chosen = [
        of.choice(FAMILIES[of.choice([*FAMILIES])]) for _ in range(of.randint(1, 4))
    ]
    # FastAPI builds routes when they are first asked for: each place is, at once.
    first = [Ask("POST", f"{base}/", GOOD) for base in layout.bases]
    serving = range(len(first), REQUESTS)
    ingredients = [(it, *sorted(of.sample(serving, 2))) for it in dict.fromkeys(chosen)]
    refused = ["", "", "", "all", *(it.name for it in chosen)]
    asks = [of.choice(asks_in(layout, of.choice(refused))) for _ in serving]
    return Plan(str(seed), layout, tuple(ingredients), (*first, *asks))


REQUESTS = 11
FAMILIES: dict[str, list[Ingredient]] = {}
for _each in INGREDIENTS:
    FAMILIES.setdefault(_each.family, []).append(_each)


def asks_in(layout: Layout, refused: str = "") -> list[Ask]:
    return [
        replace(ask, path=base + ask.path, refused=refused)
        for base in layout.bases
        for ask in ASKS
    ]


def only(ingredient: Ingredient, layout: Layout) -> Plan:
    """Return a plan of one ingredient, with requests before and behind each moment."""
    every, refused = asks_in(layout), asks_in(layout, "all")
    first, then = [*every[:12], *refused[:3]], [*every[:3], *refused[:3]]
    twice = ingredient.stage == "serving" or inspect.isgeneratorfunction(ingredient.put)
    moments = (len(then), len(then) + len(first)) if twice else (0, 0)
    asks = (*then, *first, *then) if twice else first
    return Plan("none", layout, ((ingredient, *moments),), tuple(asks))


class Steps:
    """What the ingredients of a plan do to an app, moment by moment."""

    def __init__(self, plan: Plan, built: Built) -> None:
        self._at: dict[str | int, list[Any]] = {}
        for ingredient, go_on, end in plan.ingredients:
            steps = put_in(ingredient, built)
            serving = ingredient.stage == "serving"
            first = [] if serving else [ingredient.stage]
            for moment in (*first, go_on, end):
                self._at.setdefault(moment, []).append(steps)

    def reach(self, moment: str | int) -> None:
        for steps in self._at.get(moment, ()):
            next(steps, None)


def put_in(ingredient: Ingredient, built: Built):
    made = ingredient.put(built, ingredient.name)
    yield from made if inspect.isgenerator(made) else ()


def build(plan: Plan, built: Built) -> Steps:
    steps = Steps(plan, built)
    steps.reach("before")
    built.make_app()
    steps.reach("created")
    built.connect()
    steps.reach("connected")
    built.include(plan.layout)
    steps.reach("included")
    built.started = lambda: steps.reach("lifespan")
    return steps


@dataclass(frozen=True)
class Answer:
    status: int | str
    headers: tuple[Any, ...] = ()
    body: bytes = b""
    log: tuple[str, ...] = ()


async def answers_of(plan: Plan, way: str, spoil=None) -> tuple[list[Answer], int]:
    """Return what an app answers, and how many requests went the direct way."""
    with pytest.MonkeyPatch.context() as patches:
        switch(patches, direct=way == "direct")
        built = Built(way, plan.seed, plan.layout.put is not extended, patches)
        steps = build(plan, built)
        if spoil is not None:
            spoil(built)
        async with (
            built.app.router.lifespan_context(built.app),
            client(built) as sender,
        ):
            answers: list[Answer] = []
            for number, ask in enumerate(plan.asks):
                steps.reach(number)
                answers.append(await said(built, sender, ask))
                if answers[-1].status == HANGS:
                    break
        return answers, built.direct


HANGS = "HANGS"


def client(built: Built) -> httpx.AsyncClient:
    async def app(scope, receive, send):
        await built.served(scope, receive, send)
        built.direct += any(key.startswith("howdah.") for key in scope)

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://test")


async def said(built: Built, sender: httpx.AsyncClient, ask: Ask) -> Answer:
    built.log.clear()
    built.refused = ask.refused
    asked = sender.request(
        ask.method, ask.path, headers=ask.headers, content=ask.content
    )
    try:
        # A task of its own has context variables of its own, as on a server.
        response = await asyncio.wait_for(asyncio.create_task(asked), 5)
    except TimeoutError:
        return Answer(HANGS, log=tuple(built.log))
    if response.status_code == 500:
        return Answer(500, log=tuple(built.log))
    raw = tuple(response.headers.raw)
    return Answer(response.status_code, raw, response.content, tuple(built.log))


def switch(patches: pytest.MonkeyPatch, *, direct: bool) -> None:
    """Let requests go the direct way, or all of them FastAPI's."""
    patches.delenv("HOWDAH_DISPATCH", raising=False)
    if not direct:
        patches.setenv("HOWDAH_DISPATCH", "fastapi")


def in_short(answer: Answer) -> Any:
    """Return what plain FastAPI and a resource have in common."""
    headers = [it for it in answer.headers if it[0].startswith((b"x-", b"set-cookie"))]
    told = answer.status in {200, 201} and answer.body.startswith((b"[", b"{"))
    log = [it for it in answer.log if not it.startswith("match:")]
    return answer.status, headers, told and json.loads(answer.body), log


async def difference(plan: Plan, spoil=None) -> str | None:
    """Say which request is the first to be answered differently on two ways."""
    direct, _ = await answers_of(plan, "direct", spoil)
    whole, _ = await answers_of(plan, "fastapi")
    plain = whole
    if not any(is_built_late(ingredient) for ingredient, *_ in plan.ingredients):
        plain, _ = await answers_of(plan, "plain")
    for number, (ask, *said_by) in enumerate(
        zip(plan.asks, direct, whole, plain, strict=False)
    ):
        if told := differing(ask, *said_by):
            return "\n".join((str(plan), f"request {number}: {ask}", *told))
    return None


async def assert_alike(plan: Plan) -> None:
    if found := await difference(plan):
        pytest.fail(found, pytrace=False)


def is_built_late(ingredient: Ingredient) -> bool:
    """Say whether it meets routes that a resource builds later than FastAPI does.

    What makes handlers is replaced behind plain routes, and before those of a resource:
    a guard that FastAPI would not ask is asked.
    """
    makes = any(name in ingredient.name for name in MAKERS)
    return makes and ingredient.family == "patch" and ingredient.stage != "before"


MAKERS = ("get_request_handler", "get_route_handler", "request_response")


def differing(ask: Ask, direct: Answer, whole: Answer, plain: Answer) -> list[str]:
    """Return two answers that should be one, or nothing."""
    if direct != whole or direct.status == HANGS:
        return [f"direct  {direct}", f"fastapi {whole}"]
    ours, theirs = in_short(whole), in_short(plain)
    if ours != theirs and not ask.ours:
        return [f"fastapi {ours}", f"plain   {theirs}"]
    return []


@pytest.mark.parametrize("seed", range(APPS))
async def test_random_apps_answer_alike_on_every_way(seed):
    await assert_alike(chance(seed))


ON_ROUTES = ("attribute", "dependant", "methods", "pattern", "patch", "route_class")
ALONE = [
    pytest.param(ingredient, layout, id=f"{ingredient.name}-{layout.name}")
    for ingredient in INGREDIENTS
    for layout in LAYOUTS
    if layout.put is nested
    or (layout.put is extended and ingredient.family.startswith(ON_ROUTES))
    or (layout.put is mounted_router and ingredient.family.startswith("resource"))
]


@pytest.mark.parametrize(("ingredient", "layout"), ALONE)
async def test_an_app_with_one_guard_answers_alike_on_every_way(ingredient, layout):
    await assert_alike(only(ingredient, layout))


async def test_an_app_without_guards_goes_the_direct_way_unless_it_is_switched_off():
    plan = Plan("none", LAYOUTS[0], (), tuple(asks_in(LAYOUTS[0])))
    _, direct = await answers_of(plan, "direct")
    _, switched_off = await answers_of(plan, "fastapi")

    assert await difference(plan) is None
    assert direct > len(plan.asks) / 3
    assert switched_off == 0


def pass_over_the_guard(built: Built) -> None:
    """Let another app of the same rows answer lists, which asks no guard."""
    guarded, unguarded = built.app.router.middleware_stack, FastAPI()
    unguarded.include_router(Notes(built.db).router(prefix="/notes"))

    async def bypass(scope, receive, send):
        is_list = (scope["method"], scope["path"]) == ("GET", "/notes/")
        await (unguarded if is_list else guarded)(scope, receive, send)

    built.app.router.middleware_stack = bypass


async def test_a_planted_bypass_is_found():
    (guard,) = (it for it in INGREDIENTS if it.name == "dependency awaited @before")
    plan = only(guard, LAYOUTS[0])

    assert await difference(plan) is None
    found = await difference(plan, pass_over_the_guard)
    assert found is not None
    assert "direct " in found
    assert "path='/notes/'" in found
