"""PgBouncer in transaction mode before a server of its own, and certificates for it."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from howdah.embedded import EmbeddedPostgres

__all__ = ("OPENSSL", "PGBOUNCER", "before", "certificate", "free_port", "wait_for")

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
OPENSSL = shutil.which("openssl")


_AS = "dbname=postgres user=postgres"


@contextmanager
def before(
    server: EmbeddedPostgres, *, database: str = "postgres", tls: bool = False
) -> Iterator[int]:
    """Run a pooler with three connections for everybody; give its port.

    With TLS it takes no other connections.
    """
    port = free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        target = server.url().rpartition("@")[2].partition("/")[0]
        host, _, server_port = target.partition(":")
        lines = [
            "[databases]",
            f"{database} = host={host} port={server_port} {_AS}",
            "[pgbouncer]",
            *("listen_addr = 127.0.0.1", f"listen_port = {port}", "unix_socket_dir ="),
            *("auth_type = any", "pool_mode = transaction", "default_pool_size = 3"),
        ]
        if tls:
            key, signed = certificate(folder)
            lines += ["client_tls_sslmode = require"]
            lines += [
                f"client_tls_key_file = {key}",
                f"client_tls_cert_file = {signed}",
            ]
        configuration = folder / "pgbouncer.ini"
        configuration.write_text("\n".join([*lines, ""]))
        for path in (folder, *folder.iterdir()):
            path.chmod(0o755)
        # PgBouncer refuses to run as root, too.
        user = {"user": "nobody"} if os.geteuid() == 0 else {}
        process = subprocess.Popen(
            [PGBOUNCER, configuration], stderr=subprocess.DEVNULL, cwd="/", **user
        )
        try:
            wait_for(port)
            yield port
        finally:
            process.kill()
            process.wait()


def certificate(folder: Path) -> tuple[Path, Path]:
    """Make a key and a certificate of localhost, signed by itself."""
    key, signed = folder / "server.key", folder / "server.crt"
    subprocess.run(
        [
            *(OPENSSL, "req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"),
            *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", key, "-out", signed),
        ],
        check=True,
        capture_output=True,
    )
    return key, signed


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port: int) -> None:
    for _ in range(500):
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=0.2):
                return
        except OSError:
            time.sleep(0.02)
    raise AssertionError(f"nobody listens on port {port}")
