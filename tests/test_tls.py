"""Encrypted connections, asked for as Neon's URL asks for them."""

import os
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from pgbouncer import OPENSSL, PGBOUNCER, before, certificate, free_port, wait_for
from sqlalchemy import text

from howdah import Database
from howdah.embedded import EmbeddedPostgres
from howdah.errors import Unavailable
from howdah.settings import DatabaseURL, Retry

NEON = (
    "postgresql://user:password@ep-x-123456-pooler.region.aws.neon.tech/dbname"
    "?sslmode=require&channel_binding=require"
)
# The wheel's server speaks no TLS; one of the system's does.
SERVERS = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
ONCE = Retry(attempts=1)

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(OPENSSL is None, reason="needs openssl for certificates"),
]


def at(port, **changes):
    """Neon's URL as it is, but for where it leads."""
    url = DatabaseURL.parse(NEON)
    parameters = {**url.parameters, **changes}
    return replace(url, hosts=(("localhost", port),), parameters=parameters)


@pytest.mark.skipif(PGBOUNCER is None, reason="needs PgBouncer")
async def test_both_lanes_go_through_a_pooler_by_tls():
    with (
        EmbeddedPostgres.temporary(port=0) as server,
        before(server, database="dbname", tls=True) as port,
    ):
        async with Database(at(port)) as db, db.transaction() as session:
            await session.exec(text("CREATE TABLE things (id int)"))
            limit = await session.scalar(text("SHOW statement_timeout"))
            assert limit == "30s"
            assert await db.lane.fetchval("SELECT 1") == 1
        with pytest.raises(Unavailable):
            await Database(at(port, sslmode="disable"), retry=ONCE).open()


@pytest.fixture(scope="module")
def tls_server():
    """A server that takes passwords and TLS only; its port and its certificate."""
    binaries, port = SERVERS[-1].parent, free_port()
    # A server refuses to run as root.
    user = {"user": "nobody", "group": "nogroup"} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory() as name:
        folder, data = Path(name), Path(name, "data")
        (folder / "password").write_text("password")
        signed = certificate(folder)
        for path in (folder, *folder.iterdir()):
            os.chown(path, *((65534, 65534) if user else (-1, -1)))
        signed[0].chmod(0o600)
        subprocess.run(
            [
                *(binaries / "initdb", "-D", data, "-U", "user", "-A", "scram-sha-256"),
                *("-N", "--pwfile", folder / "password", "--no-locale", "-E", "UTF8"),
            ],
            check=True,
            capture_output=True,
            cwd="/",
            **user,
        )
        (data / "pg_hba.conf").write_text("hostssl all all all scram-sha-256\n")
        options = {
            "ssl": "on",
            "ssl_key_file": signed[0],
            "ssl_cert_file": signed[1],
            "unix_socket_directories": "",
            "fsync": "off",
        }
        process = subprocess.Popen(
            [
                *(binaries / "postgres", "-D", data, "-p", str(port)),
                *(f"--{name}={value}" for name, value in options.items()),
            ],
            stderr=subprocess.DEVNULL,
            cwd="/",
            **user,
        )
        try:
            wait_for(port)
            yield port, signed[1]
        finally:
            process.kill()
            process.wait()


ENCRYPTED = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


@pytest.mark.skipif(not SERVERS, reason="needs a server of the system's, with TLS")
@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
async def test_all_lanes_are_encrypted(tls_server, driver):
    port, _ = tls_server
    url = replace(at(port), database="postgres", driver=driver)

    async with Database(url) as db:
        async with db.transaction() as session:
            assert await session.scalar(text(ENCRYPTED)) is True
        assert await db.lane.fetchval(ENCRYPTED) is True
        # With the channel bound, which psycopg refuses to do without.
        with db.sync_session() as session:
            assert session.scalar(text(ENCRYPTED)) is True


@pytest.mark.skipif(not SERVERS, reason="needs a server of the system's, with TLS")
async def test_all_lanes_verify_the_server_where_that_is_asked(tls_server, tmp_path):
    port, signed = tls_server
    known, other = tmp_path / "known.crt", certificate(tmp_path)[1]
    known.write_bytes(signed.read_bytes())
    asked = {"sslmode": "verify-full", "sslrootcert": str(known)}
    url = replace(at(port, **asked), database="postgres")

    async with Database(url) as db, db.transaction() as session:
        assert await session.scalar(text(ENCRYPTED)) is True
        assert await db.lane.fetchval(ENCRYPTED) is True
        with db.sync_session() as sync:
            assert sync.scalar(text(ENCRYPTED)) is True
    strange = replace(url, parameters={**asked, "sslrootcert": str(other)})
    with pytest.raises(Unavailable) as refused:
        await Database(strange, retry=ONCE).open()
    assert "CERTIFICATE_VERIFY_FAILED" in str(refused.value.__cause__)
