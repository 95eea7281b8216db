"""Load a first user and items, once: `python -m src.utils.init_data`."""

import asyncio
import logging
import secrets
from decimal import Decimal

from beanie import Link
from howdah.errors import Duplicate
from pymongo.asynchronous.client_session import AsyncClientSession

from src.api.routes.users import passwords
from src.core.db import db
from src.documents.items import Item
from src.documents.users import User

logger = logging.getLogger(__name__)

SAMPLES = (
    ("Lamp", "Brass, with a green shade", "19.99"),
    ("Desk", "Oak, two drawers", "249.50"),
    ("Chair", "It turns", "89"),
)


async def load(session: AsyncClientSession) -> int:
    """Store the samples unless there are users already; return how many items."""
    if await User.find_all(session=session).first_or_none() is not None:
        return 0
    user = User(
        email="ada@example.org",
        username="ada",
        # Nobody knows it: change it by PATCH /users/{id} to log in.
        hashed_password=passwords.hash(secrets.token_urlsafe()),
    )
    await user.insert(session=session)
    owner = Link(user.to_ref(), document_class=User)
    for name, description, price in SAMPLES:
        await Item(
            name=name, description=description, price=Decimal(price), owner=owner
        ).insert(session=session)
    return len(SAMPLES)


async def main() -> None:
    async with db:
        try:
            count = await db.run(load)
        except Duplicate:
            # Another process did the same at the same moment.
            count = 0
    logger.info("%s sample items loaded", count or "no new")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    asyncio.run(main())
