import asyncio
import logging
import os
import signal
import subprocess
import sys
import time

import psycopg
import pytest
from migrating import make_project
from sqlalchemy import Integer, MetaData, String, Table
from sqlalchemy.exc import ProgrammingError
from sqlmodel.sql.sqltypes import AutoString

from howdah.errors import Misconfigured, Timeout, Unavailable
from howdah.migrations import render_item, running, upgrade

SLOW = "SELECT pg_sleep(1); INSERT INTO runs VALUES (2)"


def query(url, statement):
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(statement).fetchall()


def alembic(folder, url, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "alembic", *arguments],
        cwd=folder,
        env={**os.environ, "DATABASE_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until(condition, limit=60):
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.05)


def is_sleeping(url):
    states = (
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid() AND wait_event = 'PgSleep'"
    )
    return bool(query(url, states))


def test_an_upgrade_brings_the_database_to_head(tmp_path, database_url):
    ini = make_project(tmp_path, "INSERT INTO runs VALUES (2)")

    upgrade(ini, url=database_url)
    upgrade(ini, url=database_url)

    assert query(database_url, "SELECT * FROM runs") == [(1,), (2,)]


def test_an_upgrade_may_stop_at_a_revision(tmp_path, database_url):
    ini = make_project(tmp_path, "INSERT INTO runs VALUES (2)")

    upgrade(ini, revision="001", url=database_url)

    assert query(database_url, "SELECT * FROM alembic_version") == [("001",)]


AWAITING = """
from alembic import op
from sqlalchemy import text

revision, down_revision = "002", "001"


async def fill(connection, number):
    insert = text("INSERT INTO runs VALUES (:number)")
    await connection.execute(insert, {"number": number})


def upgrade():
    op.run_async(fill, 2)
"""


def test_a_migration_may_await(tmp_path, database_url):
    ini = make_project(tmp_path)
    (tmp_path / "migrations/versions/002_awaits.py").write_text(AWAITING)

    upgrade(ini, url=database_url)

    assert query(database_url, "SELECT * FROM runs") == [(1,), (2,)]


def test_what_a_migration_awaits_is_undone_with_it(tmp_path, database_url):
    ini = make_project(tmp_path)
    failing = AWAITING + '    op.execute("SELECT no_such_thing")\n'
    (tmp_path / "migrations/versions/002_awaits.py").write_text(failing)

    with pytest.raises(ProgrammingError):
        upgrade(ini, url=database_url)

    assert query(database_url, "SELECT * FROM runs") == [(1,)]


def test_an_upgrade_may_stand_where_an_event_loop_runs(tmp_path, database_url):
    ini = make_project(tmp_path)

    async def start():
        upgrade(ini, url=database_url)
        with pytest.raises(Unavailable, match="cannot connect"):
            upgrade(ini, url="postgresql://127.0.0.1:9/db")

    asyncio.run(start())

    assert query(database_url, "SELECT * FROM runs") == [(1,)]


def test_a_percent_sign_in_the_password_is_itself(tmp_path, database_url):
    ini = make_project(tmp_path)

    upgrade(ini, url=database_url.replace("postgres@", "postgres:p%25%40ss%@"))

    assert query(database_url, "SELECT * FROM runs") == [(1,)]


def test_loggers_live_on_after_an_upgrade(tmp_path, database_url):
    logger = logging.getLogger("somebody.elses")
    handlers, level = list(logging.root.handlers), logging.root.level

    upgrade(make_project(tmp_path), url=database_url)

    assert not logger.disabled
    assert (logging.root.handlers, logging.root.level) == (handlers, level)


def test_a_project_without_alembic_is_told_so(tmp_path):
    with pytest.raises(Misconfigured, match=r"no '.*alembic.ini' here"):
        upgrade(tmp_path / "alembic.ini")


def test_three_upgrades_at_once_take_turns(tmp_path, database_url):
    make_project(tmp_path, SLOW)

    processes = [alembic(tmp_path, database_url, "upgrade", "head") for _ in range(3)]
    errors = [process.communicate(timeout=60)[1] for process in processes]

    assert [process.returncode for process in processes] == [0, 0, 0], errors
    assert query(database_url, "SELECT * FROM runs") == [(1,), (2,)]


def test_a_killed_migrator_leaves_the_way_free(tmp_path, database_url):
    ini = make_project(tmp_path, SLOW.replace("pg_sleep(1)", "pg_sleep(2)"))
    first = alembic(tmp_path, database_url, "upgrade", "head")
    wait_until(lambda: is_sleeping(database_url))

    first.send_signal(signal.SIGKILL)
    first.communicate()
    upgrade(ini, url=database_url)

    assert query(database_url, "SELECT * FROM runs") == [(1,), (2,)]


