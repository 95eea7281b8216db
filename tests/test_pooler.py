"""Behind PgBouncer in transaction mode, as Neon and Supabase run it, nothing breaks."""

import asyncio

import pytest
from catalogue import NOTEBOOK, ItemRepository, client_of, create_tables, make_app
from pgbouncer import PGBOUNCER, before
from sqlalchemy import text

from howdah import Database
from howdah.embedded import EmbeddedPostgres
from howdah.settings import Pool

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(
        PGBOUNCER is None, reason="needs PgBouncer: apt-get install pgbouncer"
    ),
]


@pytest.fixture
def pooler_url():
    """A server of its own behind a pooler with three connections for everybody."""
    with EmbeddedPostgres.temporary(port=0) as server, before(server) as port:
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres?pgbouncer=true"


async def test_both_lanes_work_for_many_at_once(pooler_url):
    async with Database(pooler_url, pool=Pool(size=16)) as db:
        await create_tables(db)
        async with client_of(make_app(db)) as client:
            created = await asyncio.gather(
                *(client.post("/items/", json=NOTEBOOK) for _ in range(60))
            )
            read = await asyncio.gather(
                *(client.get(f"/items/{n}") for n in range(1, 61))
            )
            counted = await asyncio.gather(*(count(db) for _ in range(60)))

    assert {response.status_code for response in created} == {201}
    assert {response.status_code for response in read} == {200}
    assert set(counted) == {60}


async def count(db):
    async with db.transaction() as session:
        return await ItemRepository(session).count()


async def test_limits_hold_and_do_not_leak_to_others(pooler_url):
    db = Database(pooler_url, pool=Pool(size=2))
    async with db, db.transaction() as session:
        limit = await session.scalar(text("SHOW statement_timeout"))
        on_lane = await db.lane.fetchval("SELECT current_setting('lock_timeout')")

    assert (limit, on_lane) == ("30s", "10s")
    with db.sync_session() as session:
        assert session.scalar(text("SHOW statement_timeout")) == "30s"
    async with db, db.lane.connection() as raw, raw.transaction():
        assert await raw.fetchval("SHOW statement_timeout") == "0"
