"""What a process does before its first answer: it counts, and never takes the time."""

import json
import subprocess
import sys
from collections.abc import Iterable
from typing import Any, ClassVar

import pytest
from catalogue import NOTEBOOK, Categories, Items, client_of
from fastapi import Depends, FastAPI
from fastapi.exceptions import FastAPIError
from pydantic import BaseModel, TypeAdapter
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.sql.elements import CompilerElement
from sqlalchemy.types import UserDefinedType
from sqlmodel import Field, SQLModel

from howdah import Database, Misconfigured, Resource, connect
from howdah.memory import MemoryDatabase
from howdah.resource import ResourceRoute
from howdah.schemas import create_schema, update_schema

pytestmark = pytest.mark.anyio

NOWHERE = "postgresql://nobody@localhost:1/nothing"


class Asked(Items):
    filters = ("name", "price", "created_at")
    sort = ("name", "price")


class Label(SQLModel, table=True):
    __tablename__ = "starting_labels"

    id: int | None = Field(default=None, primary_key=True)
    text: str = ""


class Labels(Resource[Label]):
    filters = ("text",)


RESOURCES = (Asked, Categories, Labels)


def make(db: Any, resources: Iterable[type[Resource[Any]]] = RESOURCES) -> FastAPI:
    app = FastAPI()
    connect(app, db)
    for cls in resources:
        app.include_router(cls(db).router(prefix=f"/{cls.__name__.lower()}"))
    return app


async def start(app: FastAPI) -> None:
    """Let an app start and stop, as a server does."""
    said = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def receive() -> Any:
        return next(said)

    async def send(message: Any) -> None:
        assert message["type"].endswith("complete"), message

    await app({"type": "lifespan"}, receive, send)


@pytest.fixture
def counted(monkeypatch):
    """Count how often a method is called from now on."""

    def count(owner: type, name: str) -> list[Any]:
        calls, method = [], getattr(owner, name)

        def counting(self, *arguments, **options):
            calls.append(self)
            return method(self, *arguments, **options)

        monkeypatch.setattr(owner, name, counting)
        return calls

    return count


async def test_a_start_builds_no_validators_of_resources(counted):
    # What columns of a type have in common is built with the first of them.
    make(MemoryDatabase())
    built = counted(TypeAdapter, "__init__")
    connect(FastAPI(), MemoryDatabase())
    without = len(built)
    built.clear()

    await start(make(MemoryDatabase()))

    assert len(built) == without


async def test_a_request_builds_those_of_its_route_once(counted):
    app = make(MemoryDatabase())
    built, counts = counted(TypeAdapter, "__init__"), []
    async with client_of(app) as client:
        for path in ("/asked/", "/asked/", "/asked/1", "/asked/2", "/labels/"):
            await client.get(path)
            counts.append(len(built))

    first, again, second, last, other = counts
    assert 0 < first == again
    assert first < second == last
    assert other > last


async def test_the_document_builds_what_requests_need(counted):
    app = make(MemoryDatabase())
    app.openapi()
    built = counted(TypeAdapter, "__init__")
    async with client_of(app) as client:
        await client.post("/asked/", json=NOTEBOOK)
        answers = [await client.get(f"/{path}/") for path in ("asked", "labels")]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert built == []


