"""`howdah serve` as it is run: a process of its own, ended by a signal."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx
import pytest

from howdah import Database, Misconfigured, Settings
from howdah.embedded import EmbeddedPostgres
from howdah.settings import Pool

APP = """
import asyncio
import gc
import os

from fastapi import FastAPI, Request
from sqlalchemy import text

from howdah import Database, connect

db = Database()
app = FastAPI()
connect(app, db)


@app.get("/about")
async def about(request: Request):
    return {
        "pid": os.getpid(),
        "pool": db.pool.total,
        "frozen": gc.get_freeze_count(),
        "collects": gc.isenabled(),
        "client": request.client.host,
    }


@app.get("/slow")
async def slow():
    await asyncio.sleep(1.5)
    return "done"


@app.get("/both-lanes")
async def both_lanes():
    async def by_session():
        async with db.transaction() as session:
            await session.execute(text("SELECT pg_sleep(0.3)"))

    await asyncio.gather(by_session(), db.lane.fetchval("SELECT pg_sleep(0.3)::text"))
    return os.getpid()
"""
START_LIMIT = 60
SERVERS = ("uvicorn", "granian")


@pytest.fixture
def project(tmp_path):
    (tmp_path / "shop.py").write_text(APP)
    (tmp_path / "pyproject.toml").write_text('[tool.howdah]\napp = "shop:app"\n')
    return tmp_path


@contextmanager
def serving(folder, *arguments, **environment):
    """Serve until the end of the block; give the process, its address and its log."""
    log = folder / "log"
    port = free_port()
    process = start(folder, log, "--port", str(port), *arguments, **environment)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{url}/health/live", process, log)
        yield process, url, log
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def start(folder, log, *arguments, **environment):
    with log.open("w") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "howdah", "serve", *arguments],
            cwd=folder,
            env=clean() | environment,
            stdout=out,
            stderr=subprocess.STDOUT,
        )


def refused(folder, *arguments, **environment):
    """Return how it ended and what it said, where it should not serve at all."""
    process = start(folder, folder / "log", *arguments, **environment)
    try:
        code = process.wait(START_LIMIT)
    finally:
        process.kill()
        process.wait()
    return code, (folder / "log").read_text()


def clean():
    drop = ("DATABASE_URL", "POSTGRES_", "DB_", "PORT", "WEB_", "FORWARDED", "HOWDAH_")
    return {k: v for k, v in os.environ.items() if not k.startswith(drop)}


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def wait_for(url, process, log):
    end = time.monotonic() + START_LIMIT
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()
        try:
            return httpx.get(url, timeout=10).raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.1)
    raise AssertionError(log.read_text())


def stop(process, log, how=signal.SIGTERM):
    process.send_signal(how)
    code = process.wait(START_LIMIT)
    assert "Traceback" not in log.read_text()
    return code


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.parametrize(
    ("by", "how"),
    [
        ("uvicorn", signal.SIGTERM),
        ("uvicorn", signal.SIGINT),
        ("granian", signal.SIGTERM),
    ],
)
async def test_it_answers_and_ends_when_what_is_under_way_is_done(
    project, database_url, by, how
):
    pytest.importorskip(by)

    with serving(project, "--server", by, DATABASE_URL=database_url) as (
        process,
        url,
        log,
    ):
        about = await asyncio.to_thread(about_forwarded, url)
        async with httpx.AsyncClient(base_url=url, timeout=30) as client:
            under_way = asyncio.create_task(client.get("/slow"))
            await asyncio.sleep(0.5)
            process.send_signal(how)
            answer = await under_way
        code = await asyncio.to_thread(process.wait, START_LIMIT)

    told = log.read_text()
    assert (answer.json(), code) == ("done", 0)
    assert not alive(about["pid"])
    assert f"shop:app on {url}, {by}" in told
    assert "1 worker, 10 connections to postgresql://" in told
    assert "GET /about" not in told
    assert "Traceback" not in told
    assert about["frozen"] > 10_000
    assert about["collects"]
    assert about["client"] == "203.0.113.7"


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.parametrize("by", SERVERS)
async def test_workers_share_the_connections(project, database_url, db, by):
    pytest.importorskip(by)
    arguments = ("--workers", "2", "--server", by)
    environment = {"DATABASE_URL": database_url, "DB_POOL_SIZE": "5"}

    with serving(
        project, *arguments, FORWARDED_ALLOW_IPS="10.0.0.1", **environment
    ) as (process, url, log):
        pids, most = await both_busy(url, db)
        about = await asyncio.to_thread(about_forwarded, url)
        code = await asyncio.to_thread(stop, process, log)

    assert code == 0
    assert len(pids) == 2
    assert about["pool"] == 2
    assert about["client"] == "127.0.0.1"
    assert 2 < most <= 4
    assert "2 workers, 2 connections each (of 5)" in log.read_text()
    assert [pid for pid in pids if alive(pid)] == []


def about_forwarded(url):
    forwarded = {"X-Forwarded-For": "203.0.113.7"}
    return httpx.get(f"{url}/about", headers=forwarded).json()


async def both_busy(url, db):
    """Return who answered when both were busy, and the most connections seen.

    One worker has two: more than two were busy at once in both.
    """
    ours = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND state <> 'idle' AND query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()"
    )
    pids, most = set(), 0
    end = time.monotonic() + START_LIMIT
    while (len(pids) < 2 or most <= 2) and time.monotonic() < end:
        # New connections each time: one goes to one worker as long as it is open.
        limits = httpx.Limits(max_keepalive_connections=0)
        async with httpx.AsyncClient(base_url=url, timeout=30, limits=limits) as client:
            asked = [asyncio.create_task(client.get("/both-lanes")) for _ in range(12)]
            while not all(task.done() for task in asked):
                most = max(most, await db.lane.fetchval(ours))
                await asyncio.sleep(0.05)
            pids |= {(await task).json() for task in asked}
    return pids, most


@pytest.mark.slow
@pytest.mark.parametrize("by", SERVERS)
def test_workers_end_when_what_started_them_is_killed(project, database_url, by):
    pytest.importorskip(by)
    arguments = ("--workers", "2", "--server", by)
    with serving(project, *arguments, DATABASE_URL=database_url) as (process, url, _):
        pid = httpx.get(f"{url}/about").json()["pid"]

        process.kill()
        process.wait()

        end = time.monotonic() + START_LIMIT
        while alive(pid) and time.monotonic() < end:
            time.sleep(0.1)
        assert not alive(pid)


@pytest.mark.slow
def test_workers_share_one_embedded_server_that_ends_with_them(project):
    with serving(project, "--workers", "2") as (process, url, log):
        ready = wait_for(f"{url}/health/ready", process, log).json()
        running = EmbeddedPostgres(project / ".howdah/postgres").running
        code = stop(process, log)

    assert (ready["budget"], running, code) == (5, True, 0)
    assert not EmbeddedPostgres(project / ".howdah/postgres").running
    assert "5 connections each (of 10) to embedded PostgreSQL" in log.read_text()


def test_more_workers_than_the_connections_allow_are_refused(project, database_url):
    code, told = refused(project, "--workers", "6", DATABASE_URL=database_url)

    assert code == 1
    assert "6 workers cannot share 10 connections" in told
    assert "set DB_POOL_SIZE to 12 or more, or take 5 workers" in told


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_app_that_cannot_start_ends_it_as_failed(project, database_url, workers):
    broken = '\nfrom fastapi import Depends\n\n@app.get("/late")\n'
    broken += "async def late(session=Depends(db.session)): ...\n"
    (project / "shop.py").write_text(APP + broken)

    arguments = ("--workers", workers, "--port", str(free_port()))
    code, told = refused(project, *arguments, DATABASE_URL=database_url)

    assert code == 1
    assert "/late uses Depends(db.session)" in told


@pytest.mark.parametrize(
    ("arguments", "want"),
    [
        (["nowhere:app"], "there is no app nowhere:app"),
        (["--server", "hypercorn"], "there is no server 'hypercorn'"),
    ],
)
def test_what_cannot_be_served_is_said(project, database_url, arguments, want):
    code, told = refused(project, *arguments, DATABASE_URL=database_url)

    assert code == 1
    assert want in told
    assert "Traceback" not in told


def test_granian_that_is_missing_is_named_with_its_cure(project):
    program = (
        "import sys; sys.modules['granian'] = None; "
        "sys.argv = ['howdah', 'serve', '--server', 'granian']; "
        "from howdah.__main__ import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "pip install 'howdah[granian]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("size", [1, 2, 3, 10, 19])
@pytest.mark.parametrize("overflow", [1, 5, 20])
@pytest.mark.parametrize("workers", [1, 2, 3, 7])
def test_shares_are_no_more_than_the_whole_and_serve_both_lanes(
    size, overflow, workers
):
    pool = Pool(size=size, overflow=overflow)
    if pool.total < 2 * workers:
        with pytest.raises(Misconfigured, match="cannot share"):
            pool.shared(workers)
        return

    share = pool.shared(workers)

    assert workers * share.total <= pool.total < workers * (share.total + 1)
    assert min(share.fast, share.sessions, share.size) >= 1
    assert (share.timeout, share.recycle) == (pool.timeout, pool.recycle)


def test_a_database_takes_its_share_whoever_gave_the_pool():
    settings = Settings(howdah_workers=4)
    url = "postgresql://app@db.example.org/shop"

    assert Database(settings).pool.total == 2
    assert Database(settings, pool=Pool(size=20, overflow=8)).pool.total == 7
    assert Database(url, pool=Pool(size=20)).pool.total == 20


def test_a_file_of_sqlite_is_not_divided():
    settings = Settings(database_url="sqlite:///shop.db", howdah_workers=40)

    assert Database(settings).pool.total == 10


NOTES = """
import os

from beanie import Document
from fastapi import FastAPI

from howdah import connect
from howdah.documents import MongoDatabase


class Note(Document):
    text: str


db = MongoDatabase(documents=[Note])
app = FastAPI()
connect(app, db)


@app.post("/notes", status_code=201)
async def note(text: str):
    await Note(text=text).insert()


@app.get("/about")
async def about():
    return [os.getpid(), await Note.count()]
"""


def test_workers_share_the_server_of_documents_that_the_project_brings(project):
    (project / "shop.py").write_text(NOTES)
    with (project / "pyproject.toml").open("a") as file:
        file.write('database = "mongodb"\n')

    with serving(project, "--workers", "2", MONGODB_URL="") as (process, url, log):
        httpx.post(f"{url}/notes?text=x").raise_for_status()
        seen = {}
        end = time.monotonic() + START_LIMIT
        while len(seen) < 2 and time.monotonic() < end:
            pid, count = httpx.get(f"{url}/about").json()
            seen[pid] = count
        code = stop(process, log)

    assert code == 0
    assert list(seen.values()) == [1, 1]
