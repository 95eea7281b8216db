"""The teams of seed 002, a test for each of its snippets: with await, and without."""

import logging
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from types import ModuleType

import httpx
import pytest
from catalogue import assert_problem
from example_apps import load_all, serving
from sqlalchemy import inspect

from howdah import Database
from howdah.errors import Misconfigured, NotFound

pytestmark = pytest.mark.anyio

asynchronous, sync, models, resources, settings = load_all(
    "teams", "main", "main_sync", "models", "resources", "settings"
)
User, Team, Project = models.User, models.Team, models.Project
PASSWORD = "correct horse battery staple"
ADA = {"username": "ada", "email": "ada@example.org", "password": PASSWORD}


@pytest.fixture(params=[asynchronous, sync], ids=["async", "sync"])
def teams(request) -> ModuleType:
    """The module of an application."""
    return request.param


@pytest.fixture
async def client(teams, database_url) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(teams, database_url) as client:
        yield client


@pytest.fixture
async def people(client, teams) -> ModuleType:
    """Three users of Engineering, one of them inactive; one of Sales, one of none."""
    with teams.db.sync_session() as session:
        engineering, sales = Team(name="Engineering"), Team(name="Sales")
        session.add_all([engineering, sales])
        session.flush()
        rows = [
            ("ada", engineering.id, True),
            ("grace", engineering.id, True),
            ("admiral", engineering.id, False),
            ("mary", sales.id, True),
            ("testuser", None, True),
        ]
        # One by one, for the numbers of their keys.
        for name, team, active in rows:
            session.add(person(name, team_id=team, is_active=active))
            session.flush()
    return teams


def person(name: str, **values) -> User:
    email = f"{name}@example.org"
    return User(username=name, email=email, hashed_password="unusable", **values)


async def names(client: httpx.AsyncClient, path: str) -> list[str]:
    found = await client.get(path)
    assert found.status_code == 200, found.text
    return [row.get("username", row.get("name")) for row in found.json()]


def kept(teams: ModuleType, number: int = 1) -> User:
    with teams.db.sync_session() as session:
        return session.get(User, number)


async def test_create_db_and_tables(client, teams):
    with teams.db.sync_session() as session:
        tables = inspect(session.connection()).get_table_names()

    assert {"users", "teams", "projects", "project_users"} <= {*tables}


async def test_get_session_commits_before_the_answer_and_is_given_back(client, teams):
    made = await client.post("/users/with-team", json={**ADA, "team_name": "Engines"})

    assert made.status_code == 201
    assert kept(teams).username == "ada"
    assert teams.db.busy == 0


async def test_relationships(client, people):
    for name in ("Gemini", "Apollo"):
        await client.post("/projects/", json={"name": name})
    await client.put("/projects/1/users", json=[1, 2])
    await client.put("/projects/2/users", json=[1])

    user = (await client.get("/users/1?include=team,projects")).json()
    project = (await client.get("/projects/1?include=users")).json()
    team = (await client.get("/teams/2?include=users")).json()

    assert user["team"] == {"id": 1, "name": "Engineering"}
    assert [each["name"] for each in user["projects"]] == ["Apollo", "Gemini"]
    assert [each["username"] for each in project["users"]] == ["ada", "grace"]
    assert [each["username"] for each in team["users"]] == ["mary"]


async def test_create_user(client, teams):
    made = await client.post("/users/", json={**ADA, "full_name": "Ada Lovelace"})

    assert made.status_code == 201
    assert made.headers["location"].endswith("/users/1")
    created_at = made.json()["created_at"]
    assert made.json() == {
        "username": "ada",
        "email": "ada@example.org",
        "full_name": "Ada Lovelace",
        "is_active": True,
        "id": 1,
        "team_id": None,
        "created_at": created_at,
    }
    assert created_at.endswith("+00:00")
    hashed = kept(teams).hashed_password
    assert hashed.startswith("$argon2id$")
    assert resources.passwords.verify(PASSWORD, hashed)


