"""The blog of seed 004, a test for each of its snippets, over HTTP."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator

import httpx
import pytest
from catalogue import assert_problem
from docs_page import FILE
from example_apps import EXAMPLES, load_all, migrate, serving
from sqlalchemy import inspect, text

from howdah import Database, Settings
from howdah.errors import Misconfigured
from howdah.settings import DatabaseURL

pytestmark = pytest.mark.anyio

blog, models, repositories = load_all("blog", "main", "models", "repositories")
PAGE = EXAMPLES.parent / "docs/how-to/blog.md"
ADA = {"email": "ada@example.org", "username": "ada"}
NEON = (
    "postgresql://user:password@ep-x-123456-pooler.region.aws.neon.tech/dbname"
    "?sslmode=require&channel_binding=require"
)


@pytest.fixture
async def client(database_url) -> AsyncIterator[httpx.AsyncClient]:
    migrate("blog", database_url)
    async with serving(blog, database_url) as client:
        yield client


@pytest.fixture
async def authors(client):
    """Ada, Grace, who is away, and 100%_Bob; each has 100 credits."""
    for name, active in (("ada", True), ("grace", False), ("100%_bob", True)):
        user = {"email": f"{name}@example.org", "username": name, "is_active": active}
        assert (await client.post("/users/", json=user)).status_code == 201


@pytest.fixture
async def writings(client, authors):
    """Two posts of Ada's, one of Bob's."""
    for title, author in (("Engines", 1), ("Notes", 1), ("Percents", 3)):
        post = {"title": title, "content": "...", "author_id": author}
        assert (await client.post("/posts/", json=post)).status_code == 201


async def names(client, path):
    answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    return [user["username"] for user in answer.json()]


async def credits_of(client):
    return [user["credit"] for user in (await client.get("/users/")).json()]


async def transfer(client, amount, source=1, target=2):
    order = {"from_id": source, "to_id": target, "amount": amount}
    return await client.post("/transfers/", json=order)


# Engine, session, settings


async def test_get_db_gives_a_session_that_commits_before_the_answer(client):
    made = await client.post("/users/import", json=[ADA])

    assert made.status_code == 200
    assert await names(client, "/users/") == ["ada"]
    assert blog.db.busy == 0


def test_settings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [f"DATABASE_URL={NEON}", "DB_ECHO=true", "DB_POOL_SIZE=5"]
    (tmp_path / ".env").write_text("\n".join([*lines, "DB_MAX_OVERFLOW=10"]))

    db = Database(Settings())

    assert (db.pool.size, db.pool.overflow, db.settings.echo) == (5, 10, True)
    assert "ep-x-123456-pooler.region.aws.neon.tech/dbname" in repr(db)
    assert "password" not in repr(db)


def test_settings_of_the_example_are_read_as_they_are_written():
    shown = (EXAMPLES / "blog/.env.example").read_text()
    lines = re.findall(r"^# ([A-Z_]+)=(.*)$", shown, re.MULTILINE)

    settings = Settings(**{name.lower(): value for name, value in lines})

    assert {name for name, _ in lines} == {
        *("DATABASE_URL", "DB_ECHO", "DB_POOL_SIZE", "DB_MAX_OVERFLOW")
    }
    assert settings.url.pooled


def test_database_url_of_neon_is_read_for_both_drivers():
    url = DatabaseURL.parse(NEON)

    assert url.pooled
    assert url.reveal() == NEON
    assert url.for_asyncpg() == NEON.replace("&channel_binding=require", "")
    assert url.session_parameters == {}
    assert url.direct.reveal() == NEON.replace("-pooler", "")
    for scheme in ("postgres", "postgresql+asyncpg", "postgresql+psycopg"):
        assert DatabaseURL.parse(NEON.replace("postgresql", scheme)).reveal() == NEON


# Models


async def test_basic_model(client):
    made = await client.post("/users/", json=ADA)

    assert made.status_code == 201
    user = made.json()
    assert user.pop("created_at").endswith("+00:00")
    given = {"id": 1, "is_active": True, "credit": 100, "updated_at": None}
    assert user == {**ADA, **given}
    changed = await client.put("/users/1", json={"is_active": False})
    assert changed.json()["updated_at"] is not None


async def test_model_with_relationships(client, writings):
    post = (await client.get("/posts/1")).json()
    assert (post["author_id"], post["published"]) == (1, False)
    lost = {"title": "Lost", "content": "...", "author_id": 99}
    refused = await client.post("/posts/", json=lost)
    assert_problem(refused, 409, "missing_reference")


# Async queries


async def test_get_by_id(client, authors):
    assert (await client.get("/users/3")).json()["username"] == "100%_bob"
    assert_problem(await client.get("/users/4"), 404, "not_found")


async def test_get_by_email(client, authors):
    found = await client.get("/users/by-email/grace@example.org")

    assert found.json()["username"] == "grace"
    nobody = await client.get("/users/by-email/joan@example.org")
    assert_problem(nobody, 404, "not_found")


async def test_get_all(client, authors):
    assert await names(client, "/users/?sort=-created_at&limit=2") == [
        *("100%_bob", "grace")
    ]
    assert await names(client, "/users/?sort=-created_at&skip=2") == ["ada"]


async def test_create(client, authors):
    for taken in ({**ADA, "username": "new"}, {**ADA, "email": "new@example.org"}):
        refused = await client.post("/users/", json=taken)
        assert_problem(refused, 409, "duplicate")
    rich = {"email": "eve@example.org", "username": "eve", "credit": 1_000_000}
    assert_problem(await client.post("/users/", json=rich), 422, "invalid")


async def test_update(client, authors):
    changed = await client.put("/users/1", json={"username": "lovelace"})

    assert changed.json()["email"] == "ada@example.org"
    assert_problem(await client.put("/users/9", json={}), 404, "not_found")
    rich = await client.patch("/users/1", json={"credit": 1_000_000})
    assert_problem(rich, 422, "invalid")


async def test_delete(client, authors):
    assert (await client.delete("/users/1")).status_code == 204
    assert_problem(await client.delete("/users/1"), 404, "not_found")


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("", ["100%_bob", "grace", "ada"]),
        ("search_term=", ["100%_bob", "grace", "ada"]),
        ("search_term=ADA", ["ada"]),
        ("search_term=grace@", ["grace"]),
        ("search_term=%25", ["100%_bob"]),
        ("search_term=_", ["100%_bob"]),
        ("search_term=nobody", []),
        ("is_active=true", ["100%_bob", "ada"]),
        ("is_active=false", ["grace"]),
        ("search_term=example&is_active=true&limit=1", ["100%_bob"]),
        ("search_term=example&is_active=true&skip=1", ["ada"]),
        ("skip=1&limit=1", ["grace"]),
    ],
)
async def test_search_users(client, authors, asked, found):
    assert await names(client, f"/users/search?{asked}") == found


@pytest.mark.parametrize(
    "asked", ["skip=-1", "limit=0", "limit=1001", "is_active=maybe", "term=ada"]
)
async def test_search_users_refuses_what_it_does_not_know(client, asked):
    assert_problem(await client.get(f"/users/search?{asked}"), 422, "invalid")


async def test_search_users_finds_by_an_index(client, authors):
    async with blog.db.transaction() as session:
        users = repositories.UserRepository(session)
        found = users.select(users.matching("ada"))
        literal = {"literal_binds": True}
        dialect = blog.db.engine.dialect
        compiled = found.compile(dialect=dialect, compile_kwargs=literal)
        await session.exec(text("SET LOCAL enable_seqscan = off"))
        plan = await session.exec(text(f"EXPLAIN {compiled}"))

        assert "users_search" in str(plan.all())


async def test_get_active_users(client, authors):
    assert await names(client, "/users/active") == ["ada", "100%_bob"]
    assert await names(client, "/users/active?skip=1&limit=1") == ["100%_bob"]


# Relations: the same number of statements, however many rows


async def test_get_user_with_posts(client, writings, statements):
    seen = statements(blog.db)

    user = (await client.get("/users/1/with-posts")).json()

    assert [post["title"] for post in user["posts"]] == ["Engines", "Notes"]
    assert len(seen) == 2
    assert (await client.get("/users/2/with-posts")).json()["posts"] == []
    missing = await client.get("/users/9/with-posts")
    assert_problem(missing, 404, "not_found")


async def test_get_user_with_posts_asks_no_more_for_many(client, writings, statements):
    posts = [{"title": f"{n}", "content": "", "author_id": 1} for n in range(300)]
    assert (await client.post("/posts/batch", json=posts)).status_code == 201
    seen = statements(blog.db)

    user = (await client.get("/users/1/with-posts")).json()

    assert (len(user["posts"]), len(seen)) == (302, 2)


async def test_get_user_with_posts_is_one_statement_of_the_resource(
    client, writings, statements
):
    seen = statements(blog.db)

    user = (await client.get("/users/1?include=posts")).json()

    assert [post["title"] for post in user["posts"]] == ["Engines", "Notes"]
    assert len(seen) == 1


async def test_get_posts_with_authors(client, writings, statements):
    seen = statements(blog.db)

    posts = (await client.get("/posts/with-authors")).json()

    assert [(post["title"], post["author"]["username"]) for post in posts] == [
        ("Percents", "100%_bob"),
        ("Notes", "ada"),
        ("Engines", "ada"),
    ]
    assert len(seen) == 1
    page = (await client.get("/posts/with-authors?skip=1&limit=1")).json()
    assert [post["title"] for post in page] == ["Notes"]


# Transactions


async def test_transfer_operation(client, authors, statements):
    seen = statements(blog.db)
    made = await transfer(client, 30.25)

    assert made.status_code == 201
    assert len(seen) == 4
    assert made.json()["amount"] == 30.25
    assert await credits_of(client) == [69.75, 130.25, 100]
    (logged,) = (await client.get("/transfers/?from_id=1")).json()
    assert (logged["id"], logged["to_id"], logged["amount"]) == (1, 2, 30.25)


async def test_transfer_operation_is_exact(client, authors):
    for _ in range(10):
        assert (await transfer(client, 0.1)).status_code == 201
        assert (await transfer(client, "0.2")).status_code == 201

    assert await credits_of(client) == [97, 103, 100]


async def test_transfer_operation_never_goes_below_zero(client, authors):
    problem = assert_problem(await transfer(client, 100.01), 409, "conflict")

    assert problem["detail"] == "user 1 has less than 100.01"
    assert (await transfer(client, 100)).status_code == 201
    assert await credits_of(client) == [0, 200, 100]


@pytest.mark.parametrize(
    ("amount", "source", "target", "status", "code"),
    [
        (0, 1, 2, 422, "invalid"),
        (-1, 1, 2, 422, "invalid"),
        (0.001, 1, 2, 422, "invalid"),
        ("NaN", 1, 2, 422, "invalid"),
        (1, 1, 9, 404, "not_found"),
        (1, 9, 1, 404, "not_found"),
        (1, 1, 2**80, 404, "not_found"),
        (1, 1, 1, 422, "invalid"),
    ],
)
async def test_transfer_operation_rolls_back(
    client, authors, amount, source, target, status, code
):
    answer = await transfer(client, amount, source, target)

    assert_problem(answer, status, code)
    assert await credits_of(client) == [100, 100, 100]
    assert (await client.get("/transfers/")).json() == []


async def test_transfer_operation_at_once(client, authors):
    ways = ((1, 2), (2, 1), (2, 3), (3, 1))

    answers = await asyncio.gather(
        *(transfer(client, 7.5, *ways[number % 4]) for number in range(60))
    )

    assert {answer.status_code for answer in answers} <= {201, 409}
    made = [answer.json() for answer in answers if answer.status_code == 201]
    moved = dict.fromkeys((1, 2, 3), 100)
    for each in made:
        moved[each["from_id"]] -= each["amount"]
        moved[each["to_id"]] += each["amount"]
    assert await credits_of(client) == list(moved.values())
    logged = (await client.get("/transfers/?limit=1000")).json()
    assert len(logged) == len(made)


async def test_create_user_with_rollback(client, authors):
    joan = {"email": "joan@example.org", "username": "joan"}
    again = {"email": "new@example.org", "username": "joan"}

    made = await client.post("/users/import", json=[ADA, joan, again])

    assert made.status_code == 200
    assert [user and user["username"] for user in made.json()] == [None, "joan", None]
    assert await names(client, "/users/") == ["ada", "grace", "100%_bob", "joan"]
    refused = await client.post("/users/import", json=[joan, {"username": "x"}])
    assert_problem(refused, 422, "invalid")


async def test_create_user_with_rollback_has_one_winner(client):
    answers = await asyncio.gather(
        *(client.post("/users/import", json=[ADA]) for _ in range(8))
    )

    made = [answer.json()[0] for answer in answers]
    assert sum(user is not None for user in made) == 1


# Cascade


async def test_cascade_of_the_database(client, writings):
    assert (await client.delete("/users/1")).status_code == 204

    left = (await client.get("/posts/")).json()
    assert [post["title"] for post in left] == ["Percents"]


@pytest.mark.parametrize("known", [True, False], ids=["loaded", "not loaded"])
async def test_cascade_of_the_orm(client, writings, known):
    async with blog.db.transaction() as session:
        users = repositories.UserRepository(session)
        if known:
            await users.get_user_with_posts(1)
        await users.delete(1)

    assert len((await client.get("/posts/")).json()) == 1


async def test_cascade_of_the_orm_deletes_orphans(client, writings):
    async with blog.db.transaction() as session:
        user = await repositories.UserRepository(session).get_user_with_posts(1)
        user.posts.pop()

    left = (await client.get("/posts/?author_id=1")).json()
    assert [post["title"] for post in left] == ["Engines"]


async def test_cascade_does_not_reach_what_is_logged(client, writings):
    await transfer(client, 1)

    assert_problem(await client.delete("/users/1"), 409, "still_referenced")


# Alembic


def alembic(url, *arguments):
    ran = subprocess.run(
        [sys.executable, "-m", "alembic", *arguments],
        cwd=EXAMPLES / "blog",
        env={**os.environ, "DATABASE_URL": url, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def test_alembic_makes_what_the_models_say(database_url):
    assert "Running upgrade  -> 001, Create users" in alembic(
        database_url, "upgrade", "head"
    )
    assert "No new upgrade operations" in alembic(database_url, "check")
    assert "001 (head)" in alembic(database_url, "current")
    assert "001 (head), Create users" in alembic(database_url, "history")


async def test_alembic_goes_back_and_forth(client, database_url):
    async def tables():
        async with blog.db.engine.connect() as connection:
            return await connection.run_sync(lambda it: inspect(it).get_table_names())

    assert {"users", "posts", "transfers"} <= {*await tables()}
    alembic(database_url, "downgrade", "-1")
    assert await tables() == ["alembic_version"]
    # As an async app may: an event loop is running here.
    migrate("blog", database_url)
    assert {"users", "posts", "transfers"} <= {*await tables()}


def test_alembic_prints_sql(database_url):
    assert "CREATE TABLE posts" in alembic(database_url, "upgrade", "head", "--sql")


def test_alembic_refuses_a_pooler_whose_direct_address_nobody_knows(database_url):
    with pytest.raises(Misconfigured, match="direct address"):
        migrate("blog", f"{database_url}&pgbouncer=true")


# The example itself


def test_the_page_shows_the_whole_example():
    shown = dict(FILE.findall(PAGE.read_text()))
    names = [
        *("models.py", "repositories.py", "main.py", "pyproject.toml", "alembic.ini"),
        *("alembic/env.py", "alembic/script.py.mako"),
    ]

    for name in names:
        written = (EXAMPLES / "blog" / name).read_text()
        # The page says in prose what a docstring does.
        if name.endswith(".py"):
            written = re.sub(r'\A""".*?"""\n+', "", written, flags=re.DOTALL)
        assert written.rstrip() in shown[name], name


async def test_a_request_to_a_resource_is_one_statement(client, writings, statements):
    for method, path, body in (
        ("GET", "/users/?sort=-created_at", None),
        ("GET", "/users/1?include=posts", None),
        ("GET", "/posts/?author_id=1&published=false", None),
        ("POST", "/posts/", {"title": "Post", "content": "...", "author_id": 1}),
        ("PUT", "/posts/1", {"published": True}),
        ("DELETE", "/users/1", None),
    ):
        seen = statements(blog.db)
        answer = await client.request(method, path, json=body)

        assert answer.is_success
        assert (path, len(seen)) == (path, 1)
