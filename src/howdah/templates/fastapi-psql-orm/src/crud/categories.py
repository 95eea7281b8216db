"""Categories by hand."""

from howdah import Repository

from src.schemas.items import Category


class CategoryCRUD(Repository[Category]):
    """`get`, `find`, `list`, `create` and others are the repository's own."""
