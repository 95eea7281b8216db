"""Rows in dictionaries: the port in plain Python, and a fake for tests.

    store.py        the store
    database.py     what stores share: the tables, numbers, versions
    answers.py      answers that are kept for requests that are sent again
    tables.py       rows by key, and a change that is kept whole or not at all
    conditions.py   which rows a query finds
    relations.py    rows that a relation leads to
    order.py        sort and position in plain Python
    unique.py       what has to be unique, as the metadata declares it
    rules.py        foreign keys, likewise

It answers as PostgreSQL does with the collation C.UTF-8, which tests/contract holds. It
refuses to know SQL.
"""

from howdah.memory.database import MemoryDatabase
from howdah.memory.store import MemoryStore

__all__ = ("MemoryDatabase", "MemoryStore")
