"""The tasks of seed 003, a test for each of its snippets: on a file, on a server."""

import re
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from catalogue import assert_problem
from example_apps import EXAMPLES, load, serving

from howdah import Database

pytestmark = pytest.mark.anyio

main = load("tasks")
FEED = {"title": "Feed the elephant", "description": "Hay, mostly"}


@pytest.fixture
def file_url(tmp_path) -> str:
    return f"sqlite:///{tmp_path}/tasks.db"


@pytest.fixture(params=["file", "server"])
def url(request) -> str:
    """The only thing that differs."""
    name = "file_url" if request.param == "file" else "database_url"
    return request.getfixturevalue(name)


@pytest.fixture
async def client(url) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(main, url) as client:
        yield client


async def titles(client: httpx.AsyncClient, path: str) -> list[str]:
    found = await client.get(path)
    assert found.status_code == 200, found.text
    return [row["title"] for row in found.json()]


async def test_create_task(client):
    made = await client.post("/tasks", json=FEED)

    assert made.status_code == 201
    created_at = made.json()["created_at"]
    assert made.json() == {
        "id": 1,
        **FEED,
        "status": "pending",
        "created_at": created_at,
        "updated_at": None,
    }
    age = datetime.now(UTC) - datetime.fromisoformat(created_at)
    assert abs(age) < timedelta(minutes=1)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"title": ""},
        {"title": "x" * 201},
        {"title": "a", "status": "done"},
        {"title": "a", "id": 7},
        {"title": "a", "created_at": "2020-01-01T00:00:00Z"},
    ],
)
async def test_create_task_refuses(client, body):
    assert_problem(await client.post("/tasks", json=body), 422, "invalid")


async def test_list_tasks(client):
    for title in ("b", "a", "c"):
        await client.post("/tasks", json={"title": title})

    assert await titles(client, "/tasks") == ["b", "a", "c"]
    assert await titles(client, "/tasks?sort=-title&limit=2") == ["c", "b"]
    assert await titles(client, "/tasks/search?q=A") == ["a"]


async def test_get_task(client):
    await client.post("/tasks", json=FEED)

    assert (await client.get("/tasks/1")).json()["title"] == FEED["title"]
    assert_problem(await client.get("/tasks/2"), 404, "not_found")


async def test_update_task(client):
    await client.post("/tasks", json=FEED)

    changed = await client.put("/tasks/1", json={"status": "completed"})

    assert (changed.json()["status"], changed.json()["title"]) == (
        "completed",
        FEED["title"],
    )
    assert changed.json()["updated_at"] is not None
    assert_problem(await client.put("/tasks/2", json={}), 404, "not_found")


async def test_delete_task(client):
    await client.post("/tasks", json=FEED)

    assert (await client.delete("/tasks/1")).status_code == 204
    assert_problem(await client.delete("/tasks/1"), 404, "not_found")


async def test_filter_by_status(client):
    await client.post("/tasks", json={"title": "a"})
    await client.post("/tasks", json={"title": "b", "status": "completed"})

    assert await titles(client, "/tasks/by-status/completed") == ["b"]
    assert await titles(client, "/tasks/?status=pending") == ["a"]
    unknown = await client.get("/tasks/by-status/done")
    assert_problem(unknown, 422, "invalid")


async def test_recent_tasks(client):
    with main.db.sync_session() as session:
        for days in (0, 3, 10):
            moment = datetime.now(UTC) - timedelta(days=days)
            session.add(main.Task(title=f"{days} days", created_at=moment))
            session.flush()

    assert await titles(client, "/tasks/recent") == ["0 days", "3 days"]
    assert await titles(client, "/tasks/recent?days=1") == ["0 days"]
    assert len(await titles(client, "/tasks/recent?days=30")) == 3
    assert_problem(await client.get("/tasks/recent?days=-1"), 422, "invalid")


async def test_create_db_and_tables_keeps_what_is_there(url):
    async with serving(main, url) as client:
        await client.post("/tasks", json=FEED)

    async with serving(main, url) as client:
        assert await titles(client, "/tasks") == [FEED["title"]]


async def test_configuration_of_sqlite(file_url, tmp_path):
    async with serving(main, file_url) as client:
        await client.post("/tasks", json=FEED)

    with sqlite3.connect(tmp_path / "tasks.db") as file:
        assert file.execute("SELECT title FROM tasks").fetchall() == [(FEED["title"],)]
        assert file.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    file.close()


async def test_the_same_application_answers_alike_on_a_file_and_on_a_server(
    file_url, database_url
):
    asked = [
        ("POST", "/tasks", FEED),
        ("POST", "/tasks/batch", [{"title": "Wäsche \U0001f418"}, {"title": "c"}]),
        ("PUT", "/tasks/2", {"status": "in_progress", "description": None}),
        ("PATCH", "/tasks/batch", [{"id": 1, "title": "Feed"}]),
        ("POST", "/tasks", {"title": 1}),
        ("DELETE", "/tasks/3", None),
        ("GET", "/tasks/3", None),
        ("GET", "/tasks?status=in_progress&count=exact&skip=0&limit=1", None),
        ("GET", "/tasks/by-status/in_progress", None),
        ("GET", "/tasks/count", None),
        ("GET", "/tasks?stauts=x", None),
        ("GET", "/openapi.json", None),
    ]
    answers = []
    for url in (file_url, database_url):
        async with serving(main, url) as client:
            answers.append(
                [timeless(await client.request(m, p, json=b)) for m, p, b in asked]
            )

    for request, one, two in zip(asked, *answers, strict=True):
        assert one == two, request


MOMENT = re.compile(rb"\d{4}-\d\d-\d\dT[\d:.]+(\+00:00|Z)")


def timeless(answer: httpx.Response) -> tuple[int, dict[str, str], bytes]:
    """An answer without its moments, and without the version of a row."""
    dropped = {"etag", "content-length"}
    headers = {n: v for n, v in answer.headers.items() if n not in dropped}
    return answer.status_code, headers, MOMENT.sub(b"moment", answer.content)


def test_the_address_is_in_the_folder_of_the_example():
    code = "import main; print(main.db.url)"

    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=EXAMPLES / "tasks",
        capture_output=True,
        text=True,
        check=True,
    )

    assert ran.stdout.strip() == str(Database("sqlite:///tasks.db").url)
