"""Items by hand: what a route or a script needs beyond the resource."""

from collections.abc import Sequence

from howdah import Repository
from sqlalchemy import ColumnElement
from sqlmodel import col

from src.schemas.items import Item, ItemCreate


class ItemCRUD(Repository[Item]):
    """`create`, `update`, `get` and others are the repository's own.

    Nothing here commits: whoever opened the session does, at its end.
    """

    async def get_by_id(self, item_id: int) -> Item | None:
        return await self.find(item_id)

    async def get_many(
        self,
        *where: ColumnElement[bool],
        skip: int = 0,
        limit: int = 100,
        active_only: bool = True,
    ) -> list[Item]:
        return await self.list(*where, *_active(active_only), skip=skip, limit=limit)

    async def delete(self, key: int) -> None:
        """Hide the item; `hard_delete` removes it."""
        await self.update(key, {"is_active": False})

    async def hard_delete(self, key: int) -> None:
        await super().delete(key)

    async def search(self, query: str) -> list[Item]:
        name = col(Item.name).icontains(query, autoescape=True)
        description = col(Item.description).icontains(query, autoescape=True)
        return await self.get_many(name | description)

    async def get_total_count(self, active_only: bool = True) -> int:
        return await self.count(*_active(active_only))

    async def create_items_batch(self, items: Sequence[ItemCreate]) -> list[Item]:
        return await self.create_many(items)


def _active(active_only: bool) -> tuple[ColumnElement[bool], ...]:
    return (col(Item.is_active).is_(True),) if active_only else ()
