"""Users, teams and projects over HTTP. `main_sync` is the same without `await`.

`make example NAME=teams` serves it; docs/how-to/teams.md builds it step by step.
"""

from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query
from models import Joined, NamedTeamSize, TeamSize, UserPublic, UserWithTeam
from repositories import UserRepository
from resources import Projects, Teams, Users
from settings import AppSettings
from sqlmodel import SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from howdah import Database, connect

db = Database(AppSettings())
app = FastAPI(title="Teams")
connect(app, db, tables=SQLModel.metadata)

SessionDep = Annotated[AsyncSession, Depends(db.session, scope="function")]
More = Annotated[int, Query(ge=0, le=2**31 - 1)]

users = Users(db).router(prefix="/users", tags=["users"])
teams = Teams(db).router(prefix="/teams", tags=["teams"])
projects = Projects(db).router(prefix="/projects", tags=["projects"])


@users.post("/with-team", status_code=201)
async def create_with_team(order: UserWithTeam, session: SessionDep) -> Joined:
    """Create a user and their team, and a project if its name is free."""
    return await UserRepository(session).join(order)


@users.get("/by-username/{username}", response_model=UserPublic)
async def get_by_username(username: str, session: SessionDep) -> Any:
    """Get the user of this name."""
    return await UserRepository(session).by_username(username)


@users.get("/known-as/{name}", response_model=UserPublic | None)
async def get_known_as(name: str, session: SessionDep) -> Any:
    """Get who has this username or e-mail address, or null."""
    return await UserRepository(session).known_as(name)


@users.post("/retire")
async def retire(session: SessionDep) -> dict[str, int]:
    """Delete all inactive users, softly."""
    return {"retired": await UserRepository(session).retire()}


@teams.get("/users", response_model=list[TeamSize])
async def users_per_team(session: SessionDep, more_than: More = 0) -> Any:
    """Count the users of each team that has more than so many."""
    return await UserRepository(session).per_team(more_than)


@teams.get("/sizes", response_model=list[NamedTeamSize])
async def sizes(session: SessionDep) -> Any:
    """List all teams with the number of their users."""
    return await UserRepository(session).team_sizes()


for router in (users, teams, projects):
    app.include_router(router)
