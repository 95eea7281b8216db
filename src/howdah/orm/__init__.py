"""Rows through the ORM: any dialect of SQLAlchemy, and all that a model does itself.

    store.py       the store: a session and a transaction for each action
    found.py       rows by their keys, and the tags of their versions
    written.py     values into rows and out of the database again
    shown.py       rows as JSON, by their read schema
    once.py        answers that are kept for requests that are sent again
    related.py     embedded rows, one query a relation
    linked.py      rows between two others, which relate them
    fitting.py     what a column takes, where the database itself does not look
    references.py  which reference leads nowhere, where the database does not say

Events and validators of a model run here, and its relations are within reach of the
read schema. It refuses to know HTTP, and which database it is, but for `found`'s tags
and what SQLite leaves out.
"""

from howdah.orm.store import OrmStore

__all__ = ("OrmStore",)
