"""Users, teams and projects over HTTP, on sync sessions: `main` without `await`.

`howdah serve main_sync:app` serves it.
"""

from typing import Annotated, Any

import resources
from fastapi import Depends, FastAPI, Query
from models import Joined, NamedTeamSize, TeamSize, UserPublic, UserWithTeam
from repositories import SyncUserRepository
from settings import AppSettings
from sqlmodel import Session, SQLModel

from howdah import Database, connect

db = Database(AppSettings())
app = FastAPI(title="Teams")
connect(app, db, tables=SQLModel.metadata)

SessionDep = Annotated[Session, Depends(db.sync_session, scope="function")]
More = Annotated[int, Query(ge=0, le=2**31 - 1)]


class Users(resources.Users):
    sync = True


class Teams(resources.Teams):
    sync = True


class Projects(resources.Projects):
    sync = True


users = Users(db).router(prefix="/users", tags=["users"])
teams = Teams(db).router(prefix="/teams", tags=["teams"])
projects = Projects(db).router(prefix="/projects", tags=["projects"])


@users.post("/with-team", status_code=201)
def create_with_team(order: UserWithTeam, session: SessionDep) -> Joined:
    """Create a user and their team, and a project if its name is free."""
    return SyncUserRepository(session).join(order)


@users.get("/by-username/{username}", response_model=UserPublic)
def get_by_username(username: str, session: SessionDep) -> Any:
    """Get the user of this name."""
    return SyncUserRepository(session).by_username(username)


@users.get("/known-as/{name}", response_model=UserPublic | None)
def get_known_as(name: str, session: SessionDep) -> Any:
    """Get who has this username or e-mail address, or null."""
    return SyncUserRepository(session).known_as(name)


@users.post("/retire")
def retire(session: SessionDep) -> dict[str, int]:
    """Delete all inactive users, softly."""
    return {"retired": SyncUserRepository(session).retire()}


@teams.get("/users", response_model=list[TeamSize])
def users_per_team(session: SessionDep, more_than: More = 0) -> Any:
    """Count the users of each team that has more than so many."""
    return SyncUserRepository(session).per_team(more_than)


@teams.get("/sizes", response_model=list[NamedTeamSize])
def sizes(session: SessionDep) -> Any:
    """List all teams with the number of their users."""
    return SyncUserRepository(session).team_sizes()


for router in (users, teams, projects):
    app.include_router(router)
