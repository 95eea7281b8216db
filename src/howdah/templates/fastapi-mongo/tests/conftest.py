"""Every test has a database of its own; see TEST_MONGODB_URL in .env.example."""

from collections.abc import AsyncIterator

import pytest
from httpx import ASGITransport, AsyncClient

from src.core.db import db
from src.main import app


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def client(mongodb_url: str) -> AsyncIterator[AsyncClient]:
    """Speak to the application, started on the test's own database."""
    with db.redirected(mongodb_url):
        async with (
            app.router.lifespan_context(app),
            AsyncClient(
                transport=ASGITransport(app=app), base_url="http://test"
            ) as client,
        ):
            yield client
