"""A project from one command, used as its owner would: in processes of its own."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from howdah.embedded import EmbeddedPostgres
from howdah.scaffold import Answers, render, write

pytestmark = pytest.mark.slow

NAMES = """
    create_and_read_item item_pagination item_search update_item delete_item soft_delete
    item_not_found invalid_item_data database_transaction concurrent_operations
    item_count batch_operations
""".split()  # noqa: SIM905 - twelve names read better so


def rendered(template):
    return render(
        template,
        Answers(
            name="todo-api",
            author="Developer Kim",
            email="developer@example.com",
            description='Todo "management" API',
        ),
    )


@pytest.fixture(scope="module")
def files():
    return rendered("fastapi-psql-orm")


@pytest.fixture
def project(files, tmp_path):
    write(files, tmp_path / "todo-api")
    return tmp_path / "todo-api"


@pytest.fixture
def documents(tmp_path):
    """A project on MongoDB."""
    write(rendered("fastapi-mongo"), tmp_path / "todo-documents")
    return tmp_path / "todo-documents"


def environment(**changes):
    """Return what a shell in the project's own venv would have."""
    drop = (
        *("PYTEST_", "DATABASE_URL", "POSTGRES_", "DB_", "PORT", "TEST_DATABASE_URL"),
        *("MONGODB_URL", "TEST_MONGODB_URL"),
    )
    clean = {k: v for k, v in os.environ.items() if not k.startswith(drop)}
    beside = Path(sys.executable).parent
    return clean | {"PATH": f"{beside}{os.pathsep}{clean['PATH']}"} | changes


