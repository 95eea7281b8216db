"""Money under load: 100 transfers at once while backends are killed, none lost.

The shop of examples/ in a process of its own, over real HTTP. Each client sends its
transfer, with a key, until it is answered; some send it twice at once. Runs 3 rounds;
all 1,000 of them by `TRANSFER_ROUNDS=1000 pytest tests/acceptance/test_transfers.py`.
"""

import asyncio
import os
import random
from contextlib import asynccontextmanager
from decimal import Decimal

import httpx
import psycopg
import pytest
from served import serving

ROUNDS = int(os.environ.get("TRANSFER_ROUNDS", "3"))
CLIENTS, USERS, OPENING = 100, 10, 50
KILLS, PAUSE = 3, 0.05
"""How many backends are killed in a round, at most, and the longest pause between."""

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.timeout(120 + 20 * ROUNDS),
]


async def test_no_money_is_made_or_lost(database_url, tmp_path):
    rand = random.Random(7)
    acknowledged, refused, killed = {}, 0, 0
    with serving(database_url, tmp_path, example="shop") as served:
        async with crowd(served) as client, await admin(database_url) as connection:
            await open_accounts(client)
            for number in range(ROUNDS):
                async with havoc(connection, rand) as dead:
                    answers = await asyncio.gather(
                        *(paying(client, f"{number}-{n}", rand) for n in range(CLIENTS))
                    )
                killed += len(dead)
                for key, answer in answers:
                    if answer.status_code == 201:
                        acknowledged[key] = answer.json()["id"]
                    else:
                        refused += 1
                assert await total(connection) == USERS * OPENING
            made = await transfers(connection)
            owned, expected = await balances(connection)

    assert killed > 0
    assert len(acknowledged) + refused == ROUNDS * CLIENTS
    assert min(len(acknowledged), refused) > 0
    # Each acknowledged transfer happened, once, and nothing else did.
    assert sorted(made) == sorted(acknowledged.items())
    assert owned == expected
    assert min(owned.values()) >= 0


def crowd(served):
    limits = httpx.Limits(max_connections=2 * CLIENTS)
    return httpx.AsyncClient(base_url=served.url, timeout=60, limits=limits)


def admin(database_url):
    return psycopg.AsyncConnection.connect(database_url, autocommit=True)


async def open_accounts(client):
    for number in range(1, USERS + 1):
        name = f"u{number}"
        user = {"username": name, "email": f"{name}@x.org", "balance": OPENING}
        assert (await client.post("/users/", json=user)).status_code == 201


async def paying(client, key, rand):
    """Pay somebody something, with the patience that a client should have."""
    payer, payee = rand.sample(range(1, USERS + 1), 2)
    amount = rand.randint(1, 2000) / 100
    order = {"from_user_id": payer, "to_user_id": payee, "amount": amount}
    times = 2 if rand.random() < 0.2 else 1
    answers = await asyncio.gather(
        *(persistently(client, key, order) for _ in range(times))
    )
    statuses = {answer.status_code for answer in answers}
    # Who asked twice may have been refused before money came in, and not after.
    assert statuses <= {201, 409}
    paid = [answer for answer in answers if answer.status_code == 201]
    assert len({answer.content for answer in paid}) <= 1
    return key, (paid or answers)[0]


async def persistently(client, key, order):
    for _ in range(200):
        answer = await client.post(
            "/transfer/", json=order, headers={"Idempotency-Key": key}
        )
        if answer.status_code != 503:
            return answer
        await asyncio.sleep(0.05)
    raise AssertionError(f"{key} was never answered")


@asynccontextmanager
async def havoc(connection, rand):
    """Kill backends of the database until the end of the block, a few at least."""
    dead = []

    async def kill():
        for _ in range(KILLS):
            await asyncio.sleep(rand.uniform(0, PAUSE))
            found = await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                "datname = current_database() AND pid <> pg_backend_pid() AND "
                "xact_start IS NOT NULL ORDER BY random() LIMIT 1"
            )
            dead.extend(await found.fetchall())

    killing = asyncio.create_task(kill())
    try:
        yield dead
    finally:
        await killing


async def total(connection):
    found = await connection.execute("SELECT sum(balance) FROM users")
    return (await found.fetchone())[0]


async def transfers(connection):
    found = await connection.execute("SELECT key, id FROM transfers")
    return await found.fetchall()


async def balances(connection):
    """Return what users have, and what they should have by what is on record."""
    found = await connection.execute(
        "SELECT id, balance, "
        "(SELECT coalesce(sum(amount), 0) FROM transfers WHERE to_user_id = users.id), "
        "(SELECT coalesce(sum(amount), 0) FROM transfers WHERE from_user_id = users.id)"
        " FROM users"
    )
    rows = await found.fetchall()
    owned = {user: balance for user, balance, _, _ in rows}
    expected = {user: Decimal(OPENING) + came - went for user, _, came, went in rows}
    return owned, expected
