"""PostgreSQL tables behind FastAPI: one round trip a request, SQLAlchemy in reach.

Names are imported when they are first used, so that `howdah --help` and the pytest
plugin do not wait for SQLAlchemy and FastAPI.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from howdah.database import Database
    from howdah.errors import (
        Conflict,
        Contention,
        Duplicate,
        HowdahError,
        Invalid,
        Misconfigured,
        MissingReference,
        NotFound,
        StillReferenced,
        Timeout,
        Unavailable,
    )
    from howdah.models import (
        DeletedAtColumns,
        DeletedAtFields,
        Money,
        OptionalMoney,
        SoftDeleteColumns,
        SoftDeleteFields,
        TimestampColumns,
        TimestampFields,
    )
    from howdah.repository import Repository
    from howdah.resource import Resource
    from howdah.settings import PageLimits, Settings
    from howdah.web import connect

__all__ = (
    "Conflict",
    "Contention",
    "Database",
    "DeletedAtColumns",
    "DeletedAtFields",
    "Duplicate",
    "HowdahError",
    "Invalid",
    "Misconfigured",
    "MissingReference",
    "Money",
    "NotFound",
    "OptionalMoney",
    "PageLimits",
    "Repository",
    "Resource",
    "Settings",
    "SoftDeleteColumns",
    "SoftDeleteFields",
    "StillReferenced",
    "Timeout",
    "TimestampColumns",
    "TimestampFields",
    "Unavailable",
    "connect",
)

_HOMES = {
    "Conflict": "errors",
    "Contention": "errors",
    "Database": "database",
    "DeletedAtColumns": "models",
    "DeletedAtFields": "models",
    "Duplicate": "errors",
    "HowdahError": "errors",
    "Invalid": "errors",
    "Misconfigured": "errors",
    "MissingReference": "errors",
    "Money": "models",
    "NotFound": "errors",
    "OptionalMoney": "models",
    "PageLimits": "settings",
    "Repository": "repository",
    "Resource": "resource",
    "Settings": "settings",
    "SoftDeleteColumns": "models",
    "SoftDeleteFields": "models",
    "StillReferenced": "errors",
    "Timeout": "errors",
    "TimestampColumns": "models",
    "TimestampFields": "models",
    "Unavailable": "errors",
    "connect": "web",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'howdah' has no attribute {name!r}")
    return getattr(import_module(f"howdah.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
