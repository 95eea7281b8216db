"""The wire once more, with HOWDAH_DISPATCH=fastapi: FastAPI's way answers alike."""

from collections.abc import Iterator

import pytest
from contract.apps import made_app
from contract.backends import BACKENDS, Backend
from contract.test_wire import *  # noqa: F403 - its tests are run again, with another app
from fastapi import FastAPI

# A way to an action knows no store: one on PostgreSQL and one without are enough.
STORES = [backend for backend in BACKENDS if backend.name in {"fast", "memory"}]


@pytest.fixture(params=STORES, ids=lambda backend: backend.name, scope="session")
def backend(request) -> Backend:
    return request.param


@pytest.fixture(autouse=True, scope="module")
def _fastapis_way() -> Iterator[None]:
    """Hold while the app is made, and while its routes are asked."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOWDAH_DISPATCH", "fastapi")
        yield


@pytest.fixture(scope="module")
def app(backend, database, _fastapis_way) -> FastAPI:
    return made_app(backend, database)


async def test_no_request_goes_the_thin_way(app, client):
    scopes = []

    async def noted(scope, receive, send):
        scopes.append(scope)
        await app(scope, receive, send)

    client._transport.app = noted
    created = await client.post("/books/", json=EMMA)  # noqa: F405 - as above
    got = await client.get("/books/1")

    assert (created.status_code, got.status_code) == (201, 200)
    assert ["howdah.thin" in scope for scope in scopes] == [False, False]
