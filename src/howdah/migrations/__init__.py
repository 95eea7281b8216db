"""Alembic with manners: one migrator at a time, short locks, plain errors.

running.py       the command at work: its turn, its limits, its faults
autogenerate.py  what Alembic writes into a revision
concurrent.py    indexes that are built while others write
"""

from howdah.migrations.autogenerate import render_item
from howdah.migrations.concurrent import create_index_concurrently
from howdah.migrations.running import LIMITS, run, upgrade

__all__ = ("LIMITS", "create_index_concurrently", "render_item", "run", "upgrade")
