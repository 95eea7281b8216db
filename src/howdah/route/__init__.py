"""FastAPI routes that read strictly, match kindly and cost little.

    texts.py    what a request says, or why it says nothing
    strict.py   a route that reads strictly, with and without the last slash
    thin.py     a route that answers straight from the request where it may
    quick.py    a router that finds its route by one look at the path

Nothing here knows what a resource is.
"""

from howdah.route.quick import QuickRouter, Routes
from howdah.route.strict import StrictRequest, StrictRoute, dependency_parameters
from howdah.route.thin import Endpoint, ThinRoute

__all__ = (
    "Endpoint",
    "QuickRouter",
    "Routes",
    "StrictRequest",
    "StrictRoute",
    "ThinRoute",
    "dependency_parameters",
)
