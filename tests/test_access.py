"""Who may do what: scopes, permissions, hooks, and actions that there are not."""

import json
from dataclasses import replace
from typing import Annotated, ClassVar

import pytest
from catalogue import (
    NOTEBOOK,
    Category,
    CategoryCreate,
    CategoryRead,
    CategoryUpdate,
    Item,
    Items,
    assert_problem,
    client_of,
    create_tables,
)
from fastapi import (
    BackgroundTasks,
    Depends,
    FastAPI,
    HTTPException,
    Query,
    Request,
)
from fastapi.security import HTTPBearer
from sqlalchemy import false, true

from howdah import Resource, connect, problems
from howdah.errors import Invalid, Misconfigured, NotFound
from howdah.resource import Change

pytestmark = pytest.mark.anyio

bearer = HTTPBearer()


def token(given: Annotated[object, Depends(bearer)]) -> str:
    return given.credentials


Token = Annotated[str, Depends(token)]


def admin(token: Token) -> None:
    if token != "admin":
        raise HTTPException(403, "admins only")


class Named(Resource[Category]):
    """Categories whose names begin with who calls; an admin has them all."""

    create_schema = CategoryCreate
    update_schema = CategoryUpdate
    read_schema = CategoryRead

    def scope(self, token: Token):
        if token == "admin":
            return true()
        if token == "nobody":
            return false()
        return Category.name.startswith(token)


@pytest.fixture
async def serve(db):
    """Serve a resource at /it, and return a client for it."""
    await create_tables(db)
    apps = []

    def served(resource):
        app = FastAPI()
        connect(app, db)
        router = resource(db).router(prefix="/it")
        app.include_router(router)
        apps.append(app)
        return client_of(app)

    served.apps = apps
    return served


def bears(token):
    return {"authorization": f"Bearer {token}"}


async def test_a_scope_of_everything_and_one_of_nothing(serve):
    async with serve(Named) as client:
        for name in ("ann's", "bob's"):
            await client.post("/it/", json={"name": name}, headers=bears("admin"))
        found = {
            who: [
                r["name"] for r in (await client.get("/it/", headers=bears(who))).json()
            ]
            for who in ("admin", "ann", "bob", "nobody")
        }
        refused = await client.post("/it/", json={"name": "x"}, headers=bears("ann"))
        nowhere = await client.post("/it/", json={"name": "x"}, headers=bears("nobody"))

    assert found == {
        "admin": ["ann's", "bob's"],
        "ann": ["ann's"],
        "bob": ["bob's"],
        "nobody": [],
    }
    assert_problem(refused, 403, "forbidden")
    assert_problem(nowhere, 403, "forbidden")


async def test_openapi_tells_of_the_scopes_security(serve):
    async with serve(Named) as client:
        paths = (await client.get("/openapi.json")).json()["paths"]

    for operations in (p for name, p in paths.items() if name.startswith("/it")):
        for operation in operations.values():
            assert operation["security"] == [{"HTTPBearer": []}]
            assert {"401", "403"} <= set(operation["responses"])
            names = {each["name"] for each in operation.get("parameters", [])}
            assert not any("scope" in name or "caller" in name for name in names)


class OfLetter(Items):
    """Items whose names begin with a letter; anybody may ask."""

    def scope(
        self,
        letter: int,
        more: Annotated[int, Query(ge=0)] = 0,
        first: Annotated[int, Depends(lambda: ord("a"))] = 0,
    ):
        if not 0 <= letter + more < 26:
            raise NotFound(model="Letter", key=letter)
        return Item.name.startswith(chr(first + letter + more))


