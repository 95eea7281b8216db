"""Fields that documents have in common."""

import datetime as dt
from typing import Annotated

from pydantic import BaseModel, Field

from howdah.models import OnUpdate

__all__ = ("Timestamps",)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class Timestamps(BaseModel):
    """`created_at` and `updated_at`: `class Item(Timestamps, Document)`.

    A resource keeps both. Who saves a document by Beanie sets `updated_at` themselves.
    """

    created_at: dt.datetime = Field(default_factory=_now)
    updated_at: Annotated[dt.datetime | None, OnUpdate(_now)] = None
