"""What is asked of users beyond a resource: with `await`, and the same without."""

import asyncio
from collections.abc import Sequence
from typing import Any

from models import Joined, Project, ProjectUserLink, Team, User, UserWithTeam
from resources import passwords
from sqlalchemy import Row, Select
from sqlmodel import func, or_, select

from howdah import Repository
from howdah.repository import SyncRepository

HERE = User.deleted_at.is_(None)
INACTIVE = User.is_active.is_(False)


def named(name: str) -> Any:
    """Return the condition of users who are known by a name."""
    return or_(User.email == name, User.username == name)


def per_team(more_than: int) -> dict[str, Any]:
    """Return what `aggregate` computes: teams of more users than that."""
    team, size = User.team_id, func.count()
    return {
        "by": [team],
        "having": [size > more_than],
        "order_by": [team],
        "users": size,
    }


def team_sizes() -> Select[Any]:
    """Return the query for each team's name and number of users."""
    users = select(func.count(User.id)).where(User.team_id == Team.id, HERE)
    return select(Team.name, users.scalar_subquery().label("users")).order_by(Team.name)


def new_user(order: UserWithTeam, hashed: str, team: Team) -> dict[str, Any]:
    values = order.model_dump(exclude={"password", "team_name", "project_name"})
    return {**values, "hashed_password": hashed, "team_id": team.id}


class ProjectRepository(Repository[Project]):
    async def begin(self, name: str, user: User) -> Project | None:
        """Create a project with a first user, unless its name is taken."""
        project = await self.create_unless_taken({"name": name})
        if project is not None:
            link = ProjectUserLink(project_id=project.id, user_id=user.id)
            self.session.add(link)
        return project


class UserRepository(Repository[User]):
    async def by_username(self, username: str) -> User:
        return await self.get_first(User.username == username, HERE)

    async def known_as(self, name: str) -> User | None:
        return await self.first(named(name), HERE)

    async def retire(self) -> int:
        """Mark who is inactive as deleted, and say how many that are."""
        return await self.update_many({"deleted_at": func.now()}, INACTIVE, HERE)

    async def per_team(self, more_than: int) -> Sequence[Row[Any]]:
        return await self.aggregate(HERE, **per_team(more_than))

    async def team_sizes(self) -> Sequence[Row[Any]]:
        return (await self.session.exec(team_sizes())).all()

    async def join(self, order: UserWithTeam) -> Joined:
        """Create a team, a user in it, and a project of theirs if one is wanted."""
        team = Team(name=order.team_name)
        self.session.add(team)
        await self.session.flush()
        hashed = await asyncio.to_thread(passwords.hash, order.password)
        user = await self.create(new_user(order, hashed, team))
        project = None
        if order.project_name is not None:
            projects = ProjectRepository(self.session)
            project = await projects.begin(order.project_name, user)
        return Joined(user=user, team=team, project=project)


class SyncProjectRepository(SyncRepository[Project]):
    def begin(self, name: str, user: User) -> Project | None:
        """Create a project with a first user, unless its name is taken."""
        project = self.create_unless_taken({"name": name})
        if project is not None:
            link = ProjectUserLink(project_id=project.id, user_id=user.id)
            self.session.add(link)
        return project


class SyncUserRepository(SyncRepository[User]):
    def by_username(self, username: str) -> User:
        return self.get_first(User.username == username, HERE)

    def known_as(self, name: str) -> User | None:
        return self.first(named(name), HERE)

    def retire(self) -> int:
        """Mark who is inactive as deleted, and say how many that are."""
        return self.update_many({"deleted_at": func.now()}, INACTIVE, HERE)

    def per_team(self, more_than: int) -> Sequence[Row[Any]]:
        return self.aggregate(HERE, **per_team(more_than))

    def team_sizes(self) -> Sequence[Row[Any]]:
        return self.session.exec(team_sizes()).all()

    def join(self, order: UserWithTeam) -> Joined:
        """Create a team, a user in it, and a project of theirs if one is wanted."""
        team = Team(name=order.team_name)
        self.session.add(team)
        self.session.flush()
        hashed = passwords.hash(order.password)
        user = self.create(new_user(order, hashed, team))
        project = None
        if order.project_name is not None:
            projects = SyncProjectRepository(self.session)
            project = projects.begin(order.project_name, user)
        return Joined(user=user, team=team, project=project)
