"""Wait until the database answers: `python -m src.utils.backend_pre_start`."""

import asyncio
import logging

from howdah import Database
from howdah.settings import Retry

from src.core.config import settings

# A server in a container next to ours may need a minute for its first start.
PATIENCE = Retry(attempts=60, delay=0.5, factor=1.2, longest_delay=1)


async def main() -> None:
    async with Database(settings, retry=PATIENCE):
        logging.getLogger(__name__).info("the database answers")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    asyncio.run(main())
