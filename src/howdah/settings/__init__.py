"""What can be set, read once from arguments, the environment or `.env`, then frozen.

Knows the names that deployments use (`DATABASE_URL`, `POSTGRES_SERVER`, ...) and how
providers misspell a URL. Opens nothing and connects to nothing.

    options.py      pools, time limits, retries, pages
    url.py          where the database is
    environment.py  what the environment says of both
"""

from howdah.settings.environment import Settings
from howdah.settings.options import PageLimits, Pool, Retry, Timeouts
from howdah.settings.url import DatabaseURL, Dialect, session_option

__all__ = (
    "DatabaseURL",
    "Dialect",
    "PageLimits",
    "Pool",
    "Retry",
    "Settings",
    "Timeouts",
    "session_option",
)
