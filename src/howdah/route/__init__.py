"""FastAPI routes that read strictly, match kindly and cost little.

    texts.py    what a request says, or why it says nothing
    strict.py   a route that reads strictly, with and without the last slash
    late.py     a route that is built for FastAPI when somebody looks into it
    heard.py    what a client says, for whoever asks
    straight.py the thin way of a route without dependencies
    calls.py    how FastAPI would call a dependency
    parameters.py  what a function takes from the path, the query, headers and cookies
    tree.py     dependencies, solved as FastAPI solves them
    solved.py   the thin way of a route with dependencies
    thin.py     a route that goes a thin way where it may
    places.py   routes as a router includes them, built when they are to answer
    choice.py   which of many routes comes first for a path
    quick.py    a router that finds its route at once
    early.py    middleware that finds the route of an app at once

Nothing here knows what a resource is.
"""

from howdah.route.choice import Routes
from howdah.route.early import EarlyRoutes
from howdah.route.late import Endpoint, Later, LateRoute, asks_who
from howdah.route.places import dependencies_in
from howdah.route.quick import QuickRouter
from howdah.route.strict import StrictRequest, StrictRoute, dependency_parameters
from howdah.route.thin import ThinRoute

__all__ = (
    "EarlyRoutes",
    "Endpoint",
    "LateRoute",
    "Later",
    "QuickRouter",
    "Routes",
    "StrictRequest",
    "StrictRoute",
    "ThinRoute",
    "asks_who",
    "dependencies_in",
    "dependency_parameters",
)
