"""The limit: a bare ASGI callable with asyncpg and PostgreSQL's JSON.

No framework, no validation beyond what the statements demand, no OpenAPI: what is left
is the server, the driver and the database.
"""

import json
import os
from typing import Any
from urllib.parse import parse_qs

import asyncpg

ROW = (
    "row_to_json((SELECT r FROM (SELECT id, name, description, price, tax, is_active, "
    "created_at, updated_at) AS r))::text"
)
ROWS = (
    "SELECT '[' || coalesce(string_agg(row_to_json(r)::text, ','), '') || ']' FROM "
    "(SELECT id, name, description, price, tax, is_active, created_at, updated_at "
    "FROM items WHERE {} LIMIT 100 OFFSET {}) AS r"
)
GET = f"SELECT {ROW} FROM items WHERE id = $1"
LIST = ROWS.format("is_active ORDER BY id", 0)
SORTED = ROWS.format("is_active AND price >= $1 ORDER BY price, id", 0)
BEHIND = ROWS.format("is_active AND id > $1 ORDER BY id", 0)
SEARCH = ROWS.format(
    "is_active AND (name ILIKE $1 OR description ILIKE $1) ORDER BY id", 0
)
COUNT = "SELECT json_build_object('total', count(*))::text FROM items WHERE is_active"
CREATE = (
    "INSERT INTO items (name, description, price, tax) "
    f"VALUES ($1, $2, $3, $4) RETURNING {ROW}"
)
UPDATE = (
    f"UPDATE items SET price = $2, updated_at = now() WHERE id = $1 RETURNING {ROW}"
)
BATCH = (
    "WITH given AS (INSERT INTO items (name, description, price, tax) SELECT * FROM "
    "json_to_recordset($1) AS r(name text, description text, price numeric, "
    f"tax numeric) RETURNING {ROW} AS j) SELECT '[' || string_agg(j, ',') || ']' "
    "FROM given"
)
HEADERS = [(b"content-type", b"application/json")]


class Lane:
    """Connections, the one used last first; more than there are never work at once."""

    def __init__(self) -> None:
        self._idle: list[Any] = []

    async def fetch(self, statement: str, *arguments: Any) -> str | None:
        connection = self._idle.pop() if self._idle else await self._connect()
        try:
            value: str | None = await connection.fetchval(statement, *arguments)
        finally:
            self._idle.append(connection)
        return value

    async def _connect(self) -> Any:
        return await asyncpg.connect(os.environ["DATABASE_URL"])


lane = Lane()


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await _live(receive, send)
        return
    status, body = await _answer(scope, receive)
    await send({"type": "http.response.start", "status": status, "headers": HEADERS})
    await send({"type": "http.response.body", "body": body})


async def _live(receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _answer(scope: Any, receive: Any) -> tuple[int, bytes]:
    method, path = scope["method"], scope["path"].removeprefix("/items/")
    if method == "GET":
        text = await _read(path, parse_qs(scope["query_string"].decode()))
        return (200, text.encode()) if text else (404, b"{}")
    body = await _body(receive)
    if path == "batch":
        return 201, ((await lane.fetch(BATCH, body.decode())) or "").encode()
    row = json.loads(body)
    if method == "POST":
        values = (row["name"], row.get("description"), row["price"], row.get("tax"))
        return 201, ((await lane.fetch(CREATE, *values)) or "").encode()
    text = await lane.fetch(UPDATE, int(path), row["price"])
    return (200, text.encode()) if text else (404, b"{}")


async def _body(receive: Any) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message["body"])
        if not message.get("more_body"):
            return b"".join(parts)


async def _read(path: str, asked: dict[str, list[str]]) -> str | None:
    if path == "count":
        return await lane.fetch(COUNT)
    if path == "search":
        return await lane.fetch(SEARCH, f"%{asked['q'][0]}%")
    if path:
        return await lane.fetch(GET, int(path))
    if "price_min" in asked:
        return await lane.fetch(SORTED, float(asked["price_min"][0]))
    if "after" in asked:
        return await lane.fetch(BEHIND, int(asked["after"][0]))
    return await lane.fetch(LIST)