async def test_openapi_tells_of_a_login_only_where_there_is_one(db):
    app = FastAPI()
    more = problems.responses(404)
    router = OfLetter(db).router(prefix="/letters/{letter}/items", responses=more)
    app.include_router(router)
    admins = type("Checked", (Items,), {"dependencies": {"read": [Depends(lambda: 1)]}})
    app.include_router(admins(db).router(prefix="/checked"))

    paths = app.openapi()["paths"]

    listed = paths["/letters/{letter}/items/"]["get"]["responses"]
    assert set(listed) == {"200", "404", "422", "503"}
    assert listed["404"] == paths["/checked/{item_id}"]["get"]["responses"]["404"]
    # A row does not leave its scope.
    made = paths["/letters/{letter}/items/"]["post"]["responses"]
    assert "403" in made
    assert "401" not in made
    assert {"401", "403"}.isdisjoint(paths["/checked/"]["get"]["responses"])


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/letters/0/items/", 200),
        ("/letters/-1/items/?more=1", 200),
        ("/letters/99/items/", 404),
        ("/letters/x/items/", 422),
        ("/letters/1_0/items/", 422),
        ("/letters/%201/items/", 422),
        ("/letters/1.0/items/", 422),
        ("/letters/1/items/?more=1_0", 422),
        ("/letters/1/items/?more=-1", 422),
    ],
)
async def test_a_scope_reads_numbers_as_strictly_as_a_key(db, path, status):
    app = FastAPI()
    connect(app, db)
    app.include_router(OfLetter(db).router(prefix="/letters/{letter}/items"))
    await create_tables(db)

    async with client_of(app) as client:
        answer = await client.get(path)
        lone = await client.get(path.replace("/?", "/1?").rstrip("/"))

    assert (answer.status_code, lone.status_code == 422) == (status, status == 422)


async def test_a_dependency_of_a_scope_can_be_overridden(serve):
    async with serve(Named) as client:
        serve.apps[0].dependency_overrides[token] = lambda: "ann"
        made = await client.post("/it/", json={"name": "ann's"})

    assert made.status_code == 201


@pytest.mark.parametrize("answer", [None, True, False])
async def test_a_scope_that_says_nothing_is_none(serve, answer, caplog):
    class Slip(Named):
        def scope(self):
            return answer

    async with serve(Slip) as client:
        found = await client.get("/it/")

    assert_problem(found, 500, "internal")


async def test_code_without_a_caller_has_no_rows_of_a_scope(db):
    resource = Named(db)

    with pytest.raises(Misconfigured) as caught:
        await resource.get(1)

    assert "Depends(resource.scoped)" in str(caught.value)


async def test_a_plain_endpoint_gets_the_resource_as_its_caller_may(db, serve):
    async with serve(Named) as client:
        app = serve.apps[0]
        resource = Named(db)

        @app.get("/mine/{key}")
        async def mine(key: int, rows: Annotated[Named, Depends(resource.scoped)]):
            assert isinstance(rows, Named)
            return json.loads((await rows.get(key)).body)

        await client.post("/it/", json={"name": "ann's"}, headers=bears("ann"))
        own = await client.get("/mine/1", headers=bears("ann"))
        other = await client.get("/mine/1", headers=bears("bob"))
        nobody = await client.get("/mine/1")

    assert own.json()["name"] == "ann's"
    assert_problem(other, 404, "not_found")
    assert nobody.status_code == 401


async def test_an_action_that_is_overridden_stays_in_scope(serve):
    class Loud(Named):
        async def get(self, key, **options):
            row = await self.store.get(key, **options)
            return replace(row, body=row.body.upper())

    async with serve(Loud) as client:
        await client.post("/it/", json={"name": "ann's"}, headers=bears("ann"))
        own = await client.get("/it/1", headers=bears("ann"))
        other = await client.get("/it/1", headers=bears("bob"))

    assert own.json() == {"ID": 1, "NAME": "ANN'S"}
    assert other.status_code == 404


class Permitted(Items):
    dependencies = {  # noqa: RUF012 - as people write it
        "write": [Depends(bearer)],
        "delete": [Depends(admin)],
        "create": [Depends(admin)],
    }


