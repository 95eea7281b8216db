"""What routes depend on."""

from typing import Annotated

from fastapi import Depends
from sqlmodel.ext.asyncio.session import AsyncSession

from src.core.db import db
from src.crud.items import ItemCRUD

# The scope makes the commit happen before the answer is sent, not after.
SessionDep = Annotated[AsyncSession, Depends(db.session, scope="function")]


def get_item_crud(session: SessionDep) -> ItemCRUD:
    return ItemCRUD(session)


ItemCRUDDep = Annotated[ItemCRUD, Depends(get_item_crud)]
