"""Users, teams and projects: their tables, and what people send and see of them."""

from sqlalchemy import Index
from sqlmodel import Field, Relationship, SQLModel

from howdah import DeletedAtFields, TimestampFields
from howdah.models import Moment, secret, unique_while_active


class ProjectUserLink(SQLModel, table=True):
    __tablename__ = "project_users"

    project_id: int = Field(
        foreign_key="projects.id", primary_key=True, ondelete="CASCADE"
    )
    user_id: int = Field(
        foreign_key="users.id", primary_key=True, index=True, ondelete="CASCADE"
    )


class Team(SQLModel, table=True):
    __tablename__ = "teams"

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(min_length=1, max_length=100, unique=True)

    users: list["User"] = Relationship(back_populates="team")


class Project(SQLModel, table=True):
    __tablename__ = "projects"

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(min_length=1, max_length=100, unique=True)

    users: list["User"] = Relationship(
        back_populates="projects", link_model=ProjectUserLink
    )


class UserBase(SQLModel):
    username: str = Field(min_length=3, max_length=50)
    email: str = Field(min_length=3, max_length=254)
    full_name: str | None = Field(default=None, max_length=200)
    is_active: bool = True


class User(UserBase, TimestampFields, DeletedAtFields, table=True):
    __tablename__ = "users"
    # Who is deleted gives the name back.
    __table_args__ = (
        unique_while_active("username", soft_delete="deleted_at"),
        unique_while_active("email", soft_delete="deleted_at"),
        Index("users_team_active", "team_id", "is_active"),
        Index("users_created_at", "created_at"),
    )

    id: int | None = Field(default=None, primary_key=True)
    hashed_password: str = secret(max_length=255)
    team_id: int | None = Field(default=None, foreign_key="teams.id")

    team: Team | None = Relationship(back_populates="users")
    projects: list[Project] = Relationship(
        back_populates="users", link_model=ProjectUserLink
    )


class UserCreate(UserBase):
    password: str = Field(min_length=8, max_length=128)
    team_id: int | None = None


class UserUpdate(SQLModel):
    email: str | None = Field(default=None, min_length=3, max_length=254)
    full_name: str | None = Field(default=None, max_length=200)
    is_active: bool | None = None
    team_id: int | None = None
    password: str | None = Field(default=None, min_length=8, max_length=128)


class UserPublic(UserBase):
    id: int
    team_id: int | None
    created_at: Moment


class UserWithTeam(UserBase):
    password: str = Field(min_length=8, max_length=128)
    team_name: str = Field(min_length=1, max_length=100)
    project_name: str | None = Field(default=None, min_length=1, max_length=100)


class Named(SQLModel):
    id: int
    name: str


class Joined(SQLModel):
    user: UserPublic
    team: Named
    project: Named | None


class TeamSize(SQLModel):
    team_id: int | None
    users: int


class NamedTeamSize(SQLModel):
    name: str
    users: int