@pytest.mark.parametrize(
    ("method", "path", "body", "needs"),
    [
        pytest.param("GET", "/it/", None, "", id="list"),
        pytest.param("GET", "/it/1", None, "", id="get"),
        pytest.param("GET", "/it/count", None, "", id="count"),
        pytest.param("PATCH", "/it/1", {}, "user", id="patch"),
        pytest.param("PUT", "/it/1", {}, "user", id="update"),
        pytest.param("PATCH", "/it/batch", [{"id": 1}], "user", id="update_many"),
        pytest.param("POST", "/it/", NOTEBOOK, "admin", id="create"),
        pytest.param("POST", "/it/batch", [NOTEBOOK], "admin", id="create_many"),
        pytest.param("POST", "/it/1/restore", None, "admin", id="restore"),
        pytest.param("DELETE", "/it/batch", [1], "admin", id="delete_many"),
        pytest.param("DELETE", "/it/1", None, "admin", id="delete"),
    ],
)
async def test_permissions_are_those_of_an_action_and_its_groups(
    serve, method, path, body, needs
):
    async with serve(Permitted) as client:
        made = await client.post("/it/", json=NOTEBOOK, headers=bears("admin"))
        statuses = [
            (await client.request(method, path, json=body, headers=headers)).status_code
            for headers in ({}, bears("user"), bears("admin"))
        ]

    assert made.status_code == 201
    allowed = [status < 400 for status in statuses]
    levels = {
        "": [True] * 3,
        "user": [False, True, True],
        "admin": [False, False, True],
    }
    assert allowed == levels[needs]
    assert statuses[0] in (200, 401)
    assert statuses[1] != 401


async def test_openapi_tells_of_permissions(serve):
    async with serve(Permitted) as client:
        paths = (await client.get("/openapi.json")).json()["paths"]

    assert "security" not in paths["/it/"]["get"]
    assert paths["/it/"]["post"]["security"] == [{"HTTPBearer": []}]


@pytest.mark.parametrize(
    ("attribute", "value", "said"),
    [
        ("without", ("delet",), "did you mean delete"),
        ("without", "delete", "write ('delete',)"),
        ("only", ("gets",), "did you mean get"),
        ("dependencies", {"wirte": []}, "did you mean write"),
    ],
)
async def test_an_action_that_there_is_not_is_refused_at_start(
    db, attribute, value, said
):
    resource = type("Wrong", (Items,), {attribute: value})

    with pytest.raises(Misconfigured) as caught:
        resource(db)

    assert said in str(caught.value)


def methods(paths):
    return {
        (method.upper(), path.removeprefix("/it"))
        for path, operations in paths.items()
        if path.startswith("/it")
        for method in operations
    }


READS = {("GET", "/"), ("GET", "/search"), ("GET", "/count"), ("GET", "/{item_id}")}


@pytest.mark.parametrize(
    ("members", "gone", "left"),
    [
        pytest.param(
            {"without": ("delete",)},
            {("DELETE", "/{item_id}"), ("DELETE", "/batch")},
            READS,
            id="without delete",
        ),
        pytest.param(
            {"without": ("create_many",)},
            {("POST", "/batch")},
            {("POST", "/"), *READS},
            id="without batches",
        ),
        pytest.param(
            {"read_only": True},
            {("POST", "/"), ("PUT", "/{item_id}"), ("PATCH", "/batch")},
            READS,
            id="read only",
        ),
        pytest.param(
            {"only": ("get", "create"), "without": ("create_many",)},
            {("GET", "/"), ("POST", "/batch"), ("DELETE", "/{item_id}")},
            {("GET", "/{item_id}"), ("POST", "/")},
            id="only",
        ),
    ],
)
async def test_actions_can_be_switched_off(serve, members, gone, left):
    async with serve(type("Few", (Items,), members)) as client:
        there = methods((await client.get("/openapi.json")).json()["paths"])
        refused = await client.request("DELETE", "/it/1")

    assert not gone & there
    assert left <= there
    if ("DELETE", "/{item_id}") in gone:
        assert refused.status_code == 405


async def test_a_read_only_resource_writes_nothing(serve):
    class Shown(Items):
        read_only = True

    async with serve(Shown) as client:
        there = methods((await client.get("/openapi.json")).json()["paths"])

    assert {method for method, path in there if path != "/search"} == {"GET"}