async def test_create_user_refuses_what_is_taken_or_short(client, people):
    taken = await client.post("/users/", json={**ADA, "email": "new@example.org"})
    short = await client.post(
        "/users/", json={**ADA, "username": "joan", "password": "pass"}
    )
    given = await client.post(
        "/users/", json={**ADA, "username": "joan", "hashed_password": "x"}
    )

    assert assert_problem(taken, 409, "duplicate")["errors"][0]["field"] == "username"
    assert assert_problem(short, 422, "invalid")["errors"][0]["field"] == "password"
    assert_problem(given, 422, "invalid")


async def test_get_user(client, people):
    found = await client.get("/users/2")

    assert found.json()["username"] == "grace"
    assert_problem(await client.get("/users/99"), 404, "not_found")


async def test_get_user_by_username(client, people):
    found = await client.get("/users/by-username/grace")

    assert found.json()["id"] == 2
    assert_problem(await client.get("/users/by-username/joan"), 404, "not_found")


async def test_list_users(client, people):
    assert await names(client, "/users/?skip=1&limit=2") == ["grace", "admiral"]
    assert_problem(await client.get("/users/?limit=101"), 422, "invalid")


async def test_list_active_users_the_newest_first(client, people):
    found = await names(client, "/users/?is_active=true&sort=-created_at")

    assert sorted(found) == ["ada", "grace", "mary", "testuser"]


async def test_get_users_with_teams(client, people):
    found = await client.get(
        "/users/?team__name=Engineering&include=team&sort=username"
    )

    assert [(row["username"], row["team"]["name"]) for row in found.json()] == [
        ("ada", "Engineering"),
        ("admiral", "Engineering"),
        ("grace", "Engineering"),
    ]


async def test_update_user(client, teams):
    await client.post("/users/", json=ADA)
    before = kept(teams)

    changed = await client.patch("/users/1", json={"full_name": "Ada Lovelace"})
    renewed = await client.put("/users/1", json={"password": "a better password"})
    emptied = await client.patch("/users/1", json={"password": None})

    assert changed.json()["full_name"] == "Ada Lovelace"
    assert renewed.json() == changed.json()
    problem = assert_problem(emptied, 422, "invalid")
    assert problem["errors"][0]["field"] == "password"
    after = kept(teams)
    assert after.updated_at > before.created_at
    assert resources.passwords.verify("a better password", after.hashed_password)
    assert not resources.passwords.verify(PASSWORD, after.hashed_password)


async def test_delete_user(client, people):
    gone = await client.delete("/users/1?hard_delete=true")

    assert gone.status_code == 204
    assert kept(people) is None
    assert_problem(await client.delete("/users/99"), 404, "not_found")


async def test_soft_delete_user(client, people):
    await client.delete("/users/1")

    assert kept(people).deleted_at is not None
    assert_problem(await client.get("/users/1"), 404, "not_found")
    assert "ada" not in await names(client, "/users/")
    restored = await client.post("/users/1/restore")
    assert (restored.status_code, kept(people).deleted_at) == (200, None)


async def test_a_name_is_free_again_once_its_user_is_deleted(client, people):
    await client.delete("/users/1")

    again = await client.post("/users/", json=ADA)

    assert again.status_code == 201


@pytest.mark.parametrize(
    ("query", "found"),
    [
        pytest.param("is_active=true&created_at__gt=2020-01-01T00:00:00Z", 4, id="and"),
        pytest.param("id__in=1&id__in=2&id__in=99", 2, id="in"),
        pytest.param("username__contains=adm", 1, id="like"),
        pytest.param("team_id__isnull=true", 1, id="is null"),
    ],
)
async def test_complex_filters(client, people, query, found):
    counted = await client.get(f"/users/count?{query}")

    assert counted.json() == {"total": found}


@pytest.mark.parametrize("name", ["testuser", "testuser@example.org"])
async def test_or_condition(client, people, name):
    found = await client.get(f"/users/known-as/{name}")
    nobody = await client.get("/users/known-as/joan")

    assert (found.json()["id"], nobody.json()) == (5, None)


async def test_count(client, people):
    assert (await client.get("/users/count")).json() == {"total": 5}


async def test_group_by(client, people):
    found = await client.get("/teams/users")

    assert found.json() == [
        {"team_id": 1, "users": 3},
        {"team_id": 2, "users": 1},
        {"team_id": None, "users": 1},
    ]


