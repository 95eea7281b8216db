"""Which routes a resource has, in the order in which they are matched."""

from typing import Any

from howdah.resource.access import has
from howdah.resource.action import Action
from howdah.resource.batches import delete_many_action, update_many_action
from howdah.resource.reading import (
    count_action,
    get_action,
    list_action,
    query_action,
    search_action,
)
from howdah.resource.relating import relation_actions
from howdah.resource.rows import Rows
from howdah.resource.upserting import put_action, put_many_action
from howdah.resource.writing import (
    create_action,
    create_many_action,
    delete_action,
    restore_action,
    update_action,
)

__all__ = ("actions",)


def actions(resource: Rows[Any]) -> list[Action]:
    """Return the routes; fixed paths stand before a row's, which would match them."""
    return [each for each in _all(resource) if has(type(resource), each.kind)]


def _all(resource: Rows[Any]) -> list[Action]:
    return [
        create_action(resource),
        list_action(resource),
        *([search_action(resource)] if resource.search else []),
        query_action(resource),
        count_action(resource),
        create_many_action(resource),
        *_batches(resource),
        *([put_action(resource), put_many_action(resource)] if resource.upsert else []),
        get_action(resource),
        update_action(resource, "PUT"),
        update_action(resource, "PATCH"),
        delete_action(resource),
        *([restore_action(resource)] if resource.soft_delete else []),
        *relation_actions(resource),
    ]


def _batches(resource: Rows[Any]) -> list[Action]:
    """Return the batches by key; they name no versions, so some resources have none."""
    if resource.require_match:
        return []
    return [update_many_action(resource), delete_many_action(resource)]