class Noted(Items):
    """Writes down what its hooks are told, and does as it is told by headers."""

    notes: ClassVar[list] = []

    async def before_write(self, change: Change, request: Request):
        self.notes.append(("before", change.action, change.keys, len(change.values)))
        assert change.body is None
        if "refuse" in request.headers:
            raise Invalid("not today")
        if "rename" in request.headers:
            name = request.headers["rename"]
            return replace(
                change, values=tuple({**v, "name": name} for v in change.values)
            )
        return None

    def after_write(self, change: Change, request: Request, tasks: BackgroundTasks):
        names = [row["name"] for row in change.rows]
        self.notes.append(("after", change.action, change.keys, names))
        tasks.add_task(self.notes.append, "in the background")
        if "stumble" in request.headers:
            raise ValueError("stumbled")


@pytest.fixture
async def noted(serve):
    Noted.notes.clear()
    async with serve(Noted) as client:
        await client.post("/it/batch", json=[NOTEBOOK, NOTEBOOK])
        Noted.notes.clear()
        yield client


@pytest.mark.parametrize(
    ("method", "path", "body", "action", "keys", "count"),
    [
        ("POST", "/it/", NOTEBOOK, "create", (3,), 1),
        ("POST", "/it/batch", [NOTEBOOK] * 2, "create_many", (), 2),
        ("PUT", "/it/1", {"price": 5}, "update", (1,), 1),
        ("PATCH", "/it/1", {"price": 5}, "update", (1,), 1),
        ("PATCH", "/it/batch", [{"id": 2, "price": 5}], "update_many", (2,), 1),
        ("DELETE", "/it/1", None, "delete", (1,), 0),
        ("DELETE", "/it/batch", [1, 2], "delete_many", (1, 2), 0),
        ("POST", "/it/1/restore", None, "restore", (1,), 0),
    ],
)
async def test_hooks_are_told_of_every_write(
    noted, method, path, body, action, keys, count
):
    answer = await noted.request(method, path, json=body)

    assert answer.status_code < 300, answer.text
    before, after, background = Noted.notes
    known = keys if action != "create" else ()
    assert before == ("before", action, known, count)
    assert after[:3] == ("after", action, keys)
    assert background == "in the background"
    if answer.content:
        rows = answer.json() if isinstance(answer.json(), list) else [answer.json()]
        assert after[3] == [row["name"] for row in rows]


async def test_hooks_are_not_told_of_reads(noted):
    for path in ("/it/", "/it/1", "/it/count", "/it/search?q=note"):
        assert (await noted.get(path)).status_code == 200

    assert Noted.notes == []


async def test_a_hook_can_refuse_a_write(noted):
    answer = await noted.post("/it/", json=NOTEBOOK, headers={"refuse": "yes"})
    counted = await noted.get("/it/count")

    assert_problem(answer, 422, "invalid")
    assert counted.json() == {"total": 2}
    assert [note[0] for note in Noted.notes] == ["before"]


async def test_a_hook_can_change_what_is_written(noted):
    named = {"rename": "renamed"}
    made = await noted.post("/it/", json=NOTEBOOK, headers=named)
    many = await noted.post("/it/batch", json=[NOTEBOOK] * 2, headers=named)
    patch = await noted.patch("/it/1", json={}, headers=named)
    batch = await noted.patch("/it/batch", json=[{"id": 2}], headers=named)

    found = [made.json(), *many.json(), patch.json(), *batch.json()]
    assert {row["name"] for row in found} == {"renamed"}


async def test_what_fails_is_told_to_nobody_after(noted):
    orphan = {**NOTEBOOK, "category_id": 77}
    for method, path, body in (
        ("POST", "/it/", orphan),
        ("PATCH", "/it/99", {}),
        ("PATCH", "/it/batch", [{"id": 1}, {"id": 99}]),
        ("DELETE", "/it/99", None),
    ):
        answer = await noted.request(method, path, json=body)
        assert answer.status_code in (404, 409)

    assert {note[0] for note in Noted.notes} == {"before"}


