"""Load the first categories and items, once: `python -m src.utils.init_data`."""

import asyncio
import logging
from decimal import Decimal

from howdah.errors import Duplicate
from sqlmodel.ext.asyncio.session import AsyncSession

from src.core.db import db
from src.crud.categories import CategoryCRUD
from src.crud.items import ItemCRUD
from src.schemas.items import CategoryCreate, ItemCreate

logger = logging.getLogger(__name__)

SAMPLES = {
    "Computers": (
        ("MacBook Pro", "M2 chipset, 16 GB, 14 inches", "2500000", "250000"),
        ("ThinkPad X1", "Carbon body, Linux inside", "2100000", "210000"),
        ("Mini PC", "Small, silent, enough for a server", "450000", "45000"),
    ),
    "Phones": (
        ("iPhone 15", "Latest smartphone of its maker", "1200000", "120000"),
        ("Galaxy S24", "Flagship with a bright screen", "1100000", "110000"),
    ),
    "Books": (("The Art of SQL", "For those who think in sets", "38500.50", None),),
}


async def load(session: AsyncSession) -> int:
    """Store the samples unless there are categories already; return how many items."""
    categories = CategoryCRUD(session)
    if await categories.exists():
        return 0
    rows = []
    for category, items in SAMPLES.items():
        made = await categories.create(CategoryCreate(name=category))
        rows += [
            ItemCreate(
                name=name,
                description=description,
                price=Decimal(price),
                tax=Decimal(tax) if tax else None,
                category_id=made.id,
            )
            for name, description, price, tax in items
        ]
    return len(await ItemCRUD(session).create_items_batch(rows))


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
