"""A model behind HTTP: declared as attributes, served as plain FastAPI routes.

    declaration.py  the class attributes -> what the floors below understand
    relations.py    what `include` says of related rows
    given.py        the schemas, given or derived, and what they may not name
    spelling.py     attributes that are nearly those of a declaration
    advice.py       what is asked without an index
    rows.py         one method an action, over a Store; each may be overridden alone
    access.py       which actions there are, and who may call them
    caller.py       scope and hooks, solved by FastAPI for who calls
    keeping.py      fields that are stored as something else
    hooks.py        what happens before and after each write
    asked.py        what a request asks, from its address or its body
    whole.py        whole numbers, as addresses and JSON have them
    wire.py         conditions in; answers and headers out
    answers.py      what OpenAPI says of answers: all of a row, or some of it
    action.py       one route: its path, what it takes, what OpenAPI says of it
    reading.py      the routes that read
    writing.py      the routes that write
    bodies.py       bodies of many new rows, read at once where nothing can be lost
    batches.py      the routes that change and delete many rows
    upserting.py    the routes that create rows or change known ones
    relating.py     the routes of relations of many to many
    actions.py      which routes there are, in their order
    placing.py      what stands before them on their router

What a row is and where it lives is the store's.
"""

from types import new_class
from typing import Any, ClassVar, TypeVar

from fastapi import APIRouter
from fastapi.routing import APIRoute

from howdah.database import Database
from howdah.errors import Misconfigured
from howdah.resource.actions import actions
from howdah.resource.advice import advise
from howdah.resource.declaration import Embed, read_layout
from howdah.resource.hooks import Change
from howdah.resource.placing import PlacedRoute, give_way
from howdah.resource.rows import Rows
from howdah.route import QuickRouter

__all__ = ("Change", "Embed", "Resource", "ResourceRoute")

M = TypeVar("M")


class ResourceRoute(PlacedRoute):
    """A route of a resource."""

    resource: ClassVar["Resource[Any]"]

    @classmethod
    def made_of(cls, own: Any, **members: Any) -> "type[ResourceRoute]":
        """Return a class of routes of a resource that are of a class of one's own too.

        What that class overrides is called, as on any router of FastAPI.
        """
        if not isinstance(own, type) or not issubclass(own, APIRoute):
            raise Misconfigured(
                f"route_class must be a subclass of FastAPI's APIRoute, not {own!r}"
            )
        if issubclass(cls, own):
            bases: tuple[type, ...] = (cls,)
        elif issubclass(own, cls):
            bases = (own,)
        else:
            bases = (own, cls)
        return new_class("Route", bases, exec_body=lambda space: space.update(members))


class Resource(Rows[M]):
    """The rows of one model: `class Items(Resource[Item])`, then `Items(db).router()`.

    Only what is declared can be read or written.
    """

    def router(self, **options: Any) -> APIRouter:
        """Return the routes; options are those of APIRouter: prefix, tags, ...

        An endpoint that is put on the router replaces the action of the same path.
        """
        self._advise()
        options["route_class"] = ResourceRoute.made_of(
            options.get("route_class", ResourceRoute),
            resource=self,
            largest_body=self.body,
        )
        router = QuickRouter(**options)
        for action in actions(self):
            action.add_to(router)
        give_way(router)
        return router

    def _advise(self) -> None:
        """Tell once, and only while it is developed, what no index serves."""
        developed = isinstance(self.db, Database) and self.db.settings.howdah_dev
        if developed and not self._advised:
            advise(type(self), read_layout(type(self)))
        self._advised = True

    _advised = False