async def test_a_hook_that_stumbles_changes_no_answer(noted, caplog):
    answer = await noted.post("/it/", json=NOTEBOOK, headers={"stumble": "yes"})

    assert answer.status_code == 201
    assert (await noted.get("/it/3")).status_code == 200
    (record,) = [r for r in caplog.records if r.name == "howdah.resource"]
    assert record.action == "after_write_failed"


async def test_hooks_know_who_calls_and_stay_in_scope(serve):
    told = []

    class Both(Named):
        def before_write(self, change, token: Token):
            told.append((token, change.action))

    async with serve(Both) as client:
        await client.post("/it/", json={"name": "ann's"}, headers=bears("ann"))
        other = await client.patch("/it/1", json={"name": "bob"}, headers=bears("bob"))
        nobody = await client.patch("/it/1", json={"name": "bob"})

    assert told == [("ann", "create"), ("bob", "update")]
    assert (other.status_code, nobody.status_code) == (404, 401)


async def test_a_write_behind_a_route_that_reads_is_refused(serve):
    class Counted(Noted):
        async def get(self, key, **options):
            await self.store.update(key, {"name": "read"})
            return await self.store.get(key, **options)

    async with serve(Counted) as client:
        await client.post("/it/", json=NOTEBOOK)
        answer = await client.get("/it/1")
        listed = await client.get("/it/")

    assert_problem(answer, 500, "internal")
    assert listed.json()[0]["name"] == "notebook"


async def test_a_plain_endpoint_replaces_an_action(db):
    await create_tables(db)
    app = FastAPI()
    connect(app, db)
    router = Items(db).router(prefix="/items")

    @router.get("/{key}")
    async def get(key: str) -> dict[str, str]:
        return {"key": key}

    @router.get("/special")
    async def special() -> str:
        return "special"

    inner = FastAPI().router
    inner.add_api_route("/inner", special)
    app.include_router(router)
    router.include_router(inner)

    @router.get("/late")
    async def late() -> str:
        return "late"

    async with client_of(app) as client:
        answers = [
            (await client.get(f"/items/{path}")).json()
            for path in ("7", "special", "special/", "inner", "late")
        ]
        patched = await client.patch("/items/7", json={})
        refused = await client.delete("/items/late")
        total = await client.get("/items/count")
        listed = await client.get("/items/")
        paths = (await client.get("/openapi.json")).json()["paths"]

    # What is put on the router first is matched first, as on any router.
    assert answers == [
        {"key": "7"},
        {"key": "special"},
        {"key": "special"},
        {"key": "inner"},
        {"key": "late"},
    ]
    assert (patched.status_code, listed.json()) == (404, [])
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
    assert total.json() == {"total": 0}
    assert set(paths["/items/{key}"]) == {"get"}
    assert "get" not in paths["/items/{item_id}"]


async def test_fixed_paths_are_not_taken_for_keys(db):
    await create_tables(db)
    app = FastAPI()
    connect(app, db)
    router = Items(db).router(prefix="/items")
    app.include_router(router)

    @router.get("/special")
    async def special() -> str:
        return "special"

    inner = FastAPI().router
    inner.add_api_route("/inner", special)
    router.include_router(inner)

    async with client_of(app) as client:
        found = [(await client.get(f"/items/{p}")).json() for p in ("special", "inner")]
        missing = await client.get("/items/7")

    assert found == ["special", "special"]
    assert_problem(missing, 404, "not_found")


async def test_hooks_are_told_of_rows_that_are_put(serve):
    told = []

    class Put(Resource[Category]):
        create_schema = CategoryCreate
        update_schema = CategoryUpdate
        read_schema = CategoryRead
        upsert = ("name",)

        def after_write(self, change):
            told.append((change.action, change.keys, len(change.rows)))

    async with serve(Put) as client:
        await client.put("/it/", json={"name": "a"})
        await client.put("/it/batch", json=[{"name": "a"}, {"name": "b"}])

    assert told == [("upsert", (1,), 1), ("upsert_many", (), 2)]