async def test_having(client, people):
    found = await client.get("/teams/users?more_than=1")

    assert found.json() == [{"team_id": 1, "users": 3}]
    assert_problem(await client.get("/teams/users?more_than=-1"), 422, "invalid")


async def test_scalar_subquery(client, people):
    await client.post("/teams/", json={"name": "Board"})
    await client.delete("/users/4")

    found = await client.get("/teams/sizes")

    assert found.json() == [
        {"name": "Board", "users": 0},
        {"name": "Engineering", "users": 3},
        {"name": "Sales", "users": 0},
    ]


async def test_subquery_in_where(client, people):
    for number, name in enumerate(("Apollo", "Gemini"), start=1):
        await client.post("/projects/", json={"name": name})
        await client.put(f"/projects/{number}/users", json=[4 - number])

    found = await names(client, "/projects/?users__is_active=true")

    assert found == ["Gemini"]


async def test_create_user_with_team(client, teams):
    made = await client.post(
        "/users/with-team",
        json={**ADA, "team_name": "Engines", "project_name": "Notes"},
    )

    assert made.status_code == 201
    assert made.json()["user"]["team_id"] == made.json()["team"]["id"] == 1
    assert made.json()["project"] == {"id": 1, "name": "Notes"}
    assert (await client.get("/projects/1/users")).json() == [1]
    assert resources.passwords.verify(PASSWORD, kept(teams).hashed_password)


async def test_create_user_with_team_leaves_nothing_where_it_fails(client, people):
    order = {**ADA, "email": "new@example.org", "team_name": "Engines"}

    refused = await client.post("/users/with-team", json=order)

    problem = assert_problem(refused, 409, "duplicate")
    assert problem["errors"][0]["field"] == "username"
    assert "Engines" not in await names(client, "/teams/")


async def test_nested_transactions(client, teams):
    await client.post("/projects/", json={"name": "Notes"})

    made = await client.post(
        "/users/with-team",
        json={**ADA, "team_name": "Engines", "project_name": "Notes"},
    )

    assert (made.status_code, made.json()["project"]) == (201, None)
    assert kept(teams).team_id == 1
    assert (await client.get("/projects/1/users")).json() == []


async def test_use_eager_loading(client, people, statements):
    await client.post("/projects/", json={"name": "Apollo"})
    await client.put("/projects/1/users", json=[2, 1])
    seen = statements(people.db)

    projects = await client.get("/projects/?include=users")
    teams = await client.get("/teams/?include=users&name=Engineering")

    # One for each list; by sessions one more for what is embedded, and none a row.
    assert len(seen) == (2 if people is asynchronous else 4)

    assert [u["username"] for u in projects.json()[0]["users"]] == ["ada", "grace"]
    assert [user["username"] for user in teams.json()[0]["users"]] == [
        "ada",
        "admiral",
        "grace",
    ]


async def test_pagination(client, people):
    seen, path = [], "/users/?sort=-username&limit=2&cursor="
    while path:
        page = await client.get(path)
        seen += [row["username"] for row in page.json()]
        path = page.links.get("next", {}).get("url")

    assert seen == ["testuser", "mary", "grace", "admiral", "ada"]


async def test_indexes(client, people):
    with people.db.sync_session() as session:
        indexes = inspect(session.connection()).get_indexes("users")

    known = {tuple(index["column_names"]): index["unique"] for index in indexes}
    assert known == {
        ("username",): True,
        ("email",): True,
        ("team_id", "is_active"): False,
        ("created_at",): False,
    }


async def test_select_only_needed_columns(client, people):
    found = await client.get("/users/?fields=id,username&limit=1")

    assert found.json() == [{"id": 1, "username": "ada"}]


async def test_bulk_insert(client, teams):
    rows = [{**ADA, "username": f"user{n}", "email": f"{n}@x.org"} for n in range(3)]

    made = await client.post("/users/batch", json=rows)

    assert [row["username"] for row in made.json()] == ["user0", "user1", "user2"]
    hashes = {kept(teams, number).hashed_password for number in (1, 2, 3)}
    assert len(hashes) == 3
    assert all(resources.passwords.verify(PASSWORD, hashed) for hashed in hashes)


