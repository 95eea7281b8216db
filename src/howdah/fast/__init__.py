"""Rows as JSON bytes that PostgreSQL wrote, one round trip an action, on the fast lane.

dialect.py  SQLAlchemy's compiler, so that a list of values is one parameter
plans.py    statements compiled once for asyncpg, then only filled in
arrays.py   an array as PostgreSQL's text of it
batches.py  rows that send fields, as the arrays of a statement
texts.py    new rows as one text of JSON, and arrays beside it
once.py     answers that are kept: what was kept, and why nothing was written
culprits.py which rows of a batch are to blame
table.py    plans kept by their shape and run, keys that cannot be, faults named
store.py    the store: an action becomes a shape, a plan, a call
"""

from howdah.fast.plans import Plan
from howdah.fast.store import FastStore

__all__ = ("FastStore", "Plan")
