"""What Alembic runs. Howdah adds the lock, the timeouts and plain errors."""

from howdah.migrations import run
from sqlmodel import SQLModel

from src.core.config import settings
from src.schemas import items  # noqa: F401 - every module with tables, for autogenerate

# Options of Alembic's context.configure() may follow, such as include_object=...
run(SQLModel.metadata, settings.url)
