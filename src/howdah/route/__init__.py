"""FastAPI routes that read strictly, match kindly and cost little.

    internals.py  what FastAPI does inside: its private names, and who replaced them
    changes.py  what is changed on routes and routers of ours
    texts.py    what a request says, or why it says nothing
    strict.py   a route that reads strictly, with and without the last slash
    late.py     a route that is built for FastAPI when somebody looks into it
    heard.py    what a client says, for whoever asks
    parameters.py  what a function takes from the path, the query, headers and cookies
    tree.py     dependencies, solved as FastAPI solves them
    solved.py   the thin way of a route
    thin.py     a route that goes a thin way where it may
    contexts.py routes where routers include them, built when they are to answer
    choice.py   which of many routes comes first for a path
    quick.py    a router of routes that are built late
    table.py    the routes of an app, and whether they still are the same
    early.py    finds the route of an app at once, where the app's router stands

Nothing here knows what a resource is.
"""

from howdah.route.changes import NoticedList
from howdah.route.contexts import dependencies_in
from howdah.route.early import EarlyRoutes
from howdah.route.late import Endpoint, Later, LateRoute, asks_who, now
from howdah.route.quick import QuickRouter
from howdah.route.strict import StrictRequest, StrictRoute, dependency_parameters
from howdah.route.thin import ThinRoute

__all__ = (
    "EarlyRoutes",
    "Endpoint",
    "LateRoute",
    "Later",
    "NoticedList",
    "QuickRouter",
    "StrictRequest",
    "StrictRoute",
    "ThinRoute",
    "asks_who",
    "dependencies_in",
    "dependency_parameters",
    "now",
)