async def test_a_start_compiles_no_plan(counted):
    compiled = counted(CompilerElement, "compile")
    app = make(Database(NOWHERE))

    async with app.router.lifespan_context(app), client_of(app) as client:
        at_the_start = len(compiled)
        answers = [await client.get("/labels/") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [503, 503]
    assert (at_the_start, len(compiled)) == (0, 1)


class Badge(SQLModel, table=True):
    __tablename__ = "starting_badges"

    id: int | None = Field(default=None, primary_key=True)
    text: str = ""


class Badges(Resource[Badge]):
    filters = ("text",)


async def test_schemas_of_writing_are_derived_by_the_first_that_writes():
    def derived() -> list[int]:
        return [each.cache_info().misses for each in (create_schema, update_schema)]

    before = derived()
    app = make(MemoryDatabase(), [Badges])
    at_the_start = derived()
    async with client_of(app) as client:
        await client.get("/badges/")
        after_reading = derived()
        await client.post("/badges/", json={})
        await client.patch("/badges/1", json={})

    assert at_the_start == after_reading == before
    assert derived() == [number + 1 for number in before]


SERVE = """
import json, sys
from fastapi import FastAPI
from sqlmodel import Field, SQLModel
import howdah
before = sorted(sys.modules)
from howdah import Database, Resource, connect
class Note(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
class Notes(Resource[Note]): ...
app, db = FastAPI(), Database("postgresql://nobody@localhost:1/nothing")
connect(app, db)
app.include_router(Notes(db).router())
print(json.dumps([before, sorted(sys.modules)]))
"""
NEVER_NEEDED = (
    "alembic",
    "beanie",
    "howdah.cli",
    "howdah.documents",
    "howdah.embedded",
    "howdah.load",
    "howdah.memory",
    "howdah.migrations",
    "howdah.orm",
    "howdah.repository",
    "howdah.sqlite.columns",
    "psycopg",
    "sqlalchemy.dialects.sqlite",
    "typer",
)


def run(code: str) -> Any:
    """Run some code in a process of its own; return what it prints."""
    ran = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    return json.loads(ran.stdout)


def test_what_a_request_never_needs_is_not_imported():
    for_howdah, for_resources = run(SERVE)

    assert [name for name in for_howdah if name.startswith("howdah.")] == []
    assert [name for name in NEVER_NEEDED if name in for_resources] == []
    assert "howdah.fast" in for_resources


DEV = """
import json, sys
import howdah.cli, howdah.embedded, howdah.migrations, howdah.models, howdah.settings
print(json.dumps(sorted(sys.modules)))
"""


def test_dev_starts_and_migrates_a_database_without_what_serves():
    modules = run(DEV)

    assert "alembic" in modules
    assert {"fastapi", "howdah.resource", "howdah.web"}.isdisjoint(modules)


class AtOnce(ResourceRoute):
    """A route that is built when it is made, since its handler may look into it."""

    def get_route_handler(self):
        return super().get_route_handler()


PLAIN = (str, int, bool, type(None), list, dict, set)


def told(value: Any) -> Any:
    """Return what can be compared of what a route knows."""
    if hasattr(value, "field_info"):
        return value.name, value.mode, str(value.field_info.annotation)
    if hasattr(value, "path_params"):
        return [told(it) for it in (*value.path_params, *value.body_params)]
    return value if isinstance(value, PLAIN) else type(value)


@pytest.mark.parametrize("cls", RESOURCES)
def test_a_route_that_is_built_late_has_all_that_others_have(cls):
    db = MemoryDatabase()
    late = cls(db).router(prefix="/all", tags=["all"])
    at_once = cls(db).router(prefix="/all", tags=["all"], route_class=AtOnce)

    assert [route.path for route in late.routes] == [r.path for r in at_once.routes]
    for one, other in zip(late.routes, at_once.routes, strict=True):
        assert "dependant" not in vars(one)
        names = [name for name in vars(other) if name not in OURS]
        assert {"dependant", "app", "response_field", "body_field"} <= {*names}
        for name in names:
            assert told(getattr(one, name)) == told(getattr(other, name)), name


OURS = ("_dependencies", "_late", "_own_app", "_ways")


def test_what_is_changed_on_a_route_stays_when_it_is_built():
    (route, *_) = Asked(MemoryDatabase()).router().routes
    route.tags, route.summary, route.app = ["mine"], "Mine", told

    assert route.dependant.body_params
    assert (route.tags, route.summary, route.app) == (["mine"], "Mine", told)


class Odd:
    pass


class OddType(UserDefinedType[Odd]):
    python_type = Odd


class Base(DeclarativeBase):
    pass


class Strange(Base):
    __tablename__ = "starting_strange"

    id = mapped_column(OddType(), primary_key=True)
    name: Mapped[str]


class Named(BaseModel):
    name: str


class Shown(Named):
    id: Any


class Stranges(Resource[Strange]):
    create_schema = Named
    update_schema = Named
    read_schema = Shown


def test_a_key_that_no_path_can_hold_is_refused_at_the_start():
    with pytest.raises(Misconfigured, match="the key id is OddType"):
        Stranges(MemoryDatabase())


def wrong(value: Odd) -> None:
    """Ask for what FastAPI cannot read."""


class Guarded(Labels):
    dependencies: ClassVar = {"write": [Depends(wrong)]}


class Scoped(Labels):
    def scope(self, value: Odd): ...


class Hooked(Labels):
    def before_write(self, change, value: Odd): ...


@pytest.mark.parametrize("cls", [Guarded, Scoped, Hooked])
def test_a_dependency_that_cannot_be_read_is_refused_at_the_start(cls):
    with pytest.raises(FastAPIError):
        cls(MemoryDatabase()).router()


async def test_one_of_an_inclusion_is_refused_at_the_start():
    db, app = MemoryDatabase(), FastAPI()
    connect(app, db)
    app.include_router(Labels(db).router(), dependencies=[Depends(wrong)])

    with pytest.raises(FastAPIError):
        async with app.router.lifespan_context(app):
            pass


async def test_an_app_answers_as_before_its_document_was_asked_for():
    app = make(MemoryDatabase())
    async with client_of(app) as client:
        made = await client.post("/asked/", json=NOTEBOOK)
        document = (await client.get("/openapi.json")).json()
        read = await client.get("/asked/1")

    assert made.status_code == 201
    assert read.json() == made.json()
    assert "/asked/{item_id}" in document["paths"]
