import os
import subprocess
import sys

import psycopg
import pytest
from migrating import make_project

TESTS = """
import psycopg
import pytest


@pytest.mark.parametrize("number", range(4))
def test_the_database_is_migrated_and_nobody_elses(database_url, number):
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT number FROM runs").fetchall() == [(1,)]
        connection.execute("INSERT INTO runs VALUES (2)")
"""


def run_pytest(folder, *options, **environment):
    """Run the tests of a folder as its owner would, in a process of their own."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    return subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider"),
            # To import this plugin of others takes longer than the tests.
            *("-p", "no:schemathesis"),
            # pytest's own folder is for one run at a time where a server works in it.
            *(f"--basetemp={folder / 'base'}", f"--rootdir={folder}", *options),
        ],
        cwd=folder,
        env=clean | environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def databases(url):
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT datname FROM pg_database").fetchall()
    return {name for (name,) in rows}


def log_migrations(folder):
    """Let env.py leave a line in a file each time it runs."""
    env = folder / "migrations" / "env.py"
    line = f"open({str(folder / 'migrated')!r}, 'a').write('once ')\n"
    env.write_text(line + env.read_text())


@pytest.fixture
def project(tmp_path):
    make_project(tmp_path)
    log_migrations(tmp_path)
    (tmp_path / "test_things.py").write_text(TESTS)
    return tmp_path


@pytest.mark.slow
def test_every_test_has_a_database_of_its_own(project):
    done = run_pytest(project)

    assert "4 passed" in done.stdout, done.stdout + done.stderr
    assert (project / "migrated").read_text() == "once "


@pytest.mark.slow
def test_workers_share_one_server_and_one_template(project):
    done = run_pytest(project, "-n", "2")

    assert "4 passed" in done.stdout, done.stdout + done.stderr
    assert (project / "migrated").read_text() == "once "


@pytest.mark.slow
def test_a_given_server_is_left_as_it_was(project, server):
    url = server.url()
    others = databases(url)
    server.create_database("howdah_test_abandoned_1")

    done = run_pytest(project, "-n", "2", TEST_DATABASE_URL=url)

    assert "4 passed" in done.stdout, done.stdout + done.stderr
    left = {name for name in databases(url) - others if name.startswith("howdah_test_")}
    assert left == set()


def test_a_failing_migration_fails_the_tests_and_leaves_nothing(tmp_path, server):
    make_project(tmp_path, "SELECT * FROM nowhere")
    (tmp_path / "test_things.py").write_text(TESTS)
    url = server.url()

    done = run_pytest(tmp_path, TEST_DATABASE_URL=url)

    assert "4 errors" in done.stdout
    assert 'relation "nowhere" does not exist' in done.stdout
    assert not any(name.startswith("howdah_test_") for name in databases(url))


def test_statements_are_counted_from_the_call_on(tmp_path, server):
    (tmp_path / "test_counting.py").write_text(
        "import pytest\n"
        "from sqlalchemy import text\n"
        "from howdah import Database\n"
        "\n"
        "@pytest.mark.anyio\n"
        "@pytest.mark.parametrize('anyio_backend', ['asyncio'])\n"
        "async def test_counting(database_url, statements, anyio_backend):\n"
        "    db = Database('postgresql://nobody@127.0.0.1:9/nowhere')\n"
        "    with db.redirected(database_url):\n"
        "        async with db, db.transaction() as session:\n"
        "            await session.connection()\n"
        "            seen = statements(db)\n"
        "            await (await session.connection()).execute(text('SELECT 7'))\n"
        "            assert (len(seen), seen.texts) == (1, ['SELECT 7'])\n"
        "            seen.clear()\n"
        "            assert len(seen) == 0\n"
        "    assert str(db.url).endswith('nowhere')\n"
    )

    done = run_pytest(tmp_path, TEST_DATABASE_URL=server.url())

    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_whoever_does_not_use_the_plugin_does_not_wait_for_it():
    heavy = "{'sqlalchemy', 'pydantic', 'psycopg', 'alembic', 'fastapi'}"
    program = (
        "import sys, howdah.pytest_plugin; "
        f"sys.exit(sorted({heavy} & set(sys.modules)) or 0)"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