async def test_bulk_update(client, people):
    retired = await client.post("/users/retire")
    again = await client.post("/users/retire")

    assert (retired.json(), again.json()) == ({"retired": 1}, {"retired": 0})
    assert "admiral" not in await names(client, "/users/")
    assert kept(people, 3).updated_at is not None


async def test_repository_pattern(client, teams):
    with teams.db.sync_session() as session:
        users = sync.SyncUserRepository(session)
        ada = users.create(person("ada").model_dump(exclude={"id", "created_at"}))
        assert users.get(ada.id) is ada
        assert users.by_username("ada") is ada
        assert users.list(limit=10) == [ada]
        assert users.update(ada.id, {"full_name": "Ada"}).full_name == "Ada"
        users.delete(ada.id)
        with pytest.raises(NotFound):
            users.get(ada.id)


@pytest.mark.parametrize(
    ("environment", "size", "overflow", "echo"),
    [("production", 20, 40, False), ("testing", 2, 0, False), (None, 5, 0, True)],
)
def test_environment_specific_pools(
    tmp_path, monkeypatch, environment, size, overflow, echo
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ENVIRONMENT", environment or "")

    db = Database(settings.AppSettings())

    assert (db.pool.size, db.pool.overflow) == (size, overflow)
    assert db.settings.echo is echo


def test_pool_configuration_of_the_machine_counts_before(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.setenv("DB_POOL_SIZE", "7")

    assert Database(settings.AppSettings()).pool.size == 7


def test_an_environment_that_is_not_known_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ENVIRONMENT", "prod")

    with pytest.raises(Misconfigured, match="'prod'; it may be development"):
        settings.AppSettings()


# What may be asked of an application that has a user, in this order.
REQUESTS = [
    ("GET", "/users/", None),
    ("GET", "/users/?include=team&sort=-username&limit=2&cursor=", None),
    ("GET", "/users/?skip=1&limit=1&count=exact", None),
    ("GET", "/users/?fields=id,email&team__name=Engineering", None),
    ("GET", "/users/search?q=AD", None),
    ("POST", "/users/search", {"id__in": [1, 3]}),
    ("GET", "/users/count?is_active=false", None),
    ("GET", "/users/1?include=team", None),
    ("GET", "/users/99", None),
    ("GET", "/users/one", None),
    ("GET", "/users/?hashed_password=x", None),
    ("GET", "/users/?sort=hashed_password", None),
    ("GET", "/users/?fields=hashed_password", None),
    ("GET", "/users/by-username/ada", None),
    ("GET", "/users/by-username/joan", None),
    ("GET", "/users/known-as/mary@example.org", None),
    ("GET", "/users/known-as/joan", None),
    ("GET", "/teams/?include=users", None),
    ("GET", "/teams/users?more_than=0", None),
    ("GET", "/teams/users?more_than=many", None),
    ("GET", "/teams/sizes", None),
    ("GET", "/projects/?include=users", None),
    ("GET", "/openapi.json", None),
    ("POST", "/users/", {"username": "ada"}),
    ("POST", "/users/", {**ADA, "email": "other@example.org"}),
    ("POST", "/users/with-team", {**ADA, "team_name": "Engineering"}),
    ("PATCH", "/users/1", {"team_id": 99}),
    ("PATCH", "/users/1", {"password": "short"}),
    ("DELETE", "/teams/1", None),
]
CHANGES = [
    ("POST", "/users/", {**ADA, "username": "joan", "email": "joan@example.org"}),
    ("POST", "/users/batch", [{**ADA, "username": "eve", "email": "eve@example.org"}]),
    ("PATCH", "/users/1", {"full_name": "Ada Löve\n\u0001"}),
    ("PUT", "/users/2", {"password": PASSWORD, "is_active": False}),
    ("PATCH", "/users/batch", [{"id": 3, "password": PASSWORD}]),
    ("DELETE", "/users/4", None),
    ("POST", "/users/4/restore", None),
    (
        "POST",
        "/users/with-team",
        {
            **ADA,
            "username": "lin",
            "email": "lin@example.org",
            "team_name": "Board",
            "project_name": "Apollo",
        },
    ),
    ("POST", "/projects/", {"name": "Gemini"}),
    ("PUT", "/projects/1/users", [1, 2]),
    ("GET", "/projects/1/users", None),
    ("POST", "/users/retire", None),
    ("POST", "/teams/", {"name": "Board"}),
    ("DELETE", "/users/batch", [5]),
    ("GET", "/users/?include=team", None),
]
MOMENT = re.compile(rb"\d{4}-\d\d-\d\dT[\d:.]+(\+00:00|Z)")


def told(answer: httpx.Response) -> tuple[int, dict[str, str], bytes]:
    """An answer, byte for byte."""
    return answer.status_code, dict(answer.headers), answer.content


async def test_both_applications_read_alike_byte_for_byte(people, database_url):
    other = sync if people is asynchronous else asynchronous
    async with AsyncExitStack() as stack:
        here = await stack.enter_async_context(serving(other, database_url))
        there = httpx.AsyncClient(
            transport=httpx.ASGITransport(people.app, raise_app_exceptions=False),
            base_url="http://test",
        )
        await stack.enter_async_context(there)

        for method, path, body in REQUESTS:
            one = await here.request(method, path, json=body)
            two = await there.request(method, path, json=body)

            assert told(one) == told(two), f"{method} {path}"


def timeless(answer: httpx.Response) -> tuple[int, dict[str, str], bytes]:
    """An answer without what differs from one database to another: when it was."""
    status, headers, body = told(answer)
    headers = {n: v for n, v in headers.items() if n not in {"etag", "content-length"}}
    return status, headers, MOMENT.sub(b"moment", body)


async def test_both_applications_write_alike_byte_for_byte(server, empty_databases):
    answers = []
    for main in (asynchronous, sync):
        name = empty_databases.take()
        async with serving(main, server.url(name)) as client:
            with main.db.sync_session() as session:
                session.add(Team(name="Engineering"))
                session.flush()
                for person_name in ("ada", "grace", "admiral", "mary"):
                    session.add(person(person_name, team_id=1))
                    session.flush()
            answers.append(
                [timeless(await client.request(m, p, json=b)) for m, p, b in CHANGES]
            )
        empty_databases.give_back(name)

    for change, one, two in zip(CHANGES, *answers, strict=True):
        assert one == two, change


async def test_no_route_and_no_log_line_has_a_password_or_its_hash(
    client, people, caplog
):
    caplog.set_level(logging.DEBUG)
    secrets = [PASSWORD, "unusable", "$argon2", "hashed_password"]
    asked = {path for _, path, _ in REQUESTS if "hashed_password" in path}
    everywhere = [
        (method, path.format_map(Ones()), body)
        for path, methods in (await client.get("/openapi.json")).json()["paths"].items()
        for method in methods
        for body in ([1], {**ADA, "team_name": "Board"}, [ADA], {}, None)
    ]

    for method, path, body in [*REQUESTS, *CHANGES, *everywhere]:
        answer = await client.request(method, path, json=body)

        assert answer.status_code < 500, answer.text
        said = answer.text if path not in asked else ""
        assert [it for it in secrets if it in said] == [], f"{method} {path}"
    logged = "\n".join(record.getMessage() for record in caplog.records)
    # Statements name the column; what is in it they never tell.
    assert [it for it in secrets[:3] if it in logged] == []
    assert "UPDATE users SET" in logged


class Ones(dict):
    """A value for each parameter of a path."""

    def __missing__(self, name: str) -> str:
        return "1"


async def test_nobody_filters_or_sorts_by_the_hash(client, people):
    for query in ("hashed_password=x", "hashed_password__startswith=$", "password=x"):
        assert_problem(await client.get(f"/users/?{query}"), 422, "invalid")
    assert_problem(await client.get("/users/?sort=hashed_password"), 422, "invalid")
    asked = {"hashed_password": "unusable"}
    assert_problem(await client.post("/users/search", json=asked), 422, "invalid")


async def test_the_sync_application_uses_no_connection_of_the_async_lanes(
    database_url,
):
    lanes = set()
    async with serving(sync, database_url) as client:
        stop = sync.db.listen(lambda event: lanes.add(event.lane))
        assert (await client.get("/users/")).status_code == 200
        assert (await client.post("/users/", json=ADA)).status_code == 201
        stop()

    assert lanes == {"session"}