def run(project, *command, **changes):
    done = subprocess.run(
        command,
        cwd=project,
        env=environment(**changes),
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def get(url):
    with urllib.request.urlopen(url, timeout=10) as response:
        return response.read()


def ask(method, url, body=None):
    """Send JSON, and return the status and the answer, errors included."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, data=data, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.loads(response.read() or "null")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def wait_for(url, process, limit=60):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        assert process.poll() is None, process.communicate()
        try:
            return get(url)
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"{url} did not answer")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def start(project, *command, **changes):
    return subprocess.Popen(
        command,
        cwd=project,
        env=environment(**changes),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def stop(process, how=signal.SIGINT):
    process.send_signal(how)
    output, _ = process.communicate(timeout=30)
    assert "Traceback" not in output
    return process.returncode, output


@pytest.mark.parametrize("of", ["project", "documents"])
def test_its_linter_and_its_types_are_content(of, request):
    project = request.getfixturevalue(of)
    run(project, "ruff", "check", "--no-cache")
    run(project, "ruff", "format", "--check", "--no-cache")
    run(project, sys.executable, "-m", "mypy", "--cache-dir", os.devnull)


def test_its_own_tests_pass(project, tmp_path):
    output = run(project, "sh", "scripts/test.sh", "-v", f"--basetemp={tmp_path / 't'}")

    assert "15 passed" in output
    assert [name for name in NAMES if f"test_{name} PASSED" not in output] == []


def test_the_tests_of_a_project_on_mongodb_pass(documents):
    output = run(documents, "sh", "scripts/test.sh", "-p", "no:cacheprovider")

    assert "17 passed" in output


def test_its_migrations_make_what_its_models_say(project, database_url):
    run(project, "alembic", "upgrade", "head", DATABASE_URL=database_url)

    output = run(project, "alembic", "check", DATABASE_URL=database_url)

    assert "No new upgrade operations detected" in output


def test_a_column_added_to_a_model_becomes_a_migration(project, database_url):
    run(project, "alembic", "upgrade", "head", DATABASE_URL=database_url)
    models = project / "src/schemas/items.py"
    old = "class CategoryBase(SQLModel):\n"
    new = "    color: str | None = Field(default=None, max_length=20)\n"
    models.write_text(models.read_text().replace(old, old + new))

    revision = ("alembic", "revision", "--autogenerate", "-m", "Add a color")
    run(project, *revision, DATABASE_URL=database_url)
    run(project, "alembic", "upgrade", "head", DATABASE_URL=database_url)

    output = run(project, "alembic", "check", DATABASE_URL=database_url)
    assert "No new upgrade operations detected" in output
    (made,) = (project / "src/alembic/versions").glob("*_add_a_color.py")
    assert "sa.String(length=20)" in made.read_text()


def test_its_migration_can_be_undone_and_done_again(project, database_url):
    for step in ("head", "base", "head"):
        command = "downgrade" if step == "base" else "upgrade"
        run(project, "alembic", command, step, DATABASE_URL=database_url)


def test_the_container_starts_by_the_same_commands(project, database_url):
    port = free_port()
    line = (project / "Dockerfile").read_text().splitlines()[-1]
    command = json.loads(line.removeprefix("CMD "))
    command[-1] = command[-1].replace("8000", str(port))

    process = start(project, *command, DATABASE_URL=database_url)
    items = json.loads(wait_for(f"http://127.0.0.1:{port}/items/", process))
    code, output = stop(process, signal.SIGTERM)

    assert code in {0, -signal.SIGTERM}, output
    assert len(items) == 6
    loaded = run(project, sys.executable, "-m", "src.utils.init_data",
                 DATABASE_URL=database_url)  # fmt: skip
    assert "no new sample items" in loaded


def test_every_curl_line_of_the_tutorial_works(project, database_url):
    port = free_port()
    items = f"http://127.0.0.1:{port}/items/"
    run(project, "alembic", "upgrade", "head", DATABASE_URL=database_url)
    process = start(
        project, *("uvicorn", "src.main:app", "--port", str(port)),
        DATABASE_URL=database_url,
    )  # fmt: skip
    wait_for(items, process)
    body = {"name": "MacBook Pro", "description": "M2", "price": 2500000, "tax": 250000}

    status, created = ask("POST", items, body)
    assert (status, created.items() >= body.items()) == (201, True)
    assert list(created) == [
        *("id", "name", "description", "price", "tax", "is_active"),
        *("created_at", "updated_at", "category_id"),
    ]
    assert (created["id"], created["updated_at"]) == (1, None)
    assert ask("GET", f"{items}?skip=0&limit=10") == (200, [created])
    assert ask("GET", f"{items}search?q=MacBook") == (200, [created])
    assert ask("GET", f"{items}count") == (200, {"total": 1})
    status, updated = ask("PUT", f"{items}1", {"price": 2300000, "tax": 230000})
    assert (status, updated["price"], updated["name"]) == (200, 2300000, body["name"])
    assert ask("DELETE", f"{items}1") == (204, None)
    assert ask("GET", items) == (200, [])
    assert ask("GET", f"{items}?active_only=false")[1][0]["is_active"] is False
    assert ask("DELETE", f"{items}1?hard_delete=true") == (204, None)
    status, problem = ask("GET", f"{items}1")
    assert (status, problem["detail"]) == (404, "Item ID 1 not found")
    assert ask("POST", items, body | {"price": 0})[0] == 422
    stop(process)


@pytest.fixture
def root():
    """A folder for a server's data that is not pytest's: see pytest_plugin."""
    folder = Path("/tmp", f"howdah-dev-{os.getpid()}")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def test_dev_brings_everything_and_leaves_nothing_running(files, root):
    write(files, root)
    port = free_port()
    dev = ("howdah", "dev", "--port", str(port))
    items = f"http://127.0.0.1:{port}/items/"

    process = start(root, *dev, "--run", "src.utils.init_data")
    first = json.loads(wait_for(items, process))
    docs = get(f"http://127.0.0.1:{port}/docs").decode()
    code, output = stop(process)

    assert code == 0, output
    assert len(first) == 6
    assert f"http://127.0.0.1:{port}/docs" in output
    assert "https://" not in docs
    assert "no index serves" not in output
    assert not EmbeddedPostgres(root / ".howdah/postgres").running

    process = start(root, "howdah", "dev", PORT=str(port))
    again = json.loads(wait_for(items, process))
    stop(process, signal.SIGTERM)

    assert again == first
    assert not EmbeddedPostgres(root / ".howdah/postgres").running


def test_dev_reloads_when_the_source_changes(files, root):
    write(files, root)
    port = free_port()
    process = start(root, "howdah", "dev", "--port", str(port))
    wait_for(f"http://127.0.0.1:{port}/items/", process)

    with (root / "src/main.py").open("a") as file:
        file.write('\n\n@app.get("/new")\nasync def new() -> str:\n    return "new"\n')
    end = time.monotonic() + 60
    while ask("GET", f"http://127.0.0.1:{port}/items/")[0] == 200:
        try:
            if get(f"http://127.0.0.1:{port}/new") == b'"new"':
                break
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.2)
    stop(process)


def test_dev_brings_a_project_on_mongodb_its_server(documents):
    port = free_port()
    items = f"http://127.0.0.1:{port}/items/"
    dev = ("howdah", "dev", "--port", str(port), "--run", "src.utils.init_data")

    for _ in range(2):
        process = start(documents, *dev)
        shown = json.loads(wait_for(f"{items}?include=owner&sort=price", process))
        code, output = stop(process)

        assert code == 0, output
        assert [item["name"] for item in shown] == ["Lamp", "Chair", "Desk"]
        assert shown[0]["owner"]["username"] == "ada"
    assert not (documents / ".howdah/postgres").exists()
    assert "no new sample items" in output
