"""Every test of this folder runs over every store."""

from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from functools import cache
from typing import Any

import httpx
import pytest
from catalogue import client_of
from contract.apps import made_app
from contract.backends import BACKENDS, Backend
from contract.models import Base, Book
from fastapi import FastAPI

from howdah.store import Store


@pytest.fixture(params=BACKENDS, ids=lambda backend: backend.name, scope="session")
def backend(request) -> Backend:
    """A kind of store."""
    return request.param


@pytest.fixture(autouse=True)
def _what_it_cannot(request) -> None:
    """Expect what a kind of store cannot do to fail, and note whose test this is."""
    if "backend" in request.fixturenames:
        backend = request.getfixturevalue("backend")
        request.node.user_properties.append(("store", backend.name))
        if reason := backend.cannot.get(request.node.originalname):
            request.applymarker(pytest.mark.xfail(reason=reason, strict=True))


@pytest.fixture
def book(backend) -> Any:
    """What has a book's fields, for conditions."""
    return backend.fields(Book)


@pytest.fixture(scope="session")
def address(backend, server, tmp_path_factory):
    """Where the worker's tables of this kind of store are."""
    folder = tmp_path_factory.mktemp(backend.name)
    with ExitStack() as stack:
        yield stack.enter_context(backend.prepared(server, folder, Base.metadata))


@pytest.fixture(scope="session")
def database(backend, address) -> Any:
    """What resources are made over, closed: one for all tests of the worker."""
    return backend.database(address)


@pytest.fixture
async def db(backend, database) -> AsyncIterator[Any]:
    """The same, open and with empty tables."""
    async with backend.opened(database, Base.metadata) as db:
        yield db


@pytest.fixture(scope="session")
def stores(backend, database) -> Callable[..., Store]:
    """Give the store of a resource, made once."""
    return cache(lambda resource: backend.resource(resource, database).store)


@pytest.fixture
def store_of(stores, db) -> Callable[..., Store]:
    """Give the store of a resource, over empty tables."""
    return stores


@pytest.fixture(scope="session")
def app(backend, database) -> FastAPI:
    """An app with all resources, made once: that takes longer than most tests."""
    return made_app(backend, database)


@pytest.fixture
async def client(app, db) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the app, over empty tables."""
    async with client_of(app) as client:
        yield client
