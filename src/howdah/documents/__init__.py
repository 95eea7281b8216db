"""Rows in MongoDB, through Beanie's documents: `class Users(Resource[User])`.

    database.py   the client, Beanie's start, transactions, health
    server.py     a server for development, where none is given
    store.py      the store
    changes.py    what becomes of a document, and which of its versions is meant
    answers.py    answers that are kept for requests that are sent again
    links.py      whether what a link names is there
    related.py    linked documents inside of a document's JSON
    pages.py      a query and a page as an aggregation
    matching.py   conditions, filters, searches as MongoDB asks them
    codec.py      what BSON holds of a value
    faults.py     what MongoDB refuses, as our errors
    mixins.py     fields that documents have in common

It refuses to know HTTP. What a document's fields are is told by `howdah.models`.
"""

from typing import Any

from sqlalchemy.sql.base import ReadOnlyColumnCollection

from howdah.errors import Misconfigured
from howdah.models import OnUpdate, is_document, table_of

try:
    import beanie  # noqa: F401 - only whether it is there
except ImportError as exc:
    raise Misconfigured(
        "howdah.documents needs Beanie: pip install 'howdah[mongo]'"
    ) from exc

from howdah.documents.database import MongoDatabase
from howdah.documents.mixins import Timestamps
from howdah.documents.server import DevelopmentServer
from howdah.documents.store import DocumentStore

__all__ = (
    "DevelopmentServer",
    "DocumentStore",
    "MongoDatabase",
    "OnUpdate",
    "Timestamps",
    "columns",
)


def columns(document: type[Any]) -> ReadOnlyColumnCollection[str, Any]:
    """Return a document's fields as columns, for a scope: `columns(Item).price > 5`.

    Joined by `and_`, `or_` and `not_` of SQLAlchemy; a link `owner` is `owner_id`.
    """
    if not is_document(document):
        raise Misconfigured(f"{document!r} is none of Beanie's documents")
    return table_of(document).columns
