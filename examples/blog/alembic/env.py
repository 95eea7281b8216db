"""What Alembic runs: an async environment with a lock, limits and plain errors."""

from models import Base

from howdah import Settings
from howdah.migrations import run

run(Base.metadata, Settings().url)
