"""The answers of all contenders, compared before any of them is timed."""

from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import httpx

from benchmarks.actions import ACTIONS, ROWS, Action
from benchmarks.contender import ADDRESS, Contender
from benchmarks.tables import plain

__all__ = ("answers", "asked_of")

_NEW = {"id", "created_at", "updated_at"}


def asked_of(contender: Contender, names: set[str]) -> list[Action]:
    """Return the actions that a contender that is up can be asked for."""
    return [
        _with_cursor(action) if action.path_at(contender.name) == "cursor" else action
        for action in ACTIONS
        if action.name in names
        and action.name not in contender.lacks
        and (not action.only or contender.name in action.only)
    ]


def answers(contender: Contender, actions: list[Action]) -> dict[str, Any]:
    """Return what a contender answers to each action, in a form to be compared."""
    with httpx.Client(base_url=ADDRESS) as client:
        return {action.name: _answer(client, contender, action) for action in actions}


def _answer(client: httpx.Client, contender: Contender, action: Action) -> Any:
    path = action.example(contender.name)
    response = client.request(
        action.method, path, json=action.body, headers=action.headers
    )
    if not response.is_success:
        raise SystemExit(f"{contender.name}: {action.name}: {response.text[:500]}")
    body = response.json()
    if action.name == "count":
        return body
    rows = [plain(row) for row in (body if isinstance(body, list) else [body])]
    if action.method == "GET":
        return rows
    # A new row has a key and a clock of its own.
    return [{k: v for k, v in row.items() if k not in _NEW} for row in rows]


def _with_cursor(action: Action) -> Action:
    """Return the action with the cursor of the last full page: a walk's way there."""
    url = f"/items/?{urlencode({'limit': 1000})}"
    with httpx.Client(base_url=ADDRESS) as client:
        for _ in range(ROWS // 1000 - 1):
            url = client.get(url).links["next"]["url"]
        # From the last thousand on in pages of a hundred.
        url = url.replace("limit=1000", "limit=100")
        for _ in range(9):
            url = client.get(url).links["next"]["url"]
    return replace(action, spelled={**action.spelled, "howdah": url})
