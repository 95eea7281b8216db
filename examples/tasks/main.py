"""Tasks in a file of SQLite, or on PostgreSQL where DATABASE_URL says so.

`make example NAME=tasks` serves it; docs/how-to/tasks.md builds it step by step.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query
from sqlalchemy import Index
from sqlmodel import Field, Session, SQLModel

from howdah import Database, Resource, TimestampFields, connect
from howdah.repository import SyncRepository


class Status(StrEnum):
    pending = "pending"
    in_progress = "in_progress"
    completed = "completed"


class Task(TimestampFields, table=True):
    __tablename__ = "tasks"
    __table_args__ = (Index("tasks_created_at", "created_at"),)

    id: int | None = Field(default=None, primary_key=True)
    title: str = Field(min_length=1, max_length=200)
    description: str | None = None
    status: Status = Field(default=Status.pending, index=True)


class Tasks(Resource[Task]):
    sync = True
    filters = ("status", "created_at")
    search = ("title",)
    sort = ("title", "created_at")
    unindexed = ("title", "search")


class TaskRepository(SyncRepository[Task]):
    def by_status(self, status: Status) -> Sequence[Task]:
        return self.list(Task.status == status)

    def recent(self, days: int) -> Sequence[Task]:
        """List what the last days have brought, the newest first."""
        since = datetime.now(UTC) - timedelta(days=days)
        return self.list(Task.created_at >= since, sort="-created_at")


db = Database()
app = FastAPI(title="Tasks")
connect(app, db, tables=SQLModel.metadata)

SessionDep = Annotated[Session, Depends(db.sync_session, scope="function")]
Days = Annotated[int, Query(ge=0, le=36_500)]
TaskPublic = Tasks.read_schema

tasks = Tasks(db).router(prefix="/tasks", tags=["tasks"])


@tasks.get("/by-status/{status}", response_model=list[TaskPublic])
def by_status(status: Status, session: SessionDep) -> Any:
    """List the tasks of a status."""
    return TaskRepository(session).by_status(status)


@tasks.get("/recent", response_model=list[TaskPublic])
def recent(session: SessionDep, days: Days = 7) -> Any:
    """List the tasks of the last days."""
    return TaskRepository(session).recent(days)


app.include_router(tasks)
