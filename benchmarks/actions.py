"""What is asked of every contender, and how wrk asks it.

An action is a Lua script for wrk and one request whose answer is compared before
anything is timed. The path differs only where a contender spells a filter its own way.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ("ACTIONS", "ROWS", "Action")

ROWS = 100_000
_ROW = {"name": "Song", "description": "A new one", "price": 12.5, "tax": 1.25}
_BATCH = [{**_ROW, "name": f"Song {n}"} for n in range(1000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One kind of request; `{n}` in a path is a random number up to the rows."""

    name: str
    path: str
    method: str = "GET"
    body: Any = None
    connections: int = 32
    slow: int = 1
    """How many times longer than others it is measured."""
    spelled: Mapping[str, str] = field(default_factory=dict)
    """The path at contenders that spell it otherwise."""
    headers: Mapping[str, str] = field(default_factory=dict)
    rows: int = ROWS
    indexed: bool = True
    """Whether the table has the indexes that sorting and searching want."""
    only: tuple[str, ...] = ()
    """The contenders that are asked, where it is not all."""

    def path_at(self, contender: str) -> str:
        """Return the path that a contender knows this by."""
        return self.spelled.get(contender, self.path)

    def script(self, contender: str) -> str:
        """Return the Lua script with which wrk asks."""
        before, hole, after = self.path_at(contender).partition("{n}")
        number = f' .. math.random(1, {self.rows}) .. "{after}"' if hole else ""
        body = "nil" if self.body is None else _quoted(json.dumps(self.body))
        headers = {**_JSON, **self.headers} if self.body else self.headers
        named = ", ".join(f'["{name}"] = "{value}"' for name, value in headers.items())
        path = f'"{before}"{number}'
        return _SCRIPT.format(
            method=self.method, path=path, body=body, headers=f"{{ {named} }}"
        )

    def example(self, contender: str) -> str:
        """Return a path with a number in it, to compare answers by."""
        return self.path_at(contender).replace("{n}", "4711")


_JSON = {"Content-Type": "application/json"}


def _quoted(text: str) -> str:
    return f"[==[{text}]==]"


_SCRIPT = """
local body = {body}
local headers = {headers}
local seed = 0
function setup(thread) seed = seed + 1; thread:set("seed", seed) end
function init() math.randomseed(seed) end
function request()
  return wrk.format("{method}", {path}, headers, body)
end
function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    'result {{"requests": %d, "seconds": %f, "p50": %f, "p99": %f, "bad": %d}}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3,
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""

_SORTED = "/items/?price_min=500&sort=price&limit=100"
_DEEP = f"/items/?skip={ROWS - 100}&limit=100"

_USER = {"Authorization": "Bearer 1"}
_WITH_USERS = ("tutorial", "howdah")

ACTIONS = (
    Action(name="get", path="/items/{n}"),
    Action(name="list", path="/items/?limit=100"),
    Action(
        name="sorted",
        path=_SORTED,
        spelled={"howdah": "/items/?price__gte=500&sort=price&limit=100"},
    ),
    Action(name="search", path="/items/search?q=album%20471"),
    Action(
        name="page 1,000",
        path=_DEEP,
        spelled={
            "bare": f"/items/?after={ROWS - 100}",
            "fastify": f"/items/?after={ROWS - 100}",
            "howdah": "cursor",
        },
    ),
    Action(name="count", path="/items/count"),
    Action(name="get, with a user", path="/mine/{n}", headers=_USER, only=_WITH_USERS),
    Action(
        name="list, with a user",
        path="/mine/?limit=100",
        headers=_USER,
        only=_WITH_USERS,
    ),
    Action(
        name="update",
        path="/items/{n}",
        method="PUT",
        body={"price": 2.5},
        indexed=False,
    ),
    Action(name="create", path="/items/", method="POST", body=_ROW, indexed=False),
    Action(
        name="batch",
        path="/items/batch",
        method="POST",
        body=_BATCH,
        slow=3,
        connections=4,
        indexed=False,
    ),
)
