"""Wait for the server that the tests use: `python -m src.utils.tests_pre_start`."""

import asyncio
import logging

from howdah import Database

from src.core.config import settings
from src.utils.backend_pre_start import PATIENCE

logger = logging.getLogger(__name__)


async def main() -> None:
    if settings.test_url is None:
        logger.info("no TEST_DATABASE_URL: the tests bring PostgreSQL along")
        return
    async with Database(settings.test_url, retry=PATIENCE):
        logger.info("the test server answers")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    asyncio.run(main())
