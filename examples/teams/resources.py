"""What is served of the tables, by the async and by the sync application."""

from models import Named, Project, Team, User, UserCreate, UserPublic, UserUpdate
from pwdlib import PasswordHash

from howdah import PageLimits, Resource
from howdah.resource import Embed

passwords = PasswordHash.recommended()  # argon2


class Teams(Resource[Team]):
    read_schema = Named
    filters = ("name",)
    sort = ("name",)
    include = {"users": Embed(lambda: Users, sort=("username",))}


class Users(Resource[User]):
    create_schema = UserCreate
    update_schema = UserUpdate
    read_schema = UserPublic
    stored_as = {"password": ("hashed_password", passwords.hash)}
    soft_delete = "deleted_at"
    filters = (
        "id",
        "username",
        "email",
        "is_active",
        "team_id",
        "created_at",
        "team__name",
    )
    search = ("username", "email", "full_name")
    sort = ("username", "created_at")
    unindexed = ("search",)
    include = {"team": Teams, "projects": Embed(lambda: Projects, sort=("name",))}
    page = PageLimits(default=100, maximum=100)
    batch = 100  # each new user is a password to hash


class Projects(Resource[Project]):
    read_schema = Named
    filters = ("name", "users__is_active")
    sort = ("name",)
    include = {"users": Users}
    relations = {"users": Users}
