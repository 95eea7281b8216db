"""starlette-csrf: writes without the token of their session, wherever it stands."""

from typing import Any

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette_csrf import CSRFMiddleware

GUARD = Middleware(CSRFMiddleware, secret="of this app")


async def seen() -> Any:
    from tools.notes import connect_notes

    before, behind, innermost = FastAPI(middleware=[GUARD]), FastAPI(), FastAPI()
    connect_notes(before)
    connect_notes(behind)
    behind.add_middleware(GUARD.cls, *GUARD.args, **GUARD.kwargs)
    connect_notes(innermost)
    innermost.user_middleware.append(GUARD)
    return {
        "before": await _seen(before),
        "behind": await _seen(behind),
        "innermost": await _seen(innermost),
    }


async def _seen(app: FastAPI) -> Any:
    from tools.notes import KINDS, client_of

    seen = {}
    for kind in KINDS:
        async with client_of(app) as client:
            seen[kind] = await _answers(client, f"{kind}/notes/")
    return seen


async def _answers(client: Any, notes: str) -> Any:
    """Return the answers to writes without a token, with it, and with a wrong one."""
    note = {"text": "a"}
    early = await client.post(notes, json=note)
    first = await client.get(notes)
    token = {"x-csrftoken": client.cookies.get("csrftoken", "")}
    answers = [
        early,
        first,
        await client.post(notes, json=note),
        await client.post(notes, json=note, headers={"x-csrftoken": "guessed"}),
        await client.delete(f"{notes}1"),
        await client.post(notes, json=note, headers=token),
        await client.get(notes),
    ]
    return [(it.status_code, it.text) for it in answers]
