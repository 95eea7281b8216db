"""FastAPI routes that read strictly, match kindly and cost little.

    texts.py    what a request says, or why it says nothing
    strict.py   a route that reads strictly, with and without the last slash
    heard.py    what a client says, for whoever asks
    endpoint.py what a route runs
    straight.py the thin way of a route without dependencies
    calls.py    how FastAPI would call a dependency
    parameters.py  what a function takes from the path, the query, headers and cookies
    tree.py     dependencies, solved as FastAPI solves them
    solved.py   the thin way of a route with dependencies
    thin.py     a route that goes a thin way where it may
    choice.py   which of many routes comes first for a path
    quick.py    a router that finds its route at once
    early.py    middleware that finds the route of an app at once

Nothing here knows what a resource is.
"""

from howdah.route.choice import Routes
from howdah.route.early import EarlyRoutes
from howdah.route.endpoint import Endpoint
from howdah.route.quick import QuickRouter
from howdah.route.strict import StrictRequest, StrictRoute, dependency_parameters
from howdah.route.thin import ThinRoute

__all__ = (
    "EarlyRoutes",
    "Endpoint",
    "QuickRouter",
    "Routes",
    "StrictRequest",
    "StrictRoute",
    "ThinRoute",
    "dependency_parameters",
)
