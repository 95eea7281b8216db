"""Rows as objects: the verbs of a resource for people's own code, over a session.

The session's owner commits, so several repositories make one unit of work. Whatever
is missing here is plain SQLAlchemy on `self.session`.

    asking.py        conditions, filters, sort and pages -> a SELECT of the model
    upserting.py     INSERT ... ON CONFLICT
    verbs.py         what both doors share: the model, its statements, its errors
    asynchronous.py  `Repository`, over an AsyncSession
    sync.py          `SyncRepository`, over a Session
"""

from howdah.repository.asynchronous import Repository
from howdah.repository.sync import SyncRepository

__all__ = ("Repository", "SyncRepository")