def test_a_waiting_migration_does_not_block_readers_for_long(tmp_path, database_url):
    upgrade(make_project(tmp_path), url=database_url)
    options = ", limits=Timeouts(lock=0.5)"
    busy = tmp_path / "busy"
    busy.mkdir()
    ini = make_project(busy, "ALTER TABLE things ADD name text", options=options)

    with psycopg.connect(database_url) as reader:
        reader.execute("SELECT * FROM things")
        with pytest.raises(Timeout, match=r"waited 0.5 s for a table"):
            upgrade(ini, url=database_url)
        started = time.monotonic()
        query(database_url, "SELECT * FROM things")

    assert time.monotonic() - started < 2
    upgrade(ini, url=database_url)


def test_each_migration_is_a_transaction_of_its_own(tmp_path, database_url):
    bad = "INSERT INTO runs VALUES (3); SELECT pg_sleep(9)"
    options = ", limits=Timeouts(statement=0.5)"
    ini = make_project(tmp_path, "INSERT INTO runs VALUES (2)", bad, options=options)

    with pytest.raises(Timeout, match=r"more than 0.5 s"):
        upgrade(ini, url=database_url)

    assert query(database_url, "SELECT * FROM runs") == [(1,), (2,)]


def test_the_command_prints_one_line_instead_of_a_traceback(tmp_path, database_url):
    make_project(tmp_path, SLOW)

    process = alembic(
        tmp_path, database_url, "-x", "statement_timeout=0.3", "upgrade", "head"
    )
    out, err = process.communicate(timeout=60)

    assert process.returncode != 0
    assert "took more than 0.3 s" in out + err
    assert "Traceback" not in out + err


def test_the_command_says_what_it_does_without_loggers_in_its_ini(
    tmp_path, database_url
):
    ini = make_project(tmp_path)
    ini.write_text(ini.read_text().partition("[loggers]")[0])

    process = alembic(tmp_path, database_url, "upgrade", "head")
    _, err = process.communicate(timeout=60)

    assert "Running upgrade  -> 001" in err


def test_a_timeout_that_is_no_number_is_refused(tmp_path, database_url):
    make_project(tmp_path)

    process = alembic(
        tmp_path, database_url, "-x", "lock_timeout=soon", "upgrade", "head"
    )
    out, err = process.communicate(timeout=60)

    assert "-x lock_timeout=soon is no number of seconds" in out + err


def test_sql_for_a_dba_holds_the_limits_too(tmp_path, database_url):
    make_project(tmp_path)

    process = alembic(tmp_path, database_url, "upgrade", "head", "--sql")
    out, _ = process.communicate(timeout=60)

    assert "SET lock_timeout = '4s'" in out
    assert "CREATE TABLE things" in out


def test_an_empty_metadata_would_drop_everything_and_is_refused(tmp_path, database_url):
    ini = make_project(tmp_path)
    env = tmp_path / "migrations" / "env.py"
    env.write_text(env.read_text().replace('Table("things"', '#Table("things"'))

    with pytest.raises(Misconfigured, match="knows no table"):
        upgrade(ini, url=database_url)


def test_a_pooler_is_refused(tmp_path):
    url = "postgresql://app:secret@ep-cool-pooler.eu.example.com/db"

    with pytest.raises(Misconfigured, match="cannot go through the pooler") as caught:
        upgrade(make_project(tmp_path), url=url)

    assert "secret" not in str(caught.value)


def test_where_the_providers_rule_tells_the_direct_address_that_is_taken():
    url = "postgresql://app:secret@ep-x-1-pooler.eu.aws.neon.tech/db?sslmode=require"

    with running._address(url) as address:
        assert str(address) == (
            "postgresql://app:***@ep-x-1.eu.aws.neon.tech/db?sslmode=require"
        )


def test_a_server_that_is_gone_is_named_without_its_password(tmp_path):
    url = "postgresql://app:secret@127.0.0.1:9/db"

    with pytest.raises(Unavailable, match="cannot connect to postgresql://") as caught:
        upgrade(make_project(tmp_path), url=url)

    assert "secret" not in str(caught.value)


def test_autogenerate_writes_strings_that_need_no_import(tmp_path, database_url):
    ini = make_project(tmp_path)
    env = tmp_path / "migrations" / "env.py"
    column = 'Column("name", AutoString(length=50)), Column("id"'
    text = env.read_text().replace('Column("id"', column)
    env.write_text("from sqlmodel.sql.sqltypes import AutoString\n" + text)
    upgrade(ini, url=database_url)

    made = alembic(tmp_path, database_url, "revision", "--autogenerate", "-m", "name")
    assert made.wait(timeout=60) == 0, made.stderr.read()
    made.communicate()
    upgrade(ini, url=database_url)

    query(database_url, "SELECT name FROM things")


@pytest.mark.parametrize(
    ("item", "want"),
    [
        pytest.param(AutoString(length=50), "sa.String(length=50)", id="limited"),
        pytest.param(AutoString(), "sa.String()", id="unlimited"),
        pytest.param(String(), False, id="not ours"),
        pytest.param(Integer(), False, id="another type"),
    ],
)
def test_only_strings_of_sqlmodel_are_rendered(item, want):
    assert render_item("type", item, None) == want
    assert render_item("table", Table("things", MetaData()), None) is False
