"""Apps with all resources of the contract."""

from typing import Any

from contract.backends import Backend
from contract.models import (
    Books,
    CarefulBooks,
    Countries,
    EnvelopedBooks,
    Lines,
    Shelves,
    Tokens,
    WordedTokens,
)
from fastapi import FastAPI

from howdah import problems
from howdah.route import EarlyRoutes

PATHS = {
    "/books": Books,
    "/careful": CarefulBooks,
    "/enveloped": EnvelopedBooks,
    "/shelves": Shelves,
    "/countries": Countries,
    "/lines": Lines,
    "/tokens": Tokens,
    "/worded": WordedTokens,
}


def made_app(backend: Backend, database: Any) -> FastAPI:
    """Make an app with all resources that a kind of store can have."""
    app = FastAPI()
    problems.install(app)
    EarlyRoutes.install(app.router)
    for prefix, resource in PATHS.items():
        if prefix in backend.paths:
            continue
        app.include_router(backend.resource(resource, database).router(prefix=prefix))
    return app
