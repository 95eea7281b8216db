"""SQLite so that a model and a query mean what they mean on PostgreSQL.

    connecting.py  how one connection is made, and how its transactions begin
    functions.py   LIKE, lower, the moment, the order of decimals
    columns.py     how values of each column type are stored

Knows neither sessions nor requests. What SQLite has not, it refuses by itself.
"""

from howdah.sqlite.connecting import READ_ONLY, connect, connect_sync, teach

__all__ = ("READ_ONLY", "connect", "connect_sync", "teach")
